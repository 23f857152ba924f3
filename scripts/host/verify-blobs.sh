#!/bin/sh
# Hash blobs where they are, as many at once as there are cores, and keep on record what came of it. Needs root.
# Arguments: STORE directory; STATE directory of what is kept about this host.
# Standard input: lines "sha256-HEX SIZE", the last line "end".
# Prints a line a blob: "ok", "bad" (another hash), "short" (another size) or "missing", then its name; "moving" if it changed
# meanwhile. The record has a line a blob: name, size, mtime, inode, ok or bad; so a file that is the same is not read again.
set -eu
store=$1 state=$2/models
record=$state/verified-$(printf %s "$store" | sha256sum | head -c 12)
wanted=$(cat)
case $wanted in
*end) ;;
*) echo "what is to be verified did not arrive whole" >&2 && exit 1 ;;
esac
mkdir -p "$state"
results=$(mktemp "$state/.verifying.XXXXXX")
trap 'rm -f "$results" "$results.new"' EXIT
trap 'exit 1' HUP INT TERM

# openssl is several times as fast as sha256sum where the processor helps.
# shellcheck disable=SC2016  # it expands where it runs
one='
blob=$1 size=$2
as_it_is() { find "$blob" -maxdepth 0 -printf "%f %s %T@ %i" 2>/dev/null; }
before=$(as_it_is)
if [ -z "$before" ]; then echo "missing $blob" && exit; fi
if [ "$(stat -c %s "$blob")" != "$size" ]; then echo "short $blob" && exit; fi
if command -v openssl >/dev/null; then sum=$(openssl dgst -sha256 -r "$blob"); else sum=$(sha256sum "$blob"); fi
if [ "$(as_it_is)" != "$before" ]; then echo "moving $blob" && exit; fi
verdict=bad
[ "sha256-${sum%% *}" != "$blob" ] || verdict=ok
printf "%s %s\n" "$before" "$verdict" >>"$3"
echo "$verdict $blob"
'
cd "$store/blobs"
printf '%s\n' "$wanted" | sed '$d' | while read -r blob size; do printf '%s\0%s\0%s\0' "$blob" "$size" "$results"; done |
    xargs -0 -r -n 3 -P "$(nproc)" sh -c "$one" verify

# What was on record stays, but for the blobs that were hashed anew and those that are gone.
touch "$record"
{
    awk 'FILENAME == ARGV[1] { seen[$1]; next } !($1 in seen)' "$results" "$record" |
        while read -r blob rest; do [ ! -e "$blob" ] || printf '%s %s\n' "$blob" "$rest"; done
    cat "$results"
} >"$results.new"
mv "$results.new" "$record"
