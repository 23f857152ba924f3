"""Which of the networks 198.18.N.0/24 a lab may have, so that several labs run side by side on one machine."""

import json
import shutil
import tempfile
from ipaddress import IPv4Network
from pathlib import Path

from lab.process import run
from scout_ollama.errors import Trouble

RESERVATIONS = Path("/run/scout-lab")


def reserve(lab: Path) -> int:
    """The number of a network that is nobody's, from now on reserved for the lab whose state is in ``lab``."""
    RESERVATIONS.mkdir(parents=True, exist_ok=True)
    taken = _networks_of_the_machine()
    for number in range(1, 255):
        network = IPv4Network(f"198.18.{number}.0/24")
        if not any(network.overlaps(other) for other in taken) and _take(number, lab):
            return number
    raise Trouble("no network is free for another lab", why=f"all are reserved in {RESERVATIONS}", next="inv lab-down")


def release(lab: Path) -> None:
    """Give back what is reserved for the lab."""
    for owner in RESERVATIONS.glob("[0-9]*/lab"):
        if owner.read_text() == str(lab):
            shutil.rmtree(owner.parent)


def _take(number: int, lab: Path) -> bool:
    """Reserve the network unless it is reserved already; the reservation says whose it is from its first moment."""
    new = Path(tempfile.mkdtemp(dir=RESERVATIONS, prefix=".new-"))
    (new / "lab").write_text(str(lab))
    try:
        new.rename(RESERVATIONS / str(number))
    except OSError:
        shutil.rmtree(new)
        return False
    return True


def _networks_of_the_machine() -> list[IPv4Network]:
    """Where the machine itself has addresses or routes, the default route left out."""
    addresses = json.loads(run(["ip", "-json", "-4", "address"]).stdout)
    routes = json.loads(run(["ip", "-json", "-4", "route"]).stdout)
    found = [f"{a['local']}/{a['prefixlen']}" for interface in addresses for a in interface.get("addr_info", ())]
    found += [route["dst"] for route in routes if route["dst"] != "default"]
    return [IPv4Network(network, strict=False) for network in found]
