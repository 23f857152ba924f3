"""Changes as values: each says on which host it is made and what will differ, and can then be made.

Steps return them, the gate shows them and has them made. A change is made over the connection of its host; one without
a host is made once for the cluster, through the first server that has had no trouble so far.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from scout_ollama import difference
from scout_ollama.errors import Trouble
from scout_ollama.manifests import MANAGER, KubeObject, key_of, to_stdin
from scout_ollama.refusal import refusal
from scout_ollama.remote import CommandFailed, Remote, Script

Say = Callable[[str, str], None]
"""Tells a person one line about one host: ``say(host, line)``."""

RESTART_SECONDS = 180


class Change(Protocol):
    """One thing that will be different on one host, or in the cluster (``host`` is None)."""

    @property
    def host(self) -> str | None:
        """The host on which it is made; None for the cluster as a whole."""

    @property
    def title(self) -> str:
        """What is done, in a few words, as the plan lists it."""

    def difference(self) -> list[str]:
        """What will differ, line by line, with every secret redacted."""

    def make(self, remote: Remote) -> None:
        """Make it; making it a second time does no harm.

        Raises:
            Trouble: it could not be made; what was there before still is.
        """


@dataclass(frozen=True)
class WriteFile:
    """Put a text file in place, whole or not at all."""

    host: str
    path: str
    content: str = field(repr=False)
    lines: tuple[str, ...]
    is_new: bool
    mode: int = 0o644

    @property
    def title(self) -> str:
        """``write PATH`` or ``create PATH``."""
        return f"{'create' if self.is_new else 'write'} {self.path}"

    def difference(self) -> list[str]:
        """The fields or lines that go and come, as its step compared them."""
        return list(self.lines)

    def make(self, remote: Remote) -> None:
        """Replace the file atomically, as root."""
        remote.put(self.content.encode(), self.path, mode=self.mode, owner="root:root", sudo=True)


@dataclass(frozen=True)
class RestartK3s:
    """Restart K3s, so that it reads its registries, and wait until its node is Ready."""

    host: str
    unit: str
    node: str
    reason: str

    @property
    def title(self) -> str:
        """``restart k3s``."""
        return f"restart {self.unit}"

    def difference(self) -> list[str]:
        """Why, and what it does not disturb."""
        return [f"~ {self.unit}: {self.reason}; running pods keep running"]

    def make(self, remote: Remote) -> None:
        """Restart and wait, for three minutes at the most."""
        script = Script.load("restart-k3s")
        remote.run(script, self.unit, self.node, str(RESTART_SECONDS), sudo=True, timeout=RESTART_SECONDS + 30)


@dataclass(frozen=True)
class PullImage:
    """Bring an image onto a node before any pod is told to use it; ``setting`` is what names it in the inventory."""

    host: str
    image: str
    setting: str = "ollama.version"

    @property
    def title(self) -> str:
        """``pull IMAGE``."""
        return f"pull {self.image}"

    def difference(self) -> list[str]:
        """The image that the node will have."""
        return [f"+ image {self.image}"]

    def make(self, remote: Remote) -> None:
        """Pull it the way K3s does, through the registries that it has loaded."""
        try:
            remote.run(Script.load("pull-image"), self.image, sudo=True, timeout=930)
        except CommandFailed as failure:
            why = _last_line(failure.result.stderr)
            refused = any(word in why.lower() for word in ("authorization", "unauthorized", "401", "403", "denied"))
            raise Trouble(
                f"cannot pull {self.image}",
                host=self.host,
                why=why,
                next="correct harbor.username and harbor.password in the staging cluster's file"
                if refused
                else f"bring the image into the registry, or correct {self.setting}; then the same command again",
            ) from failure


@dataclass(frozen=True)
class ApplyObjects:
    """Apply Kubernetes objects server-side, under one field manager, without forcing conflicts.

    ``before`` and ``after`` are the live object and what the server says it will become; None for a new object.
    """

    objects: tuple[KubeObject, ...] = field(repr=False)
    before: Mapping[str, KubeObject] = field(repr=False)
    after: Mapping[str, KubeObject] = field(repr=False)
    host: str | None = None

    @property
    def title(self) -> str:
        """``create …`` or ``change …``, with the objects' names."""
        names = [str(key_of(obj)) for obj in self.objects]
        created = [name for name in names if name not in self.before]
        changed = [name for name in names if name in self.before]
        parts = [f"{verb} {', '.join(some)}" for verb, some in (("create", created), ("change", changed)) if some]
        return "; ".join(parts)

    def difference(self) -> list[str]:
        """Every field that will differ, below the name of its object."""
        lines: list[str] = []
        for obj in self.objects:
            name = str(key_of(obj))
            lines.append(name)
            fields = difference.of_objects(self.before.get(name), self.after.get(name, obj))
            lines += [f"  {line}" for line in fields]
        return lines

    def make(self, remote: Remote) -> None:
        """Apply them all in one call; a conflict that arose since the plan was made names the field and its owner."""
        script = Script.load("apply-objects")
        try:
            remote.run(script, MANAGER, stdin=to_stdin(self.objects), sudo=True, timeout=120)
        except CommandFailed as failure:
            raise refusal(failure.result.stderr) from failure


