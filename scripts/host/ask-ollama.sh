#!/bin/sh
# Ask an Ollama by its URL, then on each of its nodes which models it has, and which in memory. Read-only.
# Needs emit.sh, together.sh and endpoint.sh in front, whose HOSTNAME is here HOST:PORT, followed by the URL.
# shellcheck disable=SC2154  # hostname is endpoint.sh's
url=$1
shift
begin version ask "$url/api/version"
begin tags ask "$url/api/tags"
begin ps ask "$url/api/ps"
for address in "$@"; do
    begin "tags@$address" ask --resolve "$hostname:$address" "$url/api/tags"
    begin "ps@$address" ask --resolve "$hostname:$address" "$url/api/ps"
done
