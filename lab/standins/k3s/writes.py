"""What a controller wants done to the API, as values: controllers decide, `apply` in `world.py` acts."""

from dataclasses import dataclass, field

from lab.standins.k3s.objects import Object


@dataclass(frozen=True)
class Create:
    """A new object."""

    collection: str
    obj: Object


@dataclass(frozen=True)
class Apply:
    """An object as it shall be, by server-side apply."""

    collection: str
    obj: Object


@dataclass(frozen=True)
class Patch:
    """A JSON merge patch of an object, or of its status."""

    collection: str
    target: Object
    patch: Object = field(default_factory=dict)
    status: bool = False


@dataclass(frozen=True)
class Delete:
    """The end of an object; a pod gets its grace, or the seconds given."""

    collection: str
    target: Object
    grace_seconds: int | None = None


@dataclass(frozen=True)
class Bind:
    """Give a pod its node."""

    pod: Object
    node: str


@dataclass(frozen=True)
class Emit:
    """An event about an object."""

    about: Object
    reason: str
    message: str
    source: str
    warning: bool = False


Write = Create | Apply | Patch | Delete | Bind | Emit


def status(collection: str, target: Object, wanted: Object) -> list[Write]:
    """A patch of the status if any of the wanted fields differs."""
    current = target.get("status") or {}
    changed = {key: value for key, value in wanted.items() if current.get(key) != value}
    return [Patch(collection, target, {"status": changed}, status=True)] if changed else []
