"""The job with pyinfra: ``pyinfra WORK/inventory.py bench/job/pyinfra_deploy.py --data work=WORK -y``."""

from __future__ import annotations

from pyinfra import host
from pyinfra.operations import files, server

K3S = "/etc/rancher/k3s"
CHECKS = {
    "version of K3s": "k3s --version",
    "service": "systemctl is-active k3s",
    "images": "k3s crictl images -o json",
    "GPUs": "nvidia-smi -L",
    "store of the models": "test -d /var/lib/ollama/blobs",
    "free space": "df -P -B1 /var/lib/rancher",
}
APPLY = "k3s kubectl apply --server-side --field-manager=scout-ollama --filename"

work = host.data.work
for source, target, mode in (
    ("registry-ca.crt", "scout-ollama-registry-ca.crt", "644"),
    ("registries.yaml", "registries.yaml", "600"),
):
    files.put(name=target, src=f"{work}/{source}", dest=f"{K3S}/{target}", mode=mode, _sudo=True)
for name, command in CHECKS.items():
    server.shell(name=name, commands=[command], _sudo=True)
if "kubernetes" in host.groups:
    files.put(name="manifests", src=f"{work}/manifests.yaml", dest="/root/manifests.yaml", mode="600", _sudo=True)
    server.shell(name="objects", commands=[f"{APPLY} /root/manifests.yaml"], _sudo=True)
