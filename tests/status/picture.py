"""Makes docs/status.png: the page of a site with one host drained and a last run that failed elsewhere.

``python -m tests.status.picture [DIRECTORY]`` writes it, and to a directory the same dark and on a phone.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from scout_ollama.audit import Record
from scout_ollama.facts import Sections
from scout_ollama.manifests import DRAINED, settings
from scout_ollama.models import wanted
from scout_ollama.state import State
from scout_ollama.status import page
from scout_ollama.status.document import SiteStatus
from tests import browser
from tests.status import readings
from tests.status.readings import NODES, Reading, answer

PICTURE = Path(__file__).parents[2] / "docs/status.png"
WIDTH, HEIGHT = 1040, 1090
GIB = 1 << 30
RUNS = (  # hours ago, command, result
    (167, "deploy-ollama --hosts phi", "done"),
    (143, "pull-models --hosts phi", "failed"),
    (142, "pull-models --hosts phi", "done"),
    (96, "verify-models --hosts phi --deep", "done"),
    (71, "deploy-ollama --hosts phi", "done"),
    (49, "rotate-tls --hosts phi", "done"),
    (26, "restart-ollama --hosts phi:gpu-1", "interrupted"),
    (25, "restart-ollama --hosts phi:gpu-1", "done"),
    (2, "drain-host --hosts phi:gpu-2", "done"),
)


def example(directory: Path) -> SiteStatus:
    """Return the status of a site that is there to be shown."""
    reading = readings.well(directory)
    drain(reading)
    models = [model.name for model in wanted.of(settings(reading.site.clusters["phi"]))]
    for name, names in ((NODES[0], ("gemma4-31b-long", "gpt-oss-120b-long")), (NODES[2], ("gemma4-31b-long",))):
        sizes = {"gemma4-31b-long": 41 * GIB, "gpt-oss-120b-long": 66 * GIB // 2}
        loaded = [{"name": n, "digest": "a" * 64, "size": sizes[n], "size_vram": sizes[n]} for n in names]
        tags = [{"name": str(model), "digest": hashlib.sha256(str(model).encode()).hexdigest()} for model in models]
        reading.say(name, ps=answer({"models": loaded}), tags=answer({"models": tags}))
    reading.change(NODES[0], kept=replace(readings.kept(reading.now), runs=runs(reading)))
    pulled = readings.record(reading.now - timedelta(hours=142), command="pull models for phi", cluster="staging")
    reading.change("staging-1", kept=State(None, [pulled], []))
    reading.change("scout-prod-1", "scout-preprod-1", kept=State(None, [], []))
    listed = reading.ollamas[NODES[0]]["tags"]
    reading.endpoints = {name: Sections({**said, "tags": listed}) for name, said in reading.endpoints.items()}
    for name in (*NODES, "staging-1"):
        store = reading.hosts[name].store
        assert store
        reading.change(name, store=store._replace(free=1_240_000_000_000, total=3_800_000_000_000))
    return reading.judged()


def drain(reading: Reading) -> None:
    """Take the second node out of service."""
    note = "ada@laptop-1: fan 3 is loud"
    marked = {"labels": {DRAINED: "true"}, "annotations": {DRAINED: note}}
    reading.edit(lambda node: node["metadata"].update(marked), NODES[1])
    rest = tuple(obj for obj in reading.objects if obj["metadata"]["name"] != f"ollama-{NODES[1]}")
    reading.change(*NODES, objects=rest)
    del reading.ollamas[NODES[1]]


def runs(reading: Reading) -> list[Record]:
    """Return a week of them."""
    reasons = {"drain-host": "fan 3 is loud", "rotate-tls": "yearly renewal"}
    return [
        readings.record(
            reading.now - timedelta(hours=hours),
            run=str(number),
            who=("ada", "grace", "ada", "ci")[number % 4],
            machine=("laptop-1", "laptop-2", "laptop-1", "runner")[number % 4],
            command=f"inv {command}",
            reason=reasons.get(command.split()[0], ""),
            result=result,
        )
        for number, (hours, command, result) in enumerate(RUNS)
    ]


def main() -> None:
    """Write the pictures."""
    with tempfile.TemporaryDirectory() as directory, browser.browsing(browser.chromium() or "chromium") as shown:
        file = Path(directory) / "status.html"
        file.write_text(page.of(example(Path(directory) / "site")))
        shown.open(file.as_uri(), width=WIDTH)
        shown.picture(PICTURE, HEIGHT)
        for other in sys.argv[1:]:
            shown.open(file.as_uri(), width=WIDTH, dark=True)
            shown.picture(Path(other) / "dark.png")
            shown.open(file.as_uri(), width=375)
            shown.picture(Path(other) / "phone.png")


if __name__ == "__main__":
    main()
