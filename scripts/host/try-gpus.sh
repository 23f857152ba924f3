#!/bin/sh
# Start short-lived pods, wait for their ends, print what each said, and take them away again. Needs emit.sh in front, and root.
# Arguments: NAMESPACE; SECONDS to wait at most; POD... their names.
# Standard input: the pods, as YAML whose last line is "# end of objects": without it the stream was cut off on its way.
# shellcheck disable=SC2154  # emit_errors is emit.sh's
namespace=$1
deadline=$(($(cut -d. -f1 /proc/uptime) + $2))
shift 2

pods=$(cat)
case $pods in
*"# end of objects") ;;
*) echo "the pods did not arrive whole: none was started" >&2 && exit 1 ;;
esac
kubectl() { k3s kubectl --request-timeout=20s --namespace "$namespace" "$@"; }
take_away() { kubectl delete pods "$@" --ignore-not-found --now --wait=true --timeout=60s >/dev/null 2>&1; }
# What an earlier run left behind; of one that is still at work nothing.
take_away_ended() {
    for phase in Succeeded Failed; do
        take_away --selector app.kubernetes.io/name=try-gpus --field-selector "status.phase=$phase"
    done
}
running() {
    phases=$(kubectl get pods "$@" --output jsonpath='{.items[*].status.phase}{.status.phase}') || return
    case $phases in *Pending* | *Running* | "") return 0 ;; esac
    return 1
}
events() { kubectl get events --field-selector "type=Warning,involvedObject.name=$1" --output jsonpath='{range .items[*]}{.reason}{": "}{.message}{"\n"}{end}'; }

take_away_ended
trap 'take_away "$@"; rm -f "$emit_errors"' EXIT
trap 'exit 1' HUP INT TERM PIPE
printf '%s\n' "$pods" | kubectl create --filename - >&2 || exit 1
while running "$@" && [ "$(cut -d. -f1 /proc/uptime)" -lt "$deadline" ]; do
    printf . >&2 # nobody may be listening any more: then this ends here
    sleep 1
done
for pod in "$@"; do
    emit "$pod.phase" kubectl get pod "$pod" --output jsonpath='{.status.phase}'
    emit "$pod.log" kubectl logs "$pod"
    emit "$pod.events" events "$pod"
done
