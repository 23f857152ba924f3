#!/bin/sh
# Wait until the GPU operator has put its container toolkit, and containerd's drop-in for it, onto this host. Read-only.
# Argument: SECONDS to wait at most. Needs root.
set -u
toolkit=/usr/local/nvidia/toolkit/nvidia-container-runtime
drop_in=/var/lib/rancher/k3s/agent/etc/containerd/config-v3.toml.d/99-nvidia.toml

deadline=$(($(cut -d. -f1 /proc/uptime) + $1))
until [ -x "$toolkit" ] && [ -e "$drop_in" ]; do
    [ "$(cut -d. -f1 /proc/uptime)" -lt "$deadline" ] || {
        echo "$toolkit and $drop_in are not both there after $1 seconds" >&2
        exit 1
    }
    sleep 1
done
