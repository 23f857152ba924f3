#!/bin/sh
# The last log lines of a pod, and of its container before the last restart if there is one. Read-only. Needs root.
# Arguments: NAMESPACE POD LINES [CONTAINER].
set -u
logs() { k3s kubectl --request-timeout=20s logs "$@"; }

namespace=$1 pod=$2 lines=$3
set -- --namespace "$namespace" "$pod" --tail="$lines" ${4:+--container "$4"}
logs "$@" --previous 2>/dev/null || logs "$@"
