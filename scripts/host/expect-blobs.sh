#!/bin/sh
# Make ready for blobs that are to arrive. Argument: STORE directory. Standard input: their names, the last line "end". Needs root.
# Each has its file in incoming/ from now on, so that a follower finds it; what else is there belongs to no wanted blob and goes.
set -eu
store=$1
umask 022
wanted=$(cat)
case $wanted in
*end) ;;
*) echo "the list did not arrive whole: nothing was touched" >&2 && exit 1 ;;
esac
mkdir -p "$store/.scout-ollama/incoming"
cd "$store/.scout-ollama/incoming"
exec 9<.
flock -w 60 9 || { echo "another run still copies to $store" >&2 && exit 1; }
for file in sha256-*; do
    printf '%s\n' "$wanted" | grep -Fqx "$file" || rm -f "$file"
done
printf '%s\n' "$wanted" | sed '$d' | while read -r file; do
    # A file with holes is not what arrived: it was there in its full size before it had its bytes.
    [ ! -e "$file" ] || [ $(($(stat -c '%b * %B' "$file"))) -ge "$(stat -c %s "$file")" ] || rm -f "$file"
    touch "$file"
done
