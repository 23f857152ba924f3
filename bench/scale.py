"""What many hosts and clusters cost the runner: one host of the lab answers at as many ports as there shall be hosts.

``python -m bench.scale [HOSTS…]``, as root on Linux: prints a table. Every host is real for the runner: a connection,
a handshake and a script each; all of them share this machine's cores with it, so wall time is an upper bound.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

from lab.lab import Lab
from lab.topology import ssh_hosts

NODE = "node-1"
FIRST_PORT = 20_000
INV = (sys.executable, "-m", "invoke")
REDIRECT = """
add table ip scale
add chain ip scale prerouting {{ type nat hook prerouting priority -100; }}
add rule ip scale prerouting tcp dport {first}-{last} redirect to :22
"""
COMMANDS = {
    "inventory": (("list-hosts",), 0),
    "one command": (("exec", "--hosts", "*", "--yes", "--", "true"), 0),
    "status": (("status",), 1),
}
"""The commands, each with its exit status: there is no K3s on these hosts, and status says so of every one."""


@dataclass(frozen=True)
class Cost:
    """Seconds of wall time, seconds of the runner's CPU, and its peak memory in MB."""

    wall: float
    cpu: float
    memory: float


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


def cost_of(words: tuple[str, ...], status: int, site: Path, home: Path) -> Cost:
    """Run a command on a site. Exits if it does not end as it should."""
    environment = {**os.environ, "SCOUT_SITE": str(site), "XDG_STATE_HOME": str(home)}
    began = time.monotonic()
    with (home.parent / "said").open("w+") as said:
        child = subprocess.Popen([*INV, *words], env=environment, stdout=said, stderr=said)
        _, ended, used = os.wait4(child.pid, 0)
        said.seek(0)
        if os.waitstatus_to_exitcode(ended) != status:
            raise SystemExit(f"inv {' '.join(words)} failed:\n{said.read()[-2000:]}")
    return Cost(time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6)


def main() -> None:
    """Print a line for each number of hosts and each command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hosts", type=int, nargs="*", default=[100, 300, 1000])
    wanted = parser.parse_args().hosts
    print("hosts  clusters  command      wall s  runner's CPU s  peak MB")
    with Lab.running(f"scale-{os.getpid()}", ssh_hosts(1), k3s=False) as lab, tempfile.TemporaryDirectory() as scratch:
        answer_at(lab, max(wanted))
        for hosts in wanted:
            for name, (words, status) in COMMANDS.items():
                per_cluster = hosts if name == "one command" else 2
                site = Path(scratch) / f"{hosts}-{per_cluster}"
                if not site.exists():
                    site.mkdir()
                    write_site(lab, site, hosts, per_cluster)
                cost = cost_of(words, status, site, Path(scratch) / "home")
                line = f"{hosts:5}  {hosts // per_cluster:8}  {name:11}  {cost.wall:6.1f}  {cost.cpu:14.1f}"
                print(f"{line}  {cost.memory:7.0f}", flush=True)


if __name__ == "__main__":
    main()
