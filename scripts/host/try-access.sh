#!/bin/sh
# Try every way to a shared Ollama that may be open to nobody, or not to this host. Read-only, and harmless also where a
# way is open: an empty JSON object names no model, so Ollama refuses it, and HEAD only asks whether a blob is there.
# Needs emit.sh, together.sh and endpoint.sh in front, which also says what the arguments are.
# shellcheck disable=SC2154  # hostname is endpoint.sh's
begin https knock "https://$hostname/api/version"
begin http knock "http://$hostname/api/version"
for address in "$@"; do
    begin "https@$address" knock --resolve "$hostname:443:$address" "https://$hostname/api/version"
    begin "http@$address" knock --resolve "$hostname:80:$address" "http://$hostname/api/version"
    begin "port@$address" knock "http://$address:11434/api/version"
done

no_blob=sha256:0000000000000000000000000000000000000000000000000000000000000000
begin blobs knock --head --output /dev/null "https://$hostname/api/blobs/$no_blob"
begin delete knock --request DELETE --data '{}' --output /dev/null "https://$hostname/api/delete"
for path in pull push create copy; do
    begin "$path" knock --request POST --data '{}' --output /dev/null "https://$hostname/api/$path"
done
