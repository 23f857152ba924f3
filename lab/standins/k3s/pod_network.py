"""A pod's network namespace: one veth to its node, which routes.

Every packet between pods passes the node's forward hook, also between two pods of one node, so network policies see
them all.
"""

import subprocess
from pathlib import Path

from lab.standins.k3s.hostinfo import HostInfo

NETNS = Path("/run/netns")


def prepare_node(host: HostInfo) -> None:
    """Let the node route: forwarding, its own address in the pod network, routes to the other nodes' pods."""
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    if not Path("/sys/class/net/cni0").exists():
        _ip_batch(["link add cni0 type bridge"])
    lines = ["link set cni0 up", f"addr replace {host.me.pod_gateway}/24 dev cni0"]
    lines += [f"route replace {p.pod_cidr} via {p.address}" for p in host.peers if p is not host.me]
    _ip_batch(lines)


def create(uid: str, address: str, gateway: str) -> Path:
    """Make the pod's namespace with `address` on eth0; the namespace's file. Raises CalledProcessError."""
    namespace, veth = _names(uid)
    _ip_batch([f"netns add {namespace}", f"link add {veth} type veth peer name eth0 netns {namespace}"])
    inside = ["link set lo up", "link set eth0 up", f"addr add {address}/32 dev eth0"]
    inside += [f"route add {gateway} dev eth0 scope link", f"route add default via {gateway}"]
    _ip_batch(inside, namespace)
    _ip_batch([f"link set {veth} up", f"route replace {address} dev {veth} src {gateway}"])
    return NETNS / namespace


def remove(uid: str) -> None:
    """Remove the namespace, and with it the veth and its route. Nothing happens when there is none."""
    namespace, _ = _names(uid)
    if (NETNS / namespace).exists():
        subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)


def find(uid: str) -> Path | None:
    """The pod's namespace, if it has one."""
    path = NETNS / _names(uid)[0]
    return path if path.exists() else None


def free_address(host: HostInfo, taken: set[str]) -> str:
    """An address of the node's range that no pod has. Raises LookupError when all are taken."""
    prefix = host.me.pod_gateway.rsplit(".", 1)[0]
    for last in range(2, 255):
        if f"{prefix}.{last}" not in taken:
            return f"{prefix}.{last}"
    raise LookupError("no IP addresses available in range set")


def _names(uid: str) -> tuple[str, str]:
    short = uid.replace("-", "")[:11]
    return f"cni-{short}", f"veth{short}"


def _ip_batch(lines: list[str], namespace: str = "") -> None:
    command = ["ip", *(["-n", namespace] if namespace else []), "-batch", "-"]
    subprocess.run(command, input="\n".join(lines), text=True, check=True, capture_output=True)
