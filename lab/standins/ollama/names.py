"""Model names as Ollama reads them: `[[host/]namespace/]model[:tag]`, with defaults filled in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

DEFAULT_HOST = "registry.ollama.ai"
DEFAULT_NAMESPACE = "library"
DEFAULT_TAG = "latest"

# A host may carry a port, a namespace may not contain a dot.
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}")
_NAMESPACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")

_MISSING = "!MISSING!"
"""A part that a separator promised and that is not there: never valid."""


@dataclass(frozen=True)
class Name:
    """A model's name in four parts. It may be invalid: ask `is_valid` first."""

    host: str
    namespace: str
    model: str
    tag: str

    @classmethod
    def parse(cls, text: str) -> Name:
        """The name in `text`, with Ollama's defaults for what it leaves out."""
        host = namespace = tag = ""
        rest = text
        if rest.rfind(":") > rest.rfind("/"):
            rest, _, tag = rest.rpartition(":")
            tag = tag or _MISSING
        rest, slash, model = rest.rpartition("/")
        if slash:
            rest, slash, namespace = rest.rpartition("/")
            model, namespace = model or _MISSING, namespace or _MISSING
        if slash:
            host = rest.partition("://")[2] or rest or _MISSING
        return cls(host or DEFAULT_HOST, namespace or DEFAULT_NAMESPACE, model, tag or DEFAULT_TAG)

    @classmethod
    def from_path(cls, path: PurePosixPath) -> Name | None:
        """The name of the manifest at `host/namespace/model/tag`, or None if that is not a name."""
        name = cls(*path.parts)
        return name if name.is_valid else None

    @property
    def is_valid(self) -> bool:
        """Whether every part is present and well formed."""
        return bool(
            _HOST.fullmatch(self.host)
            and _NAMESPACE.fullmatch(self.namespace)
            and _PART.fullmatch(self.model)
            and _PART.fullmatch(self.tag)
        )

    @property
    def path(self) -> PurePosixPath:
        """Where its manifest is, below `manifests/`."""
        return PurePosixPath(self.host, self.namespace, self.model, self.tag)

    @property
    def short(self) -> str:
        """The name as listings show it: default host and namespace left out, the tag always there."""
        prefix = ""
        if self.host.lower() != DEFAULT_HOST:
            prefix = f"{self.host}/{self.namespace}/"
        elif self.namespace.lower() != DEFAULT_NAMESPACE:
            prefix = f"{self.namespace}/"
        return f"{prefix}{self.model}:{self.tag}"

    def __str__(self) -> str:
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"
