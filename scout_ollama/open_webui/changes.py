"""What is changed on a Scout, as values. Each puts back what was there if it does not come to a good end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from scout_ollama.changes import Say
from scout_ollama.errors import Trouble
from scout_ollama.inventory import ScoutCluster
from scout_ollama.manifests import MANAGER, KubeObject, to_stdin
from scout_ollama.open_webui import facts, proving, record
from scout_ollama.open_webui.answers import within
from scout_ollama.open_webui.configuration import Connection, Embedding, Json
from scout_ollama.open_webui.record import Before
from scout_ollama.open_webui.session import Session
from scout_ollama.open_webui.wanting import Wanted
from scout_ollama.open_webui.workload import Embedded, Workload
from scout_ollama.remote import Remote, Script
from scout_ollama.watching import POLL_SECONDS

ROLLOUT_SECONDS = 600
AUTHORITIES = "scout-ollama-authorities"
DIRECTORY = "/etc/scout-ollama"
BUNDLE = f"{DIRECTORY}/ca-bundle.crt"
Entries = Mapping[str, KubeObject | None]
"""Entries of a container's environment by name; None for one that is not there."""


@dataclass(frozen=True)
class KeepRecord:
    """Keep what was there before, so that it can be brought back."""

    before: Before
    host: str | None = None

    @property
    def title(self) -> str:
        """``keep what is there now``."""
        return "keep what is there now"

    def difference(self) -> list[str]:
        """Where, and what undoes the rest by it."""
        return [f"+ {record.RECORDS}: the configuration as it is, for inv disconnect-scout; keys are left out"]

    def make(self, remote: Remote) -> None:
        """On the host, and beside the log."""
        record.keep(remote, self.before)


@dataclass(frozen=True)
class ForgetRecord:
    """What was kept is there again."""

    host: str | None = None

    @property
    def title(self) -> str:
        """``forget what was kept``."""
        return "forget what was kept"

    def difference(self) -> list[str]:
        """Which."""
        return [f"- {record.RECORDS}: the newest record, which is what is there again"]

    def make(self, remote: Remote) -> None:
        """Forget the newest record."""
        record.forget(remote)


@dataclass(frozen=True)
class KeepAuthorities:
    """Put the certificates that Open WebUI shall trust into the cluster: all that it trusts now, and one more."""

    namespace: str
    bundle: str = field(repr=False)
    why: str
    host: str | None = None

    @property
    def title(self) -> str:
        """``create ConfigMap …``."""
        return f"write ConfigMap {self.namespace}/{AUTHORITIES}"

    def difference(self) -> list[str]:
        """Why."""
        count = self.bundle.count("-----BEGIN CERTIFICATE-----")
        return [f"+ {count} certificates: those that it trusts now, and {self.why}"]

    def make(self, remote: Remote) -> None:
        """Apply it."""
        metadata = {"name": AUTHORITIES, "namespace": self.namespace, "labels": {"app.kubernetes.io/part-of": "scout"}}
        obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"ca-bundle.crt": self.bundle}}
        remote.run(Script.load("apply-objects"), MANAGER, stdin=to_stdin([obj]), sudo=True, timeout=120)


