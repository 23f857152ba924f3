#!/bin/sh
# Run a Job to its end, and say meanwhile how far it is: the last line of its log. Needs root.
# Arguments: NAMESPACE NAME; STUCK, the seconds that its pod may be unable to start.
# Standard input: the objects to apply, as YAML whose last line is "# end of objects".
# One of that name that runs already is awaited, never joined by a second one; then this one is run.
set -u
namespace=$1 name=$2 stuck=$3
objects=$(cat)
case $objects in
*"# end of objects") ;;
*) echo "the objects did not arrive whole: nothing was applied" >&2 && exit 1 ;;
esac

kubectl() { k3s kubectl --request-timeout=60s --namespace "$namespace" "$@"; }
# Complete or Failed; "running"; nothing if there is no such Job.
state() {
    kubectl get job "$name" --ignore-not-found \
        --output 'jsonpath={.metadata.name} {range .status.conditions[?(@.status=="True")]}{.type} {end}' |
        awk 'NF { state = "running"; for (i = 2; i <= NF; i++) if ($i == "Complete" || $i == "Failed") state = $i; print state }'
}
pod() { kubectl get pods --selector "job-name=$name" --output 'jsonpath={.items[0].metadata.name}' 2>/dev/null; }
last_line() { kubectl logs "$(pod)" --tail=1 2>/dev/null; }
# Why the pod does not start; nothing if it runs, or is on its way.
hindrance() {
    kubectl get pods --selector "job-name=$name" \
        --output 'jsonpath={range .items[*].status.containerStatuses[*]}{.state.waiting.reason}: {.state.waiting.message}{end}' |
        grep -E '^(ErrImagePull|ImagePullBackOff|InvalidImageName|Create[A-Za-z]*Error|RunContainerError)' && return
    [ -z "$(last_line)" ] || return
    kubectl get events --field-selector "involvedObject.name=$(pod),type=Warning" --output 'jsonpath={range .items[*]}{.message}{"\n"}{end}' |
        tail -n 1
}
await() {
    hindered=0
    while [ "$(state)" = running ]; do
        line=$(last_line)
        if [ -n "$line" ]; then
            printf '%s\n' "$line"
            hindered=0
        elif why=$(hindrance) && [ -n "$why" ]; then
            hindered=$((hindered + 1))
            if [ "$hindered" -ge "$stuck" ]; then
                kubectl delete job "$name" --wait=false >/dev/null
                printf '%s\n' "its pod cannot start: $why" >&2
                exit 1
            fi
        fi
        sleep 1
    done
}

if [ "$(state)" = running ]; then
    echo "adopted"
    await
fi
kubectl delete job "$name" --ignore-not-found --cascade=foreground >/dev/null || exit
printf '%s\n' "$objects" | kubectl apply --server-side --field-manager=scout-ollama --filename - >/dev/null || exit
await
if [ "$(state)" != Complete ]; then
    kubectl logs "$(pod)" --tail=20 >&2
    kubectl get job "$name" --output 'jsonpath={range .status.conditions[*]}{.reason}: {.message}{"\n"}{end}' >&2
    exit 1
fi
