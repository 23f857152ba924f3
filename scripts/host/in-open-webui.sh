#!/bin/sh
# Run a program inside Open WebUI's pod, with the administrator's password, which goes no further. Needs root.
# Arguments: NAMESPACE; POD; CONTAINER; SECRET that holds BOOTSTRAP_PASSWORD. Standard input: the program, Python, as one
# JSON string on the first line; then what it shall do, one JSON object on the second. Its output is ours.
set -eu
namespace=$1 pod=$2 container=$3 secret=$4

kubectl() { k3s kubectl --namespace "$namespace" "$@"; }
IFS= read -r program
IFS= read -r wanted
password=$(kubectl get secret "$secret" --ignore-not-found --request-timeout=20s --output 'jsonpath={.data.BOOTSTRAP_PASSWORD}')
# printf is a part of the shell: nothing of this is in any process list.
printf '%s\n' "$program" "$password" "$wanted" |
    kubectl exec --stdin "$pod" --container "$container" -- \
        python3 -c 'import json, sys; exec(json.loads(sys.stdin.readline()))'