@dataclass(frozen=True)
class ChangeWorkload:
    """Change Open WebUI's environment, and with it what is mounted; its pods are replaced, and awaited.

    ``before`` and ``after`` have the entries that change. ``mounts``: whether the authorities are mounted then; None
    for as it is.
    """

    session: Session
    scout: ScoutCluster
    workload: Workload
    before: Entries
    after: Entries
    mounts: bool | None = None
    why: str = ""
    host: str | None = None

    @property
    def title(self) -> str:
        """``change statefulset/open-webui``."""
        return f"change {self.workload.workload}: its pods are replaced"

    def difference(self) -> list[str]:
        """Every variable, with who sets it now, then what is mounted."""
        lines = [_line(name, self.before.get(name), self.after[name], self.workload.managers) for name in self.after]
        if self.mounts is not None:
            lines.append(f"{'+' if self.mounts else '-'} ConfigMap {AUTHORITIES} at {DIRECTORY}")
        return lines or [f"~ restart: {self.why}"]

    def make(self, remote: Remote) -> None:
        """Patch and await; if the new pods do not come up, take it back."""
        try:
            self._patch(remote, self.after, self.mounts)
        except Trouble as trouble:
            with suppress(Trouble):
                self._patch(remote, {name: self.before.get(name) for name in self.after}, _opposite(self.mounts))
            raise Trouble(
                f"{self.workload.workload} does not come up with its new environment; the old one was put back",
                host=remote.host.name,
                why=str(trouble),
                next=f"inv disconnect-scout --hosts {self.scout.name} brings back all that was there before",
            ) from trouble

    def _patch(self, remote: Remote, entries: Entries, mounts: bool | None) -> None:
        patch = json.dumps(patched(self.workload.container, entries, mounts, restart=not entries)).encode()
        names = (self.workload.namespace, self.workload.workload, MANAGER, str(ROLLOUT_SECONDS))
        remote.run(Script.load("patch-open-webui"), *names, stdin=patch, sudo=True, timeout=ROLLOUT_SECONDS + 60)
        self.session.await_ready(remote, facts.read_installed(remote, self.scout).workload)


def patched(container: str, entries: Entries, mounts: bool | None, *, restart: bool = False) -> KubeObject:
    """Return the strategic merge patch that sets, or takes away, entries of a container's environment."""
    environment = [_entry(name, entry) for name, entry in entries.items()]
    inner: KubeObject = {"name": container, **({"env": environment} if environment else {})}
    spec: KubeObject = {"containers": [inner]}
    if mounts is not None:
        gone = {} if mounts else {"$patch": "delete"}
        source = {"configMap": {"name": AUTHORITIES}} if mounts else {}
        spec["volumes"] = [{"name": AUTHORITIES, **source, **gone}]
        mount = {"name": AUTHORITIES, "readOnly": True} if mounts else {}
        inner["volumeMounts"] = [{"mountPath": DIRECTORY, **mount, **gone}]
    template: KubeObject = {"spec": spec}
    if restart:
        moment = datetime.now(UTC).isoformat(timespec="seconds")
        template["metadata"] = {"annotations": {"scout-ollama/restarted-at": moment}}
    return {"spec": {"template": template}}


def _entry(name: str, entry: KubeObject | None) -> KubeObject:
    if entry is None:
        return {"name": name, "$patch": "delete"}
    other = {"value": None} if "valueFrom" in entry else {"valueFrom": None}
    return {**entry, **other}


def _line(name: str, before: KubeObject | None, after: KubeObject | None, managers: Mapping[str, str]) -> str:
    old, new = _shown(before), _shown(after)
    if before is None:
        return f"+ {name}: {new}"
    by = f" (set by {managers[name]})" if name in managers else ""
    return f"- {name}: {old}{by}" if after is None else f"~ {name}{by}: {old} → {new}"


def _shown(entry: KubeObject | None) -> str:
    if entry is None:
        return "not set"
    return str(entry["value"]) if "value" in entry else "from a Secret or ConfigMap"


def _opposite(mounts: bool | None) -> bool | None:
    return None if mounts is None else not mounts


