#!/bin/sh
# The last log lines of a pod, and of its container before the last restart if there is one. Read-only. Needs root.
# Arguments: NAMESPACE POD LINES.
set -u
k3s kubectl --request-timeout=20s logs --namespace "$1" "$2" --tail="$3" --previous 2>/dev/null ||
    k3s kubectl --request-timeout=20s logs --namespace "$1" "$2" --tail="$3"
