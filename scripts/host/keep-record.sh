#!/bin/sh
# Keep standard input, of so many bytes, as the next record of what was there before. Needs root.
# Arguments: RECORDS directory; BYTES. Prints the new record's number.
set -eu
directory=$1 bytes=$2
umask 077
mkdir -p "$directory"
last=$(find "$directory" -name '[1-9]*.json' -printf '%f\n' | sed 's/\.json$//' | sort -n | tail -n 1)
new=$directory/.new
trap 'rm -f "$new"' EXIT
cat >"$new"
[ "$(wc -c <"$new")" -eq "$bytes" ] || { echo "the record did not arrive whole: nothing was kept" >&2 && exit 1; }
sync "$new"
mv "$new" "$directory/$((${last:-0} + 1)).json"
echo "$((${last:-0} + 1))"
