"""Whether anything tried to leave a lab: what ``host/air-gap.nft`` counted. ``python -m lab.air_gap NAME`` tells."""

import json
import sys
from collections import defaultdict
from typing import Any


def by_port(listing: str) -> dict[str, list[str]]:
    """From nft's JSON listing of the table: what came in at each port of the switch, as ``192.0.2.1: 3 packets``."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for entry in json.loads(listing)["nftables"]:
        for element in entry.get("set", {}).get("elem", []):
            port, tried = _read(element["elem"])
            found[port].append(tried)
    return {port: sorted(tried) for port, tried in found.items()}


def _read(element: dict[str, Any]) -> tuple[str, str]:
    port, address = element["val"]["concat"]
    packets = element["counter"]["packets"]
    return port, f"{address}: {packets} packet{'s' if packets != 1 else ''}"


def main(name: str) -> int:
    """Print a line about the lab ``name``; the exit status is 1 if something tried to leave it."""
    from lab import record
    from lab.containers import Containers
    from lab.lab import Lab
    from scout_ollama.errors import Trouble

    try:
        if record.load(name).engine == Containers.name:
            print("air gap: not counted, because this lab's hosts are containers; they have no route to the outside")
            return 0
        tried = Lab.load(name).tried_to_leave()
    except Trouble as trouble:
        print(trouble, file=sys.stderr)
        return 1
    for host, addresses in tried.items():
        print(f"air gap: {host} tried to reach {'; '.join(addresses)}")
    if not tried:
        print("air gap: no packet tried to leave the lab's hosts")
    return 1 if tried else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
