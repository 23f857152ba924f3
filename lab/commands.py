"""``inv lab-up`` and ``inv lab-down``."""

import sys
from pathlib import Path

from lab import inference, record
from lab.lab import Lab
from scout_ollama.errors import Trouble

DEFAULT_NAME = "lab"


def up(name: str = DEFAULT_NAME, *, engine: str | None = None, real_model: bool = False) -> None:
    """Make a lab and start it; print what there is and what to type next. What fails or is interrupted is removed."""
    lab = Lab.create(name, engine=engine, inference=_inference() if real_model else None)
    try:
        lab.up()
    except BaseException:
        lab.down()
        raise
    print(f"The lab {name} is up:")
    for host in lab.hosts:
        address, port = host.endpoint
        print(f"  {host.name:<16} {address}{'' if port == 22 else f' port {port}'}")
    address, port = lab.hosts[0].endpoint
    print(
        f"""
Next:
  export SCOUT_SITE={lab.site}
  inv list-hosts
  inv deploy-ollama --hosts phi --plan
  ssh -p {port} -i $SCOUT_SITE/keys/operator -o UserKnownHostsFile=$SCOUT_SITE/known_hosts scout@{address}
  inv lab-down --name {name}"""
    )


def _inference() -> Path | None:
    """The directory of the real model, or None where it cannot be had, which is told in one line."""
    try:
        return inference.directory()
    except Trouble as error:
        why = (error.why or error.what).strip().splitlines()[-1]
        print(f"lab: no real model here, the lab goes on with tiny ones: {why}", file=sys.stderr)
        return None


def down(name: str = DEFAULT_NAME) -> None:
    """End a lab, also one that crashed or was never finished."""
    Lab.load(name).down()
    rest = record.names()
    print(f"The lab {name} is gone." + (f" Still there: {', '.join(rest)}" if rest else ""))
