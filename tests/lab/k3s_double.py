"""A stand-in for a K3s binary, made of the control plane that the lab can build.

It takes the flags of K3s that the lab gives, and refuses all others. As K3s it is one file, which unpacks its programs
when it is called, and is kubectl when it is called that.
"""

from pathlib import Path

# Of pkg/cli/cmds/server.go in k3s-io/k3s: those of `k3s server` that the lab gives.
SCRIPT = r"""
set -eu
unpacked=/var/lib/k3s-double
if [ ! -e $unpacked/kubectl ]; then
    mkdir -p $unpacked
    tail -c "$BOTH" "$0" | head -c "$PLANE" >$unpacked/kubernetes
    tail -c "$KUBECTL" "$0" >$unpacked/kubectl
    chmod 755 $unpacked/kubernetes $unpacked/kubectl
fi
[ "${0##*/}" != kubectl ] || exec $unpacked/kubectl "$@"
[ "$1" = server ] || { echo "No help topic for '$1'" >&2; exit 3; }
shift
for flag; do
    value=${flag#*=}
    case $flag in
    --data-dir=*) data=$value ;;
    --advertise-address=*) address=$value ;;
    --tls-san=*) name=$value ;;
    --kube-apiserver-arg=token-auth-file=*) tokens=${value#*=} ;;
    --kube-apiserver-arg=kubelet-certificate-authority= | --kube-controller-manager-arg=node-monitor-*=*) ;;
    --disable-agent | --disable-cloud-controller | --disable-helm-controller | --disable-network-policy) ;;
    --disable=* | --egress-selector-mode=disabled | --flannel-backend=none | --write-kubeconfig=*) ;;
    *) echo "Incorrect Usage: flag provided but not defined: ${flag%%=*}" >&2; exit 1 ;;
    esac
done
tls=$data/server/tls
mkdir -p "$tls/own"
cp "$tls/server-ca.crt" "$tls/own/ca.crt"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj /CN=k3s \
    -addext "subjectAltName=IP:$name,IP:127.0.0.1,IP:10.43.0.1,DNS:localhost" \
    -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=serverAuth,clientAuth \
    -CA "$tls/server-ca.crt" -CAkey "$tls/server-ca.key" \
    -keyout "$tls/own/server.key" -out "$tls/own/server.crt" 2>/dev/null
exec $unpacked/kubernetes -data "$data/db" -tls "$tls/own" -address "$address" -tokens "$tokens"
"""


def make(file: Path, built: Path) -> Path:
    """Write it; ``built`` is the directory that scripts/build-kubernetes says."""
    plane, kubectl = ((built / name).read_bytes() for name in ("kubernetes", "kubectl"))
    sizes = f"KUBECTL={len(kubectl)} PLANE={len(plane)} BOTH={len(plane) + len(kubectl)}"
    file.write_bytes(f"#!/bin/sh\n{sizes}{SCRIPT}".encode() + plane + kubectl)
    file.chmod(0o755)
    return file
