#!/bin/sh
# How the logs of pods begin, read-only. Needs emit.sh in front, and root. Arguments: NAMESPACE/POD...
for pod in "$@"; do
    emit "$pod" k3s kubectl --request-timeout=20s logs --namespace "${pod%%/*}" "${pod#*/}" --limit-bytes=65536
done
