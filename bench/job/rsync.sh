#!/bin/sh
# Run on the source as root: an rsync to each node, all at once. Arguments: the nodes' addresses.
set -eu
pids=
for node in "$@"; do
    rsync --recursive --times --partial-dir=.rsync-partial --rsync-path='sudo rsync' -e 'ssh -o BatchMode=yes' \
        /var/lib/ollama/blobs/ "scout@$node:/var/lib/ollama/blobs/" &
    pids="$pids $!"
done
for pid in $pids; do wait "$pid"; done