@dataclass(frozen=True)
class Switch:
    """Save another connection, and prove that it works, or put back the one before.

    ``patience`` is how many seconds its Ollama may take to answer, where that has only just been started.
    """

    session: Session
    scout: ScoutCluster
    before: tuple[Connection, Embedding]
    wanted: Wanted
    say: Say
    patience: float = 0
    host: str | None = None

    @property
    def title(self) -> str:
        """``connect Open WebUI to …``."""
        target = self.wanted.target
        return f"connect Open WebUI to {target.url}" if target.url else "turn Open WebUI's use of Ollama off"

    def difference(self) -> list[str]:
        """The connections, their settings, and the embeddings' URL."""
        connection, embedding = self.before
        return [*connection.lines(self.wanted.connection), *embedding.lines(self.wanted.embedding)]

    def make(self, remote: Remote) -> None:
        """Save, read back on every replica, ask through it, chat through it; what fails puts back what was there."""
        workload = facts.read_installed(remote, self.scout).workload
        self._verify(remote, workload)
        try:
            self.session.change(remote, workload, _connect(self.wanted.connection, self._embedding(to=True)))
            for line in proving.check(remote, self.session, workload, self.wanted):
                self.say(remote.host.name, line)
        except BaseException as error:
            self._put_back(remote, workload, error)
            raise

    def _verify(self, remote: Remote, workload: Workload) -> None:
        """Have Open WebUI try the URL once more: it may have gone since the plan was made."""
        if url := self.wanted.target.url:
            ask = {"do": "call", "path": "/ollama/verify", "body": {"url": url, "key": ""}}
            deadline = time.monotonic() + self.patience
            while (answer := self.session.ask(remote, workload, ask)[0])["status"] != 200:
                if time.monotonic() < deadline:
                    time.sleep(POLL_SECONDS)
                    continue
                raise Trouble(
                    f"Open WebUI cannot use {url}: its connection was left as it is",
                    host=remote.host.name,
                    why=f"HTTP {answer['status']}: {within(answer, 'answer', 'detail') or ''}",
                    next=f"inv connect-scout --hosts {self.scout.name} --plan shows what stands in the way",
                )

    def _embedding(self, *, to: bool) -> Embedding | None:
        before, after = self.before[1], self.wanted.embedding
        return None if before.same(after) else after if to else before

    def _put_back(self, remote: Remote, workload: Workload, error: BaseException) -> None:
        try:
            self.session.change(remote, workload, _connect(self.before[0], self._embedding(to=False)))
        except Trouble as trouble:
            raise Trouble(
                f"Open WebUI may be connected to {self.wanted.target.url or 'nothing'}, which did not work",
                host=remote.host.name,
                why=f"{error}\nto put back what was there failed too: {trouble}",
                next=f"inv disconnect-scout --hosts {self.scout.name}",
            ) from trouble
        self.say(remote.host.name, "the previous connection was put back: it is as it was")


def _connect(connection: Connection, embedding: Embedding | None) -> Json:
    ask: dict[str, Any] = {"do": "connect", "connection": connection.body()}
    return {**ask, "embedding": embedding.body()} if embedding else ask


@dataclass(frozen=True)
class Scale:
    """Give the Ollama beside Open WebUI so many pods; ``check`` is what has to hold first."""

    namespace: str
    embedded: Embedded
    replicas: int
    check: Callable[[Remote], object] = field(repr=False)
    host: str | None = None

    @property
    def title(self) -> str:
        """``scale deployment/ollama to 0``."""
        return f"scale {self.embedded.workload} to {self.replicas}"

    def difference(self) -> list[str]:
        """How many before and after; its volume stays."""
        kept = "".join(f"; volume {claim.name} ({claim.size}) stays" for claim in self.embedded.claims)
        return [f"~ replicas: {self.embedded.replicas} → {self.replicas}{kept}"]

    def make(self, remote: Remote) -> None:
        """Check, scale, and wait."""
        self.check(remote)
        names = (self.namespace, self.embedded.workload, str(self.replicas), str(ROLLOUT_SECONDS))
        remote.run(Script.load("scale-workload"), *names, sudo=True, timeout=ROLLOUT_SECONDS + 60)


def entries(values: Mapping[str, str]) -> dict[str, KubeObject | None]:
    """Return plain entries of an environment."""
    return {name: {"name": name, "value": value} for name, value in values.items()}


def changed(workload: Workload, wanted: Entries) -> tuple[Entries, Entries]:
    """Return of some entries those that differ from the workload's: as they are, and as they shall be."""
    differing = {name: entry for name, entry in wanted.items() if workload.environment.get(name) != entry}
    return {name: workload.environment.get(name) for name in differing}, differing
