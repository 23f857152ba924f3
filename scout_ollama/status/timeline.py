"""The last runs on a line of time, a lane for each cluster, in pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from scout_ollama.audit import Record, local
from scout_ollama.status.document import SiteStatus, State
from scout_ollama.status.runs import BAD, name_of

SHORTEST = timedelta(hours=1)
LANE = 44
_CLOSE = 13  # marks nearer to each other than this are put one above the other


@dataclass(frozen=True)
class Mark:
    """One run."""

    x: float
    y: float
    state: State
    text: str


@dataclass(frozen=True)
class Tick:
    """A time on the line."""

    x: float
    text: str


@dataclass(frozen=True)
class Timeline:
    """What to draw; ``lanes`` are clusters with the height of their line."""

    width: int
    height: int
    left: int
    lanes: Sequence[tuple[str, float]]
    marks: Sequence[Mark]
    ticks: Sequence[Tick]


def of(status: SiteStatus, width: int, left: int, ticks: int) -> Timeline | None:
    """Return the runs of all clusters until the reading; None if there are none.

    ``left`` is the room for the names of the lanes.
    """
    clusters = [cluster for cluster in status.clusters if cluster.runs]
    if not clusters:
        return None
    began = min(run.began for cluster in clusters for run in cluster.runs)
    begin = min(began, status.taken - SHORTEST)
    seconds = (status.taken - begin).total_seconds()
    room = width - left - 24

    def place(moment: datetime) -> float:
        share = (moment - begin).total_seconds() / seconds
        return round(left + 12 + room * min(1.0, share), 1)

    lanes = [(cluster.cluster, LANE * (lane + 0.5)) for lane, cluster in enumerate(clusters)]
    marks: list[Mark] = []
    for cluster, (_, y) in zip(clusters, lanes, strict=True):
        marks += _lane([(place(run.began), run) for run in cluster.runs], y)
    moments = [begin + (status.taken - begin) * number / (ticks - 1) for number in range(ticks)]
    labels = [Tick(place(moment), _short(moment, seconds)) for moment in moments]
    return Timeline(width, LANE * len(lanes) + 26, left, lanes, marks, labels)


def all_of(status: SiteStatus, most: int) -> list[Record]:
    """Return the last runs on all clusters, the newest first."""
    runs = [run for cluster in status.clusters for run in cluster.runs]
    return sorted(runs, key=lambda run: run.began, reverse=True)[:most]


def state_of(run: Record) -> State:
    """Return how a run ended, as a state."""
    return "broken" if run.result == "failed" else "warn" if run.result in BAD else "ok"


def _lane(runs: Sequence[tuple[float, Record]], y: float) -> list[Mark]:
    marks: list[Mark] = []
    lifted, before = 0, -1e9
    for x, run in runs:
        lifted = (lifted + 1) % 3 if x - before < _CLOSE else 0
        text = f"{local(run.began)} {name_of(run)}: {run.result}, by {run.who}@{run.machine}"
        marks.append(Mark(x, y + (0, -13, 13)[lifted], state_of(run), text))
        before = x
    return marks


def _short(moment: datetime, seconds: float) -> str:
    shown = moment.astimezone(UTC).astimezone()
    return shown.strftime("%H:%M" if seconds < 86400 else "%d %b")
