"""``scripts/bench``: measure, print tables, write ``bench/results.json``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import copying, deploy, environment, scale, startup, tables, targets
from bench.metering import ROOT
from bench.results import Measurement, Results
from scout_ollama.errors import Trouble

PARTS: dict[str, Callable[[argparse.Namespace], Iterator[Measurement]]] = {
    "deploy": lambda wanted: deploy.measure(wanted.hosts, wanted.rounds, say),
    "copying": lambda wanted: copying.measure(wanted.nodes, wanted.rounds, wanted.rate, wanted.megabytes, say),
    "startup": lambda wanted: startup.measure(wanted.rounds, say),
    "scale": lambda wanted: scale.measure(wanted.scale, say),
}


def say(line: str) -> None:
    """Tell the person who waits what is going on."""
    print(f"== {line}", file=sys.stderr, flush=True)


def main() -> None:
    """Measure the parts that are wanted, all of them by default."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description="This project beside others, on the lab.")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)}; all by default")
    parser.add_argument("--hosts", type=int, nargs="+", default=[3, 10, 40], help="deploy: on how many")
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 3, 20], help="copying: to how many")
    parser.add_argument("--rate", type=int, default=40, help="copying: of each link, in Mbit/s")
    parser.add_argument("--megabytes", type=int, default=40, help="copying: of how much")
    parser.add_argument("--scale", type=int, nargs="+", default=[100, 300, 1000], help="scale: on how many hosts")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=ROOT / "bench/results.json")
    wanted = parser.parse_args()
    if unknown := set(wanted.parts) - set(PARTS):
        parser.error(f"no part is called {', '.join(sorted(unknown))}; parts are {', '.join(PARTS)}")
    where = environment.here()
    measurements: list[Measurement] = []
    troubles = []
    for part in wanted.parts or PARTS:
        troubles.append(measure(part, wanted, measurements))
        results = Results(environment=where, measurements=measurements, verdicts=targets.verdicts(measurements))
        results.save(wanted.output)  # now, as the next part takes long and may be cut off
    print("\n".join(tables.lines(results)))
    sys.exit("\n".join(str(trouble) for trouble in troubles if trouble) or None)


def measure(part: str, wanted: argparse.Namespace, measurements: list[Measurement]) -> Trouble | None:
    """Measure a part; what ends it before its end is returned, and what was measured until then is kept."""
    try:
        for one in PARTS[part](wanted):
            measurements.append(one)
    except Trouble as trouble:
        return trouble
    return None


if __name__ == "__main__":
    main()
