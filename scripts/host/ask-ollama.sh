#!/bin/sh
# Ask an Ollama by its URL, then on each of its nodes which models it has, and which in memory. Read-only.
# Needs emit.sh and together.sh in front. Arguments: URL; HOST:PORT of it; ADDRESS... of its nodes.
# Standard input: the certificate of the authority to trust, or nothing for the system's.
# shellcheck disable=SC2317  # functions are called through begin
url=$1 endpoint=$2
shift 2
authority=$(cat)

ask() {
    set -- --silent --show-error --fail --connect-timeout 5 --max-time 20 "$@"
    if [ -n "$authority" ]; then
        printf '%s\n' "$authority" | curl --cacert /dev/stdin "$@"
    else
        curl "$@"
    fi
}
begin version ask "$url/api/version"
begin tags ask "$url/api/tags"
begin ps ask "$url/api/ps"
for address in "$@"; do
    begin "tags@$address" ask --resolve "$endpoint:$address" "$url/api/tags"
    begin "ps@$address" ask --resolve "$endpoint:$address" "$url/api/ps"
done
