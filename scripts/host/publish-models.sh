#!/bin/sh
# Publish a set of models on one node: what is replaced leaves memory, manifests get their places by rename, what shall be
# in memory is loaded. If that fails, what was there before is put back. Needs root.
# Arguments: STORE directory; STATE directory of what is kept about this host; NUMBER of the set;
#   ADDRESS:PORT of this node's Ollama pod, or "" if it has none.
# Standard input, lines, the last one "end":
#   blob NAME SIZE           must be there, in that size
#   copied NAME              was verified while it was copied: goes on record
#   unload MODEL             leaves memory first
#   manifest PATH BASE64     what the file PATH below manifests/ shall be
#   remove PATH              the file PATH below manifests/ goes
#   load MODEL               is loaded, and awaited
#   set BASE64               what is kept as NUMBER.json
set -eu
store=$1 state=$2/models number=$3 address=$4
manifests=$store/manifests own=$store/.scout-ollama
LOAD_SECONDS=7200
mkdir -p "$state"
umask 022
# On the store's own file system, as a rename crosses none. In a share that is mounted read-only there is nothing to rename.
mkdir -p "$own" 2>/dev/null && [ -w "$own" ] || own=$state
work=$(mktemp -d "$own/publish.XXXXXX")
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cat >"$work/wanted"
[ "$(tail -n 1 "$work/wanted")" = end ] || { echo "what is to be published did not arrive whole: nothing was" >&2 && exit 1; }
all() { sed -n "s/^$1 //p" "$work/wanted"; }

all blob | while read -r blob size; do
    found=$(stat -c %s "$store/blobs/$blob" 2>/dev/null) || found=no
    [ "$found" = "$size" ] || { echo "blob $blob has $found bytes, not $size: nothing was published" >&2 && exit 1; }
done

record=$state/verified-$(printf %s "$store" | sha256sum | head -c 12)
touch "$record"
all copied >"$work/copied"
{
    awk 'FILENAME == ARGV[1] { seen[$1]; next } !($1 in seen)' "$work/copied" "$record"
    while read -r blob; do find "$store/blobs/$blob" -maxdepth 0 -printf '%f %s %T@ %i ok\n'; done <"$work/copied"
} >"$record.new"
mv "$record.new" "$record"

ask() { curl --silent --show-error --max-time "$LOAD_SECONDS" --data "$1" --output "$work/answer" --write-out '%{http_code}' "http://$address$2"; }
unload() { [ "$(ask "{\"model\": \"$1\", \"keep_alive\": 0, \"stream\": false}" /api/generate)" ] || true; }
# Models that only embed refuse to generate.
load() {
    status=$(ask "{\"model\": \"$1\", \"stream\": false}" /api/generate) || return
    if [ "$status" = 400 ] && grep -q 'does not support' "$work/answer"; then
        status=$(ask "{\"model\": \"$1\", \"input\": \"x\"}" /api/embed) || return
    fi
    [ "$status" = 200 ] || { printf '%s: HTTP %s: ' "$1" "$status" && cat "$work/answer"; } >&2
    [ "$status" = 200 ]
}
# Move $work/$1/$2 to its place; the directories that are missing on the way come along, so that none is ever empty.
place() {
    [ -e "$work/$1/$2" ] || return 0
    top=$2
    while [ ! -d "$manifests/$(dirname "$top")" ]; do top=$(dirname "$top"); done
    mv -fT "$work/$1/$top" "$manifests/$top"
}
# The directories that become empty go at once: Ollama would stumble over them.
take_away() {
    rm -f "$manifests/$1"
    (cd "$manifests" && rmdir -p --ignore-fail-on-non-empty "$(dirname "$1")" 2>/dev/null) || true
}
changed() { all manifest | cut -d ' ' -f 1 && all remove; }
put_back() {
    changed | while read -r path; do
        if [ -e "$work/before/$path" ]; then place before "$path"; else take_away "$path"; fi
    done
}

all manifest | while read -r path text; do
    mkdir -p "$work/new/$(dirname "$path")"
    printf %s "$text" | base64 -d >"$work/new/$path"
done
changed | while read -r path; do
    [ ! -e "$manifests/$path" ] || { mkdir -p "$work/before/$(dirname "$path")" && cp -p "$manifests/$path" "$work/before/$path"; }
done
sync -f "$work/wanted"

[ -z "$address" ] || all unload | while read -r model; do unload "$model"; done
all manifest | while read -r path _; do place new "$path"; done
all remove | while read -r path; do take_away "$path"; done
sync -f "$manifests"
if [ -n "$address" ]; then
    all load | while read -r model; do
        echo "loading $model"
        load "$model" || exit 1
    done || {
        put_back
        echo "what was published before is there again" >&2
        exit 1
    }
fi

all set | base64 -d >"$state/.$number.json"
mv "$state/.$number.json" "$state/$number.json"
