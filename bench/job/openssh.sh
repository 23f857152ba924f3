#!/bin/sh
# The job with OpenSSH alone, as the limit: one script a host, all hosts at once.
# Arguments: WORK, the directory with the files; SERVER, where to apply manifests, or ""; the hosts.
# The key exchange is the quickest of OpenSSH's own; its default costs 0.1 s of CPU more a host.
set -eu
work=$1
server=$2
shift 2
here=$(dirname "$0")
ssh="ssh -F $work/ssh_config -o KexAlgorithms=curve25519-sha256"

# keep FILE PATH MODE: what makes the file on a host what it is here.
keep() {
    printf "keep '%s' %s <<'END OF FILE'\n" "$2" "$3"
    cat "$work/$1"
    printf 'END OF FILE\n'
}
{
    cat "$here/openssh-host.sh"
    keep registry-ca.crt /etc/rancher/k3s/scout-ollama-registry-ca.crt 644
    keep registries.yaml /etc/rancher/k3s/registries.yaml 600
} >"$work/script.sh"
printf '%s\n' "$@" | xargs -P "$#" -I '{}' sh -c "$ssh {} sudo sh -s <'$work/script.sh' >/dev/null"
[ -z "$server" ] ||
    $ssh "$server" sudo k3s kubectl apply --server-side --field-manager=scout-ollama --filename - <"$work/manifests.yaml"
