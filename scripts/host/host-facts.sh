#!/bin/sh
# What is there on one host, read-only. Needs emit.sh, registry.sh and k3s.sh in front of it, and root.
# Arguments: STORE directory of the models; REGISTRY its URL, or "" for none.
# shellcheck disable=SC2317  # functions are called through emit
store=$1
registry=$2
k3s_config=/etc/rancher/k3s
containerd=/var/lib/rancher/k3s/agent/etc/containerd/config.toml
rendered=/var/lib/rancher/k3s/agent/etc/containerd/certs.d

# The nearest existing directory answers for one that is not there yet.
existing() {
    directory=$1
    while [ ! -d "$directory" ]; do directory=$(dirname "$directory"); done
    echo "$directory"
}
# Bytes free and bytes in all.
space() { df -P -B1 "$(existing "$1")" | awk 'NR == 2 { print $4, $2 }'; }
# A read-only file system refuses root as well.
writable() { [ -w "$(existing "$1")" ]; }
# K3s renders its registries at start only: what it rendered is older than a file that it has not read.
registries_loaded() {
    [ ! -e "$k3s_config/registries.yaml" ] && return
    newer=$(find "$rendered" -name hosts.toml -newer "$k3s_config/registries.yaml" 2>/dev/null | head -n 1)
    [ -n "$newer" ]
}
store_directories() { [ -d "$store/manifests" ] && [ -d "$store/blobs" ]; }
driver() { timeout 20 nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -n 1; }
# Where K3s looks for the NVIDIA runtime, and in this order; it looks at its start only.
toolkit() { PATH=/usr/local/nvidia/toolkit:$PATH command -v nvidia-container-runtime; }
runtime_loaded() { grep -Eq "runtimes\\.[\"']?nvidia[\"']?\\]" "$containerd"; }
drop_ins() { grep '^imports' "$containerd"; }
default_runtime() { cat "$k3s_config/config.yaml" "$k3s_config"/config.yaml.d/*.yaml 2>/dev/null | sed -n 's/^default-runtime: *//p' | tail -n 1; }

emit clock date +%s
emit k3s.version k3s --version
emit k3s.unit k3s_unit
emit k3s.active k3s_active
emit k3s.writable writable "$k3s_config"
emit registries cat "$k3s_config/registries.yaml"
emit registries.authority cat "$k3s_config/scout-ollama-registry-ca.crt"
emit registries.loaded registries_loaded
emit images k3s crictl images -o json
emit gpus timeout 20 nvidia-smi -L
# Where the GPUs do not answer the same command would only hang a second time.
# shellcheck disable=SC2154  # emit_status is emit.sh's
[ "$emit_status" -ne 0 ] || emit driver driver
emit toolkit toolkit
emit runtime.loaded runtime_loaded
emit runtime.drop_ins drop_ins
emit runtime.default default_runtime
emit store.directories store_directories
emit images.space space /var/lib/rancher
emit curl curl --version
[ -z "$registry" ] || emit registry ask_registry "$registry/v2/" --max-time 15
