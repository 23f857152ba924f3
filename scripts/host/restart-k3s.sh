#!/bin/sh
# Restart K3s and wait until its service is up and this node is Ready again. Running pods keep running. Needs root.
# Arguments: UNIT (k3s or k3s-agent); NODE its name in the cluster; TIMEOUT seconds.
set -eu
unit=$1
node=$2
timeout=$3

deadline=$(($(cut -d. -f1 /proc/uptime) + timeout))
remaining() { echo $((deadline - $(cut -d. -f1 /proc/uptime))); }
fail() {
    echo "$1" >&2
    journalctl -u "$unit" -n 5 --no-pager >&2 || true
    exit 1
}

# What has begun must end: whoever asked may be gone (Ctrl-C, a cut link) while K3s is between stop and start.
trap '' HUP PIPE
said=$(systemctl restart "$unit" 2>&1) || fail "systemctl restart $unit failed: $said"
until [ "$(systemctl is-active "$unit")" = active ]; do
    [ "$(remaining)" -gt 0 ] || fail "$unit is not active $timeout seconds after its restart"
    sleep 1
done
# An agent has no kubeconfig but its kubelet's, which may look at its own node.
kubeconfig=/etc/rancher/k3s/k3s.yaml
[ "$unit" = k3s ] || kubeconfig=/var/lib/rancher/k3s/agent/kubelet.kubeconfig
ready() {
    k3s kubectl --kubeconfig "$kubeconfig" --request-timeout=5s wait --for=condition=Ready "node/$node" --timeout=5s
}
until ready >/dev/null 2>&1; do
    [ "$(remaining)" -gt 0 ] || fail "node $node is not Ready $timeout seconds after the restart of $unit"
    sleep 1
done
