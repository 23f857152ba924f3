"""The part *scale*: what many hosts and clusters cost the runner. One host of the lab answers at as many ports.

Every host is real for the runner: a connection, a handshake and a script each; all of them share this machine's cores
with it, so wall time is an upper bound.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import yaml

from bench.contenders import INV
from bench.metering import sample
from bench.results import Measurement
from lab.lab import Lab
from lab.topology import ssh_hosts

JOB = "scale"
NODE = "node-1"
FIRST_PORT = 20_000
REDIRECT = """
add table ip scale
add chain ip scale prerouting {{ type nat hook prerouting priority -100; }}
add rule ip scale prerouting tcp dport {first}-{last} redirect to :22
"""
COMMANDS = {
    "inv list-hosts": (("list-hosts",), 0),
    "inv exec": (("exec", "--hosts=*", "--yes", "--", "true"), 0),
    "inv status": (("status",), 1),
}
"""The commands, each with its exit status: there is no K3s on these hosts, and status says so of every one."""


def measure(hosts: Sequence[int], say: Callable[[str], None]) -> Iterator[Measurement]:
    """Measure, once each, reading the inventory, one command on one cluster, and the status of clusters of two."""
    say("scale: one host of the lab answers for all")
    with Lab.running(f"scale-{os.getpid()}", ssh_hosts(1), k3s=False) as lab, tempfile.TemporaryDirectory() as scratch:
        answer_at(lab, max(hosts))
        for count in hosts:
            for name, (words, status) in COMMANDS.items():
                per_cluster = count if name == "inv exec" else 2
                site = Path(scratch) / f"{count}-{per_cluster}"
                if not site.exists():
                    site.mkdir()
                    write_site(lab, site, count, per_cluster)
                say(f"scale: {name} on {count} hosts")
                environment = {"SCOUT_SITE": str(site), "XDG_STATE_HOME": str(Path(scratch) / "home")}
                took = sample([INV, *words], environment, status)
                case = f"in {count // per_cluster} clusters" if per_cluster == 2 else "in 1 cluster"
                yield Measurement(job=JOB, case=case, hosts=count, contender=name, rounds=[took])


def answer_at(lab: Lab, ports: int) -> None:
    """Let the host answer SSH at ``ports`` further ports, and many logins at once as so many hosts would."""
    host = lab.host(NODE)
    host.run(["nft", "-f", "-"], input=REDIRECT.format(first=FIRST_PORT, last=FIRST_PORT + ports - 1))
    host.run(["tee", "/etc/ssh/sshd_config.d/many.conf"], input="MaxStartups 1000\n")
    host.run(["sh", "-c", "kill -HUP $(cat /run/sshd.pid)"])


def write_site(lab: Lab, site: Path, hosts: int, per_cluster: int) -> None:
    """Write the inventory of ``hosts`` Scout hosts in clusters of ``per_cluster``, that are the lab's one host."""
    address = lab.host(NODE).address
    key = (lab.site / "known_hosts").read_text().split(None, 1)[1]
    known = [f"[{address}]:{FIRST_PORT + number} {key}" for number in range(hosts)]
    (site / "known_hosts").write_text("".join(known))
    for first in range(0, hosts, per_cluster):
        members = {
            f"host-{number}": {"address": address, "roles": ["server"], "ssh": {"port": FIRST_PORT + number}}
            for number in range(first, first + per_cluster)
        }
        cluster = {
            "kind": "scout",
            "environment": "non-phi",
            "ssh": {"user": "scout", "key_file": str(lab.site / "keys/operator")},
            "hosts": members,
            "ollama_mode": "disabled",
        }
        (site / f"cluster-{first // per_cluster}.yaml").write_text(yaml.safe_dump(cluster))
