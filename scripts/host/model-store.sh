#!/bin/sh
# What is in one model store, read-only. Needs emit.sh in front, and root.
# Arguments: STORE directory that holds blobs/ and manifests/; STATE directory of what is kept about this host.
# Names in a store may be anything: what is not checked here is printed in base64.
# shellcheck disable=SC2317  # functions are called through emit
store=$1 state=$2/models
encoded() { base64 -w 0; }

# A server of NFS that is away would hold up everything else.
answers() { timeout -k 1 20 stat --file-system --format=%T "$store"; }
directories() { [ -d "$store/manifests" ] && [ -d "$store/blobs" ]; }
mounted() { findmnt --noheadings --output FSTYPE,SOURCE --target "$store"; }
# The path and the text of each; what is larger than that is no manifest.
manifests() {
    cd "$store/manifests" &&
        find . -mindepth 4 -maxdepth 4 -type f -size -4096k -exec sh -c '
            for path; do
                printf "%s %s\n" "$(printf %s "${path#./}" | base64 -w 0)" "$(base64 -w 0 <"$path")"
            done' sh {} +
}
blobs() { cd "$store/blobs" && find . -maxdepth 1 -type f -name 'sha256-*' -printf '%f %s %T@ %i\n'; }
# What parameters a variant has stands in a blob of some hundred bytes.
small() {
    cd "$store/blobs" &&
        find . -maxdepth 1 -type f -name 'sha256-*' -size -5k -exec sh -c '
            for path; do printf "%s %s\n" "${path#./}" "$(base64 -w 0 <"$path")"; done' sh {} +
}
incoming() {
    [ ! -d "$store/.scout-ollama/incoming" ] ||
        find "$store/.scout-ollama/incoming" -maxdepth 1 -type f -name 'sha256-*' -printf '%f %s\n'
}
verified() { cat "$state/verified-$(printf %s "$store" | sha256sum | head -c 12)"; }
sets() {
    for file in "$state"/[1-9]*.json; do
        [ ! -e "$file" ] || printf '%s %s\n' "$(basename "$file" .json)" "$(encoded <"$file")"
    done
}

emit sets sets
emit answers answers
emit directories directories
# shellcheck disable=SC2154  # emit_status is emit.sh's
[ "$emit_status" -eq 0 ] || exit 0
emit mounted mounted
emit space df -P -B1 "$store"
emit manifests manifests
emit blobs blobs
emit small small
emit incoming incoming
emit verified verified
