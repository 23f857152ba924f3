#!/bin/sh
# Remove models from one node. Needs root. Arguments: STORE; STATE directory of what is kept about this host;
#   ADDRESS:PORT of this node's Ollama pod, or "" if it has none.
# Standard input, lines, the last one "end": unload MODEL; manifest PATH; blob NAME; set NUMBER. Made in this order.
set -eu
store=$1 state=$2/models address=$3
pulled=$store/.scout-ollama/pulled # what this node pulled itself, if it did: the same files by another name
wanted=$(cat)
case $wanted in
*end) ;;
*) echo "the list did not arrive whole: nothing was removed" >&2 && exit 1 ;;
esac
all() { printf '%s\n' "$wanted" | sed -n "s/^$1 //p"; }

all unload | while read -r model; do
    curl --silent --show-error --max-time 60 --output /dev/null \
        --data "{\"model\": \"$model\", \"keep_alive\": 0, \"stream\": false}" "http://$address/api/generate"
done
for tree in "$store/manifests" "$pulled/manifests"; do
    [ -d "$tree" ] || continue
    cd "$tree"
    all manifest | while read -r path; do
        rm -f "$path"
        # Ollama would stumble over an empty directory.
        rmdir -p --ignore-fail-on-non-empty "$(dirname "$path")" 2>/dev/null || true
    done
done
cd "$store/manifests"
all blob | while read -r blob; do
    if grep -rqF "sha256:${blob#sha256-}" .; then
        echo "$blob stays: a manifest names it now"
    else
        rm -f "$store/blobs/$blob" "$pulled/blobs/$blob"
    fi
done
all set | while read -r number; do rm -f "$state/$number.json"; done
