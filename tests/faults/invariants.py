"""What holds whatever happened. Each looks at the site and returns what is violated, a line each."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lab.labhost import LabHost
from lab.scout import PASSWORD
from tests.faults.world import NODES, SHARE, STAGING, STORE, Ran, World
from tests.journeys.conftest import kubectl

CHAT = {"model": "tiny:latest", "messages": [{"role": "user", "content": "hello"}], "stream": False}
FAULT_OF_OURS = re.compile(r"Traceback|fault in scout-ollama|unexpected \w+: ")


def wrong_bytes(world: World) -> list[str]:
    """Every blob under a final name is what the name says, and every published manifest has all its blobs."""
    stores = [(world.host(STAGING), SHARE), *((world.host(node), STORE) for node in NODES)]
    return [line for host, store in stores for line in _wrong_in(host, store)]


def _wrong_in(host: LabHost, store: str) -> Iterator[str]:
    root = host.root / store.strip("/")
    whole = set()
    for blob in (root / "blobs").glob("sha256-" + "?" * 64):
        if blob.name == f"sha256-{hashlib.sha256(blob.read_bytes()).hexdigest()}":
            whole.add(blob.name)
        else:
            yield f"{host.name}: {blob.name} is not what its name says"
    for path in (root / "manifests").rglob("*"):
        if path.is_file():
            lacks = _named_by(path) - whole
            yield from (f"{host.name}: {path.relative_to(root)} lacks {blob}" for blob in lacks)


def _named_by(manifest: Path) -> set[str]:
    document = json.loads(manifest.read_text())
    return {part["digest"].replace(":", "-") for part in [document["config"], *document["layers"]]}


def unusable_models(world: World) -> list[str]:
    """Every model that an Ollama lists can be opened there."""
    pods = json.loads(kubectl(world.lab, "get", "pods", "-n", "ollama", "-o", "json"))["items"]
    return [line for pod in pods if pod["status"].get("podIP") for line in _unusable_in(world, pod)]


def _unusable_in(world: World, pod: dict[str, Any]) -> Iterator[str]:
    node, address = pod["spec"]["nodeName"], pod["status"]["podIP"]

    def ask(path: str, *data: str) -> str:
        curl = ["curl", "--silent", "--max-time", "20", f"http://{address}:11434{path}", *data]
        return world.host(node).run(curl, check=False).stdout

    for model in json.loads(ask("/api/tags") or '{"models": []}')["models"]:
        shown = ask("/api/show", "--data", json.dumps({"model": model["name"]}))
        if "details" not in shown:
            yield f"{node}: lists {model['name']}, which does not open: {shown}"


def lost_audit(world: World, cluster: str, runs: Mapping[str, Ran]) -> list[str]:
    """Each run that changed something has one line in the audit, once another has had the lock; ``runs`` by reason."""
    audited = Counter(run["reason"] for run in world.reads("audit", "--hosts", cluster))
    return [
        f"the audit of {cluster} has {audited[reason]} lines of {reason}"
        for reason, ran in runs.items()
        if audited[reason] > 1 or (_has_changed(ran) and not audited[reason])
    ]


def _has_changed(ran: Ran) -> bool:
    """Whether a script that may change something came to an end under the lock."""
    return bool(re.search(r" run \S+ ", ran.log.partition(" converse hold-lock ")[2]))


def dishonest_status(world: World) -> list[str]:
    """The Scout has a connection that works, or ``inv status`` says that it has not."""
    clusters = world.reads("status")["clusters"]
    (told,) = [cluster["scout"] for cluster in clusters if cluster["cluster"] == "scout-prod"]
    saved = world.scout.ask("/ollama/config")["OLLAMA_BASE_URLS"]
    answer = world.scout.ask("/ollama/api/chat/0", CHAT)
    works = bool((answer.get("message") or {}).get("role"))
    says_ok = {told["works"]["state"], (told["open_webui"] or {}).get("state")} == {"ok"}
    wrong = []
    if says_ok and not works:
        wrong.append(f"status says that the Scout works, and a chat gets {answer}")
    if told["effective_url"] != ", ".join(saved):
        wrong.append(f"status says that the Scout uses {told['effective_url']}, and it uses {saved}")
    return wrong


def unfit_words(world: World) -> list[str]:
    """No traceback, no message without a why, and no secret, in whatever was said or logged."""
    secrets = [*_secrets(world)]
    wrong = []
    for text in world.said:
        wrong += faults_of_ours(text)
        wrong += [f"no why: {told}" for told in without_why(text)]
        wrong += ["a secret was said" for secret in secrets if secret in text]
    return wrong


def faults_of_ours(text: str) -> list[str]:
    """Lines that tell of something nobody foresaw. That a connection's end was unexpected, as kubectl says, is none."""
    return [line for line in text.splitlines() if FAULT_OF_OURS.search(line)]


def without_why(text: str) -> list[str]:
    """Messages that say what to type next and not why."""
    lines = text.splitlines()
    blocks = [lines[at - 1] for at, line in enumerate(lines) if at and line.startswith("  next: ")]
    return [before for before in blocks if not before.startswith("  ")]


def _secrets(world: World) -> Iterator[str]:
    yield PASSWORD
    for file in [*(world.operator.site / "secrets").glob("*.key"), world.operator.site / "keys/operator"]:
        yield from (line for line in file.read_text().splitlines() if line and not line.startswith("-----"))
