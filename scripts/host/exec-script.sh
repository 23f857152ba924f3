#!/bin/sh
# Run the script on standard input, whatever its first line says it is written in. Without root it gets no way to become root.
# Arguments: BYTES of the script; then its own.
set -eu
bytes=$1
shift
umask 077
file=$(mktemp)
trap 'rm -f "$file"' EXIT
trap 'exit 1' HUP INT TERM
cat >"$file"
[ "$(wc -c <"$file")" -eq "$bytes" ] || { echo "the script did not arrive whole: nothing was run" >&2 && exit 1; }
chmod 700 "$file"
if [ "$(id -u)" -eq 0 ]; then "$file" "$@" </dev/null; else setpriv --no-new-privs -- "$file" "$@" </dev/null; fi
