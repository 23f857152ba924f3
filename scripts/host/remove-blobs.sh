#!/bin/sh
# Remove blobs from a model store. Needs root. Argument: STORE directory.
# Standard input: their file names, one a line, the last line "end".
set -eu
cd "$1/blobs"
wanted=$(cat)
case $wanted in
*end) ;;
*) echo "the list did not arrive whole: nothing was removed" >&2 && exit 1 ;;
esac
printf '%s\n' "$wanted" | sed '$d' | while read -r blob; do
    case $blob in
    sha256-*[!0-9a-f]*) echo "$blob is no blob" >&2 && exit 1 ;;
    sha256-*) rm -f "$blob" ;;
    esac
done
