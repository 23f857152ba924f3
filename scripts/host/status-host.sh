#!/bin/sh
# How one host is now, read-only and quick. Needs emit.sh, together.sh, k3s.sh and read-state.sh in front, and root.
# Arguments: those of read-state.sh; then STORE directory of models; KINDS of objects to ask Kubernetes for, or "ready"
# for whether it answers; "gpus". An empty one is not asked about.
# shellcheck disable=SC2317  # functions are called through begin
shift 2
store=$1
kinds=$2
gpus=$3

kubectl() { k3s kubectl --request-timeout=8s "$@"; }
api() {
    case $kinds in
    ready) kubectl get --raw /readyz ;;
    *) kubectl get "$kinds" --all-namespaces --output json ;;
    esac
}
# A server of NFS that is away would hold up everything else.
space() { [ -d "$store" ] && timeout -k 1 8 df -P -B1 "$store"; }
gpus() { timeout -k 1 8 nvidia-smi --query-gpu=memory.used,memory.total --format=csv,noheader,nounits; }

begin k3s k3s_active
[ -z "$kinds" ] || begin api api
[ -z "$store" ] || begin store space
[ -z "$gpus" ] || begin gpus gpus
