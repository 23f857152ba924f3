"""What a lab's hosts are made of: namespaces where this user may make them, containers elsewhere."""

from typing import Protocol

from lab.containers import Containers
from lab.labhost import LabHost
from lab.namespaces import Namespaces
from scout_ollama.errors import Trouble


class Engine(Protocol):
    """Runs the hosts of one lab."""

    def up(self) -> None:
        """Start all hosts; they boot in the background."""

    def down(self) -> None:
        """End everything, as far as there is anything, and give the network back."""

    def host(self, name: str) -> LabHost:
        """One host."""

    def tried_to_leave(self) -> dict[str, list[str]]:
        """What each host sent to addresses outside the lab; hosts that sent nothing there are left out.

        Raises ``Trouble`` where it is not counted.
        """


_ENGINES: dict[str, type[Namespaces] | type[Containers]] = {engine.name: engine for engine in (Namespaces, Containers)}


def choose(name: str | None) -> type[Namespaces] | type[Containers]:
    """The engine ``name``, or by default the one that this machine and user can have."""
    if name is None:
        return Namespaces if Namespaces.are_possible() else Containers
    try:
        return _ENGINES[name]
    except KeyError:
        raise Trouble(f"there is no engine {name}", why=f"there is {', '.join(_ENGINES)}") from None
