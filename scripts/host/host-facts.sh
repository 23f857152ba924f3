#!/bin/sh
# What is there on one host, read-only. Needs emit.sh, together.sh, registry.sh and k3s.sh in front of it, and root.
# Arguments: STORE directory of the models; REGISTRY its URL, or "" for none.
# shellcheck disable=SC2317  # functions are called through emit and begin
store=$1
registry=$2
k3s_config=/etc/rancher/k3s
containerd=/var/lib/rancher/k3s/agent/etc/containerd

# The nearest directory that exists answers for one that is not there yet.
existing() {
    directory=$1
    while [ ! -d "${directory:=/}" ]; do directory=${directory%/*}; done
}
space() {
    existing "$1"
    df -P -B1 "$directory"
}
# A read-only file system refuses root as well.
writable() {
    existing "$1"
    [ -w "$directory" ]
}
# K3s renders its registries at start only: what it rendered is older than a file that it has not read.
registries_loaded() {
    [ -e "$k3s_config/registries.yaml" ] || return 0
    newer=$(find "$containerd/certs.d" -name hosts.toml -newer "$k3s_config/registries.yaml" -print -quit)
    [ -n "$newer" ]
}
store_directories() { [ -d "$store/manifests" ] && [ -d "$store/blobs" ]; }
# Where K3s looks for the NVIDIA runtime, and in this order; it looks at its start only.
toolkit() { PATH=/usr/local/nvidia/toolkit:$PATH command -v nvidia-container-runtime; }
default_runtime() { sed -n 's/^default-runtime: *//p' "$k3s_config/config.yaml" "$k3s_config"/config.yaml.d/*.yaml 2>/dev/null; }

# These take a real host long, each of them some tenths of a second or more.
begin k3s.version k3s --version
begin images k3s crictl images -o json
begin gpus timeout 20 nvidia-smi --query-gpu=index,driver_version --format=csv,noheader
[ -z "$registry" ] || begin registry ask_registry "$registry/v2/" --max-time 15
emit clock date +%s
emit k3s.unit k3s_unit
emit k3s.active k3s_active
emit k3s.writable writable "$k3s_config"
look registries "$k3s_config/registries.yaml"
look registries.authority "$k3s_config/scout-ollama-registry-ca.crt"
emit registries.loaded registries_loaded
emit toolkit toolkit
look runtime.containerd "$containerd/config.toml"
emit runtime.default default_runtime
emit store.directories store_directories
emit images.space space /var/lib/rancher
emit curl command -v curl
