#!/bin/sh
# Give a workload so many pods, and wait for it. Needs root. Arguments: NAMESPACE; KIND/NAME; REPLICAS; TIMEOUT seconds.
set -eu
namespace=$1 workload=$2 replicas=$3 timeout=$4

kubectl() { k3s kubectl --namespace "$namespace" "$@"; }
kubectl scale "$workload" --request-timeout=30s --replicas="$replicas"
kubectl rollout status "$workload" --timeout="${timeout}s"
