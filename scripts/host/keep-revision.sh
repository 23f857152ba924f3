#!/bin/sh
# Keep the objects on standard input as this cluster's next revision, and only the newest. Needs root.
# Arguments: STATE directory; KEEP, how many. Prints the new revision's number and that of the one before, if it is kept.
# Standard input: YAML whose last line is "# end of objects": without it the stream was cut off on its way.
set -eu
directory=$1/revisions keep=$2
umask 077
mkdir -p "$directory"
revisions() { find "$directory" -name '[1-9]*.yaml' -printf '%f\n' | sed 's/\.yaml$//' | sort -n; }
last=$(revisions | tail -n 1)
new=$directory/.new
trap 'rm -f "$new"' EXIT
cat >"$new"
[ "$(tail -n 1 "$new")" = "# end of objects" ] || { echo "the objects did not arrive whole: nothing was kept" >&2 && exit 1; }
sync "$new"
mv "$new" "$directory/$((${last:-0} + 1)).yaml"
revisions | head -n "-$keep" | while read -r old; do rm "$directory/$old.yaml"; done
echo "$((${last:-0} + 1)) $last"
