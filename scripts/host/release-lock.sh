#!/bin/sh
# End the hold of whoever has a cluster's lock: its run counts as cut off, and finds out before its next change. Needs root.
# Arguments: STATE directory; RUN, the run that is meant: another one that got the lock meanwhile is left alone.
set -eu
file=$1/lock
grep -q "\"run\": \"$2\"" "$file" || { echo "the lock is not of run $2 any more" >&2 && exit 1; }
if flock --nonblock "$file" true; then
    exit 0 # nobody holds it: what is left goes into the audit with the next run, which may be the one that asks
fi
holder=$(sed -n 2p "$file")
# What it waits with: the end of its standard input is the end of its run.
pkill -TERM -P "$holder" || true
flock --timeout 20 "$file" true || { echo "process $holder does not let go of $file" >&2 && exit 1; }
