#!/bin/sh
# Ask a shared Ollama over TLS, as a Scout does. Read-only. Needs emit.sh in front.
# Arguments: HOSTNAME of the endpoint; then the ADDRESSes of its nodes ([…] around IPv6), each asked in turn.
# Standard input: the certificate of the authority to trust, or nothing for the system's.
# shellcheck disable=SC2317  # functions are called through emit
hostname=$1
shift
authority=$(cat)

ask() {
    set -- --silent --show-error --fail --connect-timeout 5 --max-time 20 "$@"
    if [ -n "$authority" ]; then
        printf '%s\n' "$authority" | curl --cacert /dev/stdin "$@"
    else
        curl "$@"
    fi
}
certificate() {
    timeout 10 openssl s_client -connect "$1:443" -servername "$hostname" </dev/null 2>/dev/null |
        openssl x509 -outform PEM
}

emit tags ask "https://$hostname/api/tags"
for address in "$@"; do
    emit "version@$address" ask --resolve "$hostname:443:$address" "https://$hostname/api/version"
    emit "certificate@$address" certificate "$address"
done
