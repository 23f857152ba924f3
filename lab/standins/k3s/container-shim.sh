#!/bin/sh
# Stands beside a container for as long as it runs and keeps its exit status, so that the service may restart meanwhile.
# usage: container-shim.sh STATE NETNS ROOT MOUNTS PROGRAM [ARGUMENT...]
#   STATE   directory; the shim's process is left in STATE/shim, the exit status in STATE/exit
#   NETNS   the pod's network namespace, a file
#   ROOT    directory where the container's file system is put together
#   MOUNTS  file with a line for each volume: ro|rw TAB source TAB target
set -u
state=$1 netns=$2 root=$3 mounts=$4
shift 4
echo $$ > "$state/shim.new"
mv "$state/shim.new" "$state/shim"
nsenter --net="$netns" unshare --mount --uts --ipc --pid --fork --kill-child \
    "${0%/*}/container-init.sh" "$root" "$mounts" "$@"
echo $? > "$state/exit.new"
mv "$state/exit.new" "$state/exit"
