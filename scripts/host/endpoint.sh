# Sent after together.sh, in front of scripts that ask a shared Ollama from outside its cluster.
# Arguments: HOSTNAME of the endpoint; then the ADDRESSes of its nodes ([…] around IPv6).
# Standard input: the certificate of the authority to trust, or nothing for the system's.
# shellcheck shell=sh disable=SC2317  # functions are called through begin
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
# Of what s_client says, the certificate; it fails when there is none.
certificate() {
    set -- "$(timeout 5 openssl s_client -connect "$1:443" -servername "$hostname" </dev/null 2>/dev/null |
        sed -n '/^-----BEGIN CERTIFICATE/,/^-----END CERTIFICATE/p')"
    [ -n "$1" ] && printf '%s\n' "$1"
}
# What an unauthorised client would do: no certificate is verified, and no proxy gets between.
# Prints the body, then a line with the status, the seconds until connected (0 if it never was) and the type of the body.
knock() {
    curl --silent --show-error --insecure --noproxy '*' --http1.1 --connect-timeout 3 --max-time 8 \
        --write-out '\nanswer %{http_code} %{time_connect} %{content_type}\n' "$@"
}
