"""The rows for a terminal: what is the same is told once, and what is wrong again below, with its cause."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from scout_ollama.access.row import Row
from scout_ollama.errors import printable

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

STYLES = {"ok": "green", "hole": "bold red", "fault": "red", "could not tell": "red", "warning": "yellow"}
SUMMARIES = {
    "hole": "access control has holes",
    "fault": "access control has no holes, but something is not as it should be",
    "could not tell": "could not tell everything",
    "ok": "access control holds",
}
WIDEST = 120


@dataclass(frozen=True)
class Matrix:
    """The rows of one cluster; ``titles`` says of each host who it is, ``nodes`` is how many the cluster has."""

    rows: Sequence[Row]
    titles: Mapping[str, str]
    nodes: int

    def table(self) -> Group:
        """Return a block for each host, hosts that saw the same in one; fits 80 columns."""
        from rich.console import Group
        from rich.constrain import Constrain
        from rich.padding import Padding
        from rich.text import Text

        blocks: dict[tuple[str, tuple[Row, ...]], list[str]] = {}
        for host, own in groupby(self.rows, key=lambda row: row.host):
            bare = (replace(row, host="", cause="", next="") for row in own)
            blocks.setdefault((self.titles.get(host, ""), tuple(self.merged(bare))), []).append(host)
        parts: list[Text | Constrain | str] = []
        for (title, rows), hosts in blocks.items():
            parts += [
                Text(f"{', '.join(hosts)}: {title}", style="bold"),
                Constrain(Padding(_table(rows), (0, 0, 0, 2)), WIDEST),
                "",
            ]
        return Group(*parts)

    @property
    def holds(self) -> bool:
        """Whether everything is as it should be; a warning does not count."""
        return all(row.verdict == "ok" for row in self.rows)

    def problems(self, cluster: str) -> Text:
        """Return what is not as it should be, holes first, with cause and next command; then how it is in all."""
        from rich.text import Text

        wrong = self.merged(row for row in self.rows if row.verdict != "ok" or row.cause)
        shared: dict[Row, list[Row]] = {}
        for row in sorted(wrong, key=lambda row: list(SUMMARIES).index(row.verdict)):
            shared.setdefault(replace(row, host="", next=""), []).append(row)
        text = Text()
        for rows in shared.values():
            verdict = "warning" if rows[0].verdict == "ok" else rows[0].verdict
            trouble = replace(rows[0], host=", ".join(row.host for row in rows)).trouble(verdict)
            text.append(f"{trouble}\n", style=STYLES[verdict])
        verdicts = {row.verdict for row in self.rows}
        worst = next(verdict for verdict in SUMMARIES if verdict in verdicts)
        again = "" if self.holds else f"; when mended: inv check-access --hosts {cluster}"
        return text.append(f"{cluster}: {SUMMARIES[worst]}{again}", style="bold")

    def merged(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Return rows that differ only in where as one."""
        same: dict[Row, list[Row]] = {}
        for row in rows:
            same.setdefault(replace(row, where="", next=""), []).append(row)
        for alike in same.values():
            yield alike[0].at(self._together([row.where for row in alike]))

    def _together(self, places: Sequence[str]) -> str:
        """Several places in few words."""
        paths = [place for place in places if place.startswith("/")]
        if paths:
            return ", ".join([paths[0], *(path.rpartition("/")[2] for path in paths[1:])])
        nodes = [place.removeprefix("on ") for place in places if place.startswith("on ")]
        others = [place for place in places if not place.startswith("on ")]
        on = f"on {self.nodes} nodes" if len(nodes) == self.nodes > 1 else f"on {', '.join(nodes)}"
        return ", ".join([*others, *([on] if nodes else [])])


def _table(rows: Sequence[Row]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    for ratio in (27, 15, 22, 14):
        table.add_column(ratio=ratio)
    for row in rows:
        cells = (f"{row.tried} {row.where}", row.expected, row.seen)
        table.add_row(*(Text(printable(cell)) for cell in cells), Text(row.verdict, style=STYLES[row.verdict]))
    return table
