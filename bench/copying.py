"""How long a blob takes to many nodes whose links are equally slow: through the chain, and directly.

``python -m bench.copying [--rate 40] [--megabytes 60] [--chain-only] [NODES…]``, as root on Linux: makes a lab, prints
a table, with what the simulation foretells.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import os
import re
import subprocess
import sys
import tempfile

from bench.simulation import chain_seconds, direct_seconds
from lab.lab import Lab
from lab.topology import ssh_hosts

STORE = "/var/lib/ollama"
SOURCE = "node-1"
EFFICIENCY = 0.93
"""What of a limited link is left for content: the rest are headers of Ethernet, IP, TCP and SSH."""


def measure(lab: Lab, nodes: list[str], size: int, rate: int, *, direct: bool) -> float:
    """Copy ``size`` random bytes to the nodes over links of ``rate`` Mbit/s; return seconds."""
    content = os.urandom(size)
    digest = hashlib.sha256(content).hexdigest()
    blob = lab.host(SOURCE).root / f"{STORE}/blobs/sha256-{digest}".strip("/")
    blob.write_bytes(content)
    for name in (SOURCE, *nodes):
        # Whatever this machine has: BBR keeps a node that receives and sends at once at 84 % of such a link.
        lab.host(name).run(["sysctl", "-w", "net.ipv4.tcp_congestion_control=reno"])
        lab.host(name).limit(f"{rate}mbit")
    lines = "".join(f"{node} sha256:{digest} {size}\n" for node in nodes)
    argv = [
        sys.executable,
        "-m",
        "bench.bring",
        str(lab.site),
        "nodes",
        SOURCE,
        STORE,
        *(["--direct"] if direct else []),
    ]
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "XDG_STATE_HOME": home}
        done = subprocess.run(argv, input=lines, capture_output=True, text=True, env=environment, check=False)
    seconds = re.search(r"^seconds ([\d.]+)$", done.stdout, re.MULTILINE)
    if done.returncode or not seconds:
        raise SystemExit(done.stderr)
    for name in (SOURCE, *nodes):
        lab.host(name).restore()
        (lab.host(name).root / f"{STORE}/blobs/sha256-{digest}".strip("/")).unlink()
    return float(seconds[1])


def main() -> None:
    """Print a line for each number of nodes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nodes", type=int, nargs="*", default=[1, 3])
    parser.add_argument("--rate", type=int, default=40, help="of each link, in Mbit/s")
    parser.add_argument("--megabytes", type=int, default=60)
    parser.add_argument("--chain-only", action="store_true", help="do not measure the direct way")
    wanted = parser.parse_args()
    size, bandwidth = wanted.megabytes * 1_000_000, wanted.rate * 1_000_000 / 8 * EFFICIENCY
    print(f"{wanted.megabytes} MB, {wanted.rate} Mbit/s: at least {size / bandwidth:.1f} s")
    print("nodes  chain s  foretold  direct s  foretold")
    with Lab.running(f"bench-{os.getpid()}", ssh_hosts(max(wanted.nodes) + 1), k3s=False) as lab:
        for host in lab.hosts:
            host.run(["mkdir", "-p", f"{STORE}/blobs"])
        for count in wanted.nodes:
            nodes = [f"node-{number}" for number in range(2, count + 2)]
            chain = measure(lab, nodes, size, wanted.rate, direct=False)
            direct = math.nan if wanted.chain_only else measure(lab, nodes, size, wanted.rate, direct=True)
            foretold = chain_seconds(count, size, bandwidth), direct_seconds(count, size, bandwidth)
            print(f"{count:5}  {chain:7.1f}  {foretold[0]:8.1f}  {direct:8.1f}  {foretold[1]:8.1f}", flush=True)


if __name__ == "__main__":
    main()