@dataclass(frozen=True)
class DeleteObjects:
    """Delete objects that an earlier run applied and that the manifests no longer contain."""

    objects: tuple[KubeObject, ...] = field(repr=False)
    host: str | None = None

    @property
    def title(self) -> str:
        """``delete …``, with the objects' names."""
        return f"delete {', '.join(str(key_of(obj)) for obj in self.objects)}"

    def difference(self) -> list[str]:
        """The objects that go."""
        return [f"- {key_of(obj)}" for obj in self.objects]

    def make(self, remote: Remote) -> None:
        """Delete them without waiting for their finalizers."""
        names = [
            {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": _identity(obj)} for obj in self.objects
        ]
        remote.run(Script.load("delete-objects"), stdin=to_stdin(names), sudo=True, timeout=120)


@dataclass(frozen=True)
class Stage:
    """Changes that may be made together.

    With ``one_at_a_time`` the first failure keeps the rest from being tried. ``waits_for`` names the hosts that must
    have had no trouble by then, because their running pods would be replaced. ``through_server``: changes of hosts too
    are made through a server of the cluster, as it is Kubernetes that makes them. ``is_kept``: what these make of the
    cluster is what a revision keeps, so it is kept before the first of them. ``settle`` returns what is to be made,
    where that is known only when the stages before have been; ``changes`` are then what is expected of it.
    """

    name: str
    changes: tuple[Change, ...]
    one_at_a_time: bool = False
    waits_for: tuple[str, ...] = ()
    through_server: bool = False
    is_kept: bool = True
    settle: Callable[[], Sequence[Stage]] | None = None

    @property
    def on_hosts(self) -> list[Change]:
        """The changes that are made over the connection of their host."""
        return [] if self.through_server else [change for change in self.changes if change.host]

    @property
    def in_cluster(self) -> list[Change]:
        """The changes that are made through a server."""
        return [change for change in self.changes if self.through_server or not change.host]


@dataclass(frozen=True)
class Plan:
    """What will be done, in order. A second plan after it was done is empty."""

    stages: tuple[Stage, ...]

    def __iter__(self) -> Iterator[Change]:
        return (change for stage in self.stages for change in stage.changes)

    def __bool__(self) -> bool:
        return any(stage.changes for stage in self.stages)

    @property
    def shown(self) -> list[dict[str, Any]]:
        """Each change as ``host`` (None for the cluster), ``title`` and ``difference`` (lines)."""
        return [{"host": change.host, "title": change.title, "difference": change.difference()} for change in self]

    @property
    def digest(self) -> str:
        """The SHA-256 of the plan as it is shown: the same for the same plan, and nothing of a secret is in it."""
        shown = re.sub(r"\(redacted [0-9a-f]+\)", "(redacted)", json.dumps(self.shown))
        return hashlib.sha256(shown.encode()).hexdigest()


def settled(stages: Iterable[Stage]) -> Iterator[Stage]:
    """Return the stages as they are to be made, each settled when its turn comes.

    Raises:
        Trouble: what is to be made cannot be found out.
    """
    for stage in stages:
        if stage.settle is None:
            yield stage
        else:
            yield from settled(stage.settle())


@dataclass(frozen=True)
class Expected:
    """What a change will be, as far as it is known before its stage is settled. It is shown, and never made."""

    host: str | None
    title: str
    lines: tuple[str, ...]

    def difference(self) -> list[str]:
        """What is expected to differ."""
        return list(self.lines)

    def make(self, remote: Remote) -> None:
        """Not to be called: the stage is settled first."""
        raise AssertionError(f"{self.title} was not settled before it was made on {remote.host.name}")


def _identity(obj: KubeObject) -> dict[str, str]:
    return {name: obj["metadata"][name] for name in ("name", "namespace") if name in obj["metadata"]}


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"
