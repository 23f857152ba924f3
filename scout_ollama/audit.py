"""One line for each run: who did what, when, from where, to which hosts, and what came of it."""

from __future__ import annotations

import getpass
import json
import secrets
import socket
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scout_ollama.secrets import masked_values

if TYPE_CHECKING:
    from rich.table import Table

CHECKOUT = Path(__file__).resolve().parent.parent
LINE_BYTES = 8191
"""Length of a record where it stands on the host: a later one fits exactly over an earlier one."""

RunResult = Literal["done", "nothing to do", "failed", "declined", "interrupted", "cut off"]


class Record(BaseModel):
    """What the audit says of a run. Times are UTC."""

    model_config = ConfigDict(frozen=True)

    run: str = Field(description="Identifies the run.")
    began: datetime = Field(description="When it took the lock.")
    seconds: float | None = Field(None, description="How long it took; null if it was cut off.")
    who: str = Field(description="User name on the machine it was typed on.")
    machine: str = Field(description="Host name of that machine.")
    revision: str | None = Field(None, description="Git revision of the checkout; null outside of one.")
    dirty: bool = Field(False, description="Whether the checkout had changes that were not committed.")
    command: str = Field(description="The command line, without secrets.")
    cluster: str = Field(description="Cluster that it was for.")
    hosts: tuple[str, ...] = Field((), description="Hosts that were selected.")
    reason: str = Field("", description="Why, as given with --reason.")
    plan: str | None = Field(None, description="SHA-256 of the plan; null if there was none yet.")
    changes: int = Field(0, description="Changes that were planned.")
    made: int = Field(0, description="Changes that were made.")
    making: str = Field("", description="What had been begun last.")
    result: RunResult = Field("cut off", description="How it ended.")
    troubles: tuple[str, ...] = Field((), description="What went wrong, one line each.")
    kept: int | None = Field(None, description="Number of the revision that was kept of the objects; null if none was.")
    undo: str = Field("", description="Command that undoes it; empty if nothing can or need be undone.")

    def line(self) -> str:
        """Return the record as one line of JSON in ASCII, ``LINE_BYTES`` long; what is too long for it is shortened."""
        for longest in (4000, 1000, 200, 60):
            document = {name: _shortened(value, longest) for name, value in self.model_dump(mode="json").items()}
            text = json.dumps(masked_values(document))
            if len(text) <= LINE_BYTES:
                break
        return text.ljust(LINE_BYTES)

    def told_changes(self) -> str:
        """Return how many changes were made, and of how many; what was settled on the way may be more than planned."""
        return f"{self.made} of {self.changes}" if self.made <= self.changes else str(self.made)

    def told(self) -> str:
        """Return who it is and since when, as a person says it."""
        reason = f" ({self.reason})" if self.reason else ""
        return f"{self.who}@{self.machine}: {self.command}{reason}, since {local(self.began)}"


def begin(command: str, cluster: str, hosts: Iterable[str], reason: str = "") -> Record:
    """Return the record of a run that begins now."""
    revision, dirty = _git_state(CHECKOUT)
    return Record(
        run=secrets.token_hex(4),
        began=now(),
        who=getpass.getuser(),
        machine=socket.gethostname(),
        revision=revision,
        dirty=dirty,
        command=command,
        cluster=cluster,
        hosts=tuple(hosts),
        reason=reason,
    )


def parse(line: str) -> Record | None:
    """Return the record in a line; None if it is none."""
    try:
        return Record.model_validate_json(line)
    except ValidationError:
        return None


def records(lines: Iterable[str]) -> list[Record]:
    """Return the runs that an audit tells of, oldest first.

    A run whose connection was lost has a second line if it could report its end after all: the later one counts.
    """
    found = [record for line in lines if (record := parse(line))]
    return list({record.run: record for record in found}.values())


def now() -> datetime:
    """Return this moment, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


def local(moment: datetime) -> str:
    """Return a moment as a person here writes it."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def table(rows: Sequence[Record]) -> Table:
    """Return runs for a terminal, newest last."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False)
    for heading in ("when", "cluster", "who", "what", "result", "undo"):
        shown.add_column(heading, overflow="fold")
    for row in rows:
        what = row.command + (f" ({row.reason})" if row.reason else "")
        result = row.result + (f", {row.told_changes()}" if row.changes else "")
        cells = (local(row.began), row.cluster, f"{row.who}@{row.machine}", what, result, row.undo)
        shown.add_row(*map(Text, cells), style="red" if row.result in ("failed", "cut off", "interrupted") else "")
    return shown


def _shortened(value: object, longest: int) -> object:
    if isinstance(value, str):
        return value if len(value) <= longest else value[: longest - 1] + "…"
    if isinstance(value, list):
        return [_shortened(item, longest // 10) for item in value[: longest // 20]]
    return value


def _git_state(directory: Path) -> tuple[str | None, bool]:
    """Return the revision that is checked out, and whether it has changes; none where git or a checkout is missing."""
    argv = ["git", "-C", str(directory), "status", "--porcelain=v2", "--branch", "--untracked-files=no"]
    try:
        lines = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return None, False
    heads = [line.rpartition(" ")[2] for line in lines if line.startswith("# branch.oid ")]
    return (heads[0] if heads else None), any(not line.startswith("#") for line in lines)
