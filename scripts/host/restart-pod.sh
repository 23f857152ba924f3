#!/bin/sh
# Delete one Ollama pod and wait until its node's new one is Ready. Needs root.
# Arguments: NAMESPACE; POD; NODE its node's name in the cluster; TIMEOUT seconds.
set -eu
namespace=$1 pod=$2 node=$3 timeout=$4

deadline=$(($(cut -d. -f1 /proc/uptime) + timeout))
remaining() { echo $((deadline - $(cut -d. -f1 /proc/uptime))); }
kubectl() { k3s kubectl --namespace "$namespace" --request-timeout=20s "$@"; }

# What has begun must end: whoever asked may be gone (Ctrl-C, a cut link) while the node has no pod.
trap '' HUP PIPE
k3s kubectl --namespace "$namespace" delete pod "$pod" --wait --timeout="${timeout}s"
ready() {
    kubectl wait pod --selector app.kubernetes.io/name=ollama --field-selector "spec.nodeName=$node" \
        --for=condition=Ready --timeout=5s
}
until ready >/dev/null 2>&1; do
    if [ "$(remaining)" -le 0 ]; then
        echo "the new Ollama pod on $node is not Ready $timeout seconds after the old one was deleted" >&2
        kubectl get pods --field-selector "spec.nodeName=$node" >&2
        exit 1
    fi
    sleep 1
done
