#!/bin/sh
# Change Open WebUI's workload and wait until its pods are of the new template. Needs root.
# Arguments: NAMESPACE; KIND/NAME; MANAGER, the field manager; TIMEOUT seconds. Standard input: a strategic merge patch.
set -eu
namespace=$1 workload=$2 manager=$3 timeout=$4

kubectl() { k3s kubectl --namespace "$namespace" "$@"; }
trap '' HUP PIPE # what has begun must end
kubectl patch "$workload" --request-timeout=30s --type=strategic --field-manager="$manager" --patch-file /dev/stdin
kubectl rollout status "$workload" --timeout="${timeout}s"
