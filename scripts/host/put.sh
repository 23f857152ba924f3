#!/bin/sh
# put.sh PATH MODE OWNER BYTES: standard input, of that many bytes, becomes the file PATH, all of it or nothing.
# OWNER is user[:group], or empty. A symbolic link at PATH is replaced, not followed.
set -eu
path=$1 mode=$2 owner=$3 bytes=$4

directory=$(dirname -- "$path")
umask 077
temporary=$(mktemp -- "$directory/.put.XXXXXX") # beside PATH: a rename does not cross file systems
trap 'rm -f -- "$temporary"' EXIT
trap 'exit 1' HUP INT TERM

cat >"$temporary"
arrived=$(wc -c <"$temporary")
if [ "$arrived" -ne "$bytes" ]; then
    echo "only $arrived of $bytes bytes arrived" >&2
    exit 1
fi
[ -z "$owner" ] || chown -- "$owner" "$temporary"
chmod -- "$mode" "$temporary"
sync -- "$temporary"
mv -fT -- "$temporary" "$path"
trap - EXIT
sync -- "$directory"
