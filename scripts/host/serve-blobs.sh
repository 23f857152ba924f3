#!/bin/sh
# What a node's key for one run may do on a host that has blobs: the forced command of that key, run as the SSH user.
# Sends one blob from an offset on, and goes on while it grows. Arguments: the DIRECTORIES it may be in, the first one first.
# SSH_ORIGINAL_COMMAND must be "sha256-HEX OFFSET" to the letter; no path is ever taken from it.
set -euf
LC_ALL=C
asked=${SSH_ORIGINAL_COMMAND-}
refuse() { echo "only a blob and an offset can be asked for" >&2 && exit 64; }
hex=${asked#sha256-}
offset=${hex#* }
hex=${hex%% *}
[ "$asked" = "sha256-$hex $offset" ] || refuse
[ "${#hex}" -eq 64 ] && [ "${#offset}" -ge 1 ] && [ "${#offset}" -le 15 ] || refuse
case $hex in *[!0-9a-f]*) refuse ;; esac
case $offset in *[!0-9]*) refuse ;; esac

for directory; do
    file=$directory/sha256-$hex
    [ -f "$file" ] && [ ! -L "$file" ] || continue
    # A reader may have more than there is here yet. tail would take that for a file that was truncated, and begin anew.
    while size=$(stat -c %s -- "$file" 2>/dev/null) && [ "$size" -lt "$offset" ]; do
        [ -d "/proc/$PPID" ] || exit
        sleep 0.2
    done
    status=0
    # It ends with the connection: a reader that is gone would otherwise be noticed at the next byte only.
    tail --bytes=+$((offset + 1)) --follow --sleep-interval=0.2 --pid="$PPID" -- "$file" || status=$?
    # A blob that got its final name just then is in the next directory.
    [ "$status" -eq 1 ] && [ ! -e "$file" ] || exit "$status"
done
echo "it is not here" >&2
exit 66
