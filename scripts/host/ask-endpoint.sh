#!/bin/sh
# Ask a shared Ollama over TLS, as a Scout does: by its name, then on each of its nodes. Read-only.
# Needs emit.sh, together.sh and endpoint.sh in front, which also says what the arguments are.
# shellcheck disable=SC2154  # hostname is endpoint.sh's
begin tags ask "https://$hostname/api/tags"
begin certificate certificate "$hostname"
for address in "$@"; do
    begin "version@$address" ask --resolve "$hostname:443:$address" "https://$hostname/api/version"
    begin "certificate@$address" certificate "$address"
done
