"""What the service writes to its journal: lines as K3s's logrus makes them."""

import sys

from lab.standins.k3s.objects import timestamp


def log(level: str, message: str) -> None:
    """One line; debug ones are left out, as K3s does without --debug."""
    if level != "debug":
        quoted = message.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        print(f'time="{timestamp()}" level={level} msg="{quoted}"', file=sys.stderr, flush=True)
