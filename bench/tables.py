"""Results as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from bench.comparing import cpu, found, largest, median, memory, ratio, wall
from bench.contenders import OURS
from bench.results import Environment, Measurement, Results

HEADER = f"{'':24} {'wall s':>8} {'CPU s':>8} {'x wall':>8} {'x CPU':>8} {'largest MiB':>12} {'all MiB':>8}"
NOTES = (
    "Medians. x: how many times as much as scout-ollama, the median of the ratios within each round.",
    "CPU and memory are the runner's. Hosts share its cores, which flatters scout-ollama: read CPU beside wall time.",
    "What each job is, and what is not like for like: bench/README.md.",
)


def lines(results: Results) -> list[str]:
    """Return everything that a person is told."""
    return [*_environment(results.environment), *NOTES, *_measurements(results.measurements), *_verdicts(results)]


def _environment(where: Environment) -> Iterator[str]:
    yield f"{where.date}  {where.processor}, {where.cores} cores, Linux {where.kernel}, Python {where.python}"
    yield f"load {where.load:.2f} at the start" + (": the machine was busy" if where.load > 0.5 else "")
    yield ", ".join(f"{name} {version}" for name, version in where.versions.items())


def _measurements(measurements: Sequence[Measurement]) -> Iterator[str]:
    for (job, case, hosts), group in groupby(measurements, lambda one: (one.job, one.case, one.hosts)):
        rows = list(group)
        yield ""
        yield ", ".join(filter(None, [job, case, _counted(hosts, "host"), _counted(len(rows[0].rounds), "round")]))
        yield HEADER
        yield from (_row(one, found(measurements, OURS, job, case, hosts)) for one in rows)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}" if number else ""


def _row(one: Measurement, us: Measurement | None) -> str:
    ratios = [f"{ratio(one.rounds, us.rounds, of):8.2f}" if us else f"{'':8}" for of in (wall, cpu)]
    seconds = f"{median(one.rounds):8.2f} {median(one.rounds, cpu):8.2f}"
    mebibytes = f"{median(one.rounds, largest) / 2**20:12.0f} {median(one.rounds, memory) / 2**20:8.0f}"
    return f"{one.contender:24} {seconds} {' '.join(ratios)} {mebibytes}"


def _verdicts(results: Results) -> Iterator[str]:
    if results.verdicts:
        yield ""
        yield "targets"
    for one in results.verdicts:
        yield f"{'met' if one.met else 'NOT met':8} {one.value:8.2f} {one.unit:6} {one.target}"
