#!/bin/sh
# What this server keeps about its cluster's runs, read-only. Needs emit.sh in front, and root.
# Arguments: STATE directory; LINES of the audit to show, newest last.
# shellcheck disable=SC2317  # functions are called through emit
state=$1
lines=$2

# Nobody holds a lock that can be taken; the attempt ends with its process and leaves nothing.
held() { [ -s "$state/lock" ] && ! flock --nonblock --shared "$state/lock" true; }
silent_seconds() { echo $(($(date +%s) - $(stat -c %Y "$state/lock"))); }

emit lock.held held
emit lock.record head -n 1 "$state/lock"
emit lock.silent silent_seconds
emit audit tail -n "$lines" "$state/audit.jsonl"
emit revisions ls "$state/revisions"
