"""Names in pods: what CoreDNS would answer, as the pod's /etc/hosts. The host's own names stand for the DNS outside."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from lab.standins.k3s.launch import etc_hosts
from lab.standins.k3s.objects import Object, name_of, namespace_of, uid_of

OUTSIDE = Path("/etc/hosts")


def write(pod: Object, address: str, services: Iterable[Object]) -> None:
    """Write the pod's file for the first time."""
    path = etc_hosts(uid_of(pod))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(pod, address, services, OUTSIDE.read_text()))


def refresh(pod: Object, address: str, services: Iterable[Object]) -> None:
    """Bring the file up to date, in place as running containers have it mounted; nothing happens when it is gone."""
    text = render(pod, address, services, OUTSIDE.read_text())
    with suppress(FileNotFoundError), etc_hosts(uid_of(pod)).open("r+") as file:
        if file.read() != text:
            file.seek(0)
            file.write(text)
            file.truncate()


def render(pod: Object, address: str, services: Iterable[Object], outside: str) -> str:
    """The file's text: the pod itself, the cluster's services, then what the outside says."""
    lines = ["# Kubernetes-managed hosts file.", "127.0.0.1\tlocalhost", f"{address}\t{name_of(pod)}"]
    for service in sorted(services, key=lambda s: (namespace_of(s), name_of(s))):
        ip = service["spec"].get("clusterIP")
        if ip and ip != "None":
            qualified = f"{name_of(service)}.{namespace_of(service)}"
            names = [f"{qualified}.svc.cluster.local", f"{qualified}.svc", qualified]
            short = [name_of(service)] if namespace_of(service) == namespace_of(pod) else []
            lines.append(f"{ip}\t{' '.join([*names, *short])}")
    return "\n".join([*lines, outside])
