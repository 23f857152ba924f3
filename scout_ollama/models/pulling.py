"""Pulling models: a Job with an Ollama of its own on the store, one at a time, awaited, its log told while it runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from scout_ollama import manifests
from scout_ollama.changes import Say
from scout_ollama.errors import Trouble
from scout_ollama.hints import on
from scout_ollama.job import Job
from scout_ollama.manifests import KubeObject
from scout_ollama.models.needs import Call
from scout_ollama.models.place import Place
from scout_ollama.models.pull_progress import PullProgress
from scout_ollama.progress import Show
from scout_ollama.remote import CommandFailed, Remote, Script

NAMESPACE = "scout-ollama"
POD_SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "pod" / "pull-models.sh"
STUCK_SECONDS = 60
LONGEST_SECONDS = 172800

Lock = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True)
class PullModels:
    """Have models pulled and made in a store, by a Job on the cluster of its host."""

    place: Place
    calls: tuple[Call, ...]
    lines: tuple[str, ...]
    objects: tuple[KubeObject, ...] = field(repr=False)
    say: Say = field(repr=False)
    show: Show = field(repr=False)
    lock: Lock = field(repr=False)

    @property
    def host(self) -> str:
        """The server through which the Job is run."""
        return self.place.server.name

    @property
    def title(self) -> str:
        """``pull …`` and ``make …``, with the models' names."""
        pulled = [str(call.model) for call in self.calls if call.path == "/api/pull"]
        made = [str(call.model) for call in self.calls if call.path != "/api/pull"]
        parts = [f"{verb} {', '.join(names)}" for verb, names in (("pull", pulled), ("make", made)) if names]
        return "; ".join(parts)

    def difference(self) -> list[str]:
        """The models with their sizes, as far as they are known."""
        return list(self.lines)

    def make(self, remote: Remote) -> None:
        """Run the Job to its end, under the lock of the cluster that it changes; one that runs already is awaited."""
        progress = PullProgress(lambda line: self.say(self.host, line), lambda it: self.show(self.host, it))
        arguments = (NAMESPACE, self.place.job, str(STUCK_SECONDS))
        stdin = manifests.to_stdin(self.objects)
        with self.lock():
            try:
                remote.run(
                    Script.load("run-job"),
                    *arguments,
                    stdin=stdin,
                    sudo=True,
                    timeout=LONGEST_SECONDS,
                    on_line=progress.hear,
                )
            except CommandFailed as failure:
                raise self._failed(failure.result.stderr) from failure

    def _failed(self, log: str) -> Trouble:
        """Say first what Ollama said last; the log's end stands below."""
        lines = [line for line in log.strip().splitlines() if line]
        told = next((line.removeprefix("failed: ") for line in lines if line.startswith("failed: ")), "")
        return Trouble(
            "the models could not be pulled",
            host=self.host,
            why="\n".join(filter(None, [told, *(f"log: {line}" for line in lines[-8:])])),
            next=on(self.place.server, f"sudo k3s kubectl logs -n {NAMESPACE} job/{self.place.job}"),
        )


def objects(job: Job, place: Place, calls: Sequence[Call]) -> list[KubeObject]:
    """Return the Job that makes these calls, and its namespace."""
    ollama = job.ollama
    words = [word for call in calls for word in (str(call.model), call.path, json.dumps(call.body))]
    values = {
        "namespace": NAMESPACE,
        "name": place.job,
        "node": place.host.node,
        "image": f"{ollama.image}:{ollama.version}",
        "script": POD_SCRIPT.read_text(),
        "calls": words,
        "store": place.store,
        "store_type": "Directory" if place.is_staging else "DirectoryOrCreate",
    }
    return manifests.render("staging", values)
