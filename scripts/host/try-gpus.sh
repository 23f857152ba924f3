#!/bin/sh
# Start short-lived pods, wait for their ends, print what each said, and take them away again. Needs emit.sh in front, and root.
# Arguments: NAMESPACE; SECONDS to wait at most; POD... their names.
# Standard input: the pods, as YAML whose last line is "# end of objects": without it the stream was cut off on its way.
# shellcheck disable=SC2154  # emit_work and emit_output are emit.sh's
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
# The pods beside the operator's own that have GPUs of a node, or will have them once they have started.
holders() {
    kubectl get pods --all-namespaces --no-headers \
        --field-selector "spec.nodeName=$1,metadata.namespace!=$namespace,status.phase!=Succeeded,status.phase!=Failed" \
        --output 'custom-columns=:metadata.namespace,:metadata.name,:spec.containers[*].resources.limits.nvidia\.com/gpu' |
        awk '$3 != "<none>" { print $1 "/" $2 }'
}
columns=':status.phase,:spec.nodeName,:spec.nodeSelector.kubernetes\.io/hostname'
# Whether any pod may still come to its end: one that waits for GPUs of its node which others have may not.
awaited() {
    found=$(kubectl get pods "$@" --no-headers --output "custom-columns=$columns") || return
    while read -r phase node wanted; do
        case $phase/$node in
        Succeeded/* | Failed/*) ;;
        */"<none>") [ -n "$(holders "$wanted")" ] || return 0 ;;
        *) return 0 ;;
        esac
    done <<EOF
$found
EOF
    return 1
}
node_of() { kubectl get pod "$1" --output 'jsonpath={.spec.nodeSelector.kubernetes\.io/hostname}'; }
events() { kubectl get events --field-selector "type=Warning,involvedObject.name=$1" --output jsonpath='{range .items[*]}{.reason}{": "}{.message}{"\n"}{end}'; }

take_away_ended
trap 'take_away "$@"; rm -rf "$emit_work"' EXIT
trap 'exit 1' HUP INT TERM PIPE
printf '%s\n' "$pods" | kubectl create --filename - >&2 || exit 1
while awaited "$@" && [ "$(cut -d. -f1 /proc/uptime)" -lt "$deadline" ]; do
    printf . >&2 # nobody may be listening any more: then this ends here
    sleep 1
done
for pod in "$@"; do
    emit "$pod.phase" kubectl get pod "$pod" --output jsonpath='{.status.phase}'
    [ "$emit_output" != Pending ] || emit "$pod.holders" holders "$(node_of "$pod")"
    emit "$pod.log" kubectl logs "$pod"
    emit "$pod.events" events "$pod"
done
