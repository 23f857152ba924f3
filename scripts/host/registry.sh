# Sent after emit.sh, in front of scripts that ask the registry: what reads its credentials and asks it.
# Standard input: a line for curl's configuration with the registry's credentials, or an empty one; then its CA, or nothing.
# shellcheck shell=sh
read -r registry_credentials
registry_authority=$(cat)

# ask_registry URL [ARG...]: print the HTTP status. Credentials go to curl by a descriptor, never in its arguments.
ask_registry() {
    registry_url=$1
    shift
    [ -z "$registry_authority" ] || set -- --cacert /dev/stdin "$@"
    printf '%s\n' "$registry_authority" | curl --config /dev/fd/3 --silent --show-error --output /dev/null \
        --write-out '%{http_code}' --connect-timeout 5 "$@" "$registry_url" 3<<CONFIGURATION
$registry_credentials
CONFIGURATION
}
