"""What went wrong, in the words of the person who has to put it right."""

import re
import traceback
from collections.abc import Mapping

# Text from a host or a file may carry terminal escapes: newline and tab are the only controls that a message needs.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class Trouble(Exception):
    """Foreseeable trouble: what happened, on which host, why, and the next command to type."""

    def __init__(self, what: str, *, host: str | None = None, why: str = "", next: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.host = host
        self.why = why
        self.next = next

    def __str__(self) -> str:
        """``host: what``, then indented ``why:`` and ``next:`` lines; a line that has nothing to say is left out."""
        lines = [f"{self.host}: {self.what}" if self.host else self.what]
        lines += [_indented(label, text) for label, text in (("why", self.why), ("next", self.next)) if text]
        return printable("\n".join(lines))


class HostTroubles(Trouble):
    """Trouble of some hosts with what was done for all of them, in ``troubles`` by host; the others go on."""

    def __init__(self, troubles: Mapping[str, Trouble]) -> None:
        super().__init__(f"trouble on {', '.join(troubles)}")
        self.troubles = troubles


def printable(text: str) -> str:
    """The text without what would drive a terminal: every control character but newline and tab is replaced."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)


def places(error: Exception) -> str:
    """The last few places in the code that an error passed through, a line each, innermost last."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return "\n".join(f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames)


def _indented(label: str, text: str) -> str:
    """``  label: first line``, the lines after it under the first."""
    lead = f"  {label}: "
    return lead + text.strip("\n").replace("\n", "\n" + " " * len(lead))


class InventoryError(Trouble):
    """The inventory is refused."""
