"""Medians, and ratios of what was measured in the same round."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from bench.results import Measurement, Sample

Quantity = Callable[[Sample], float]


def wall(sample: Sample) -> float:
    """Return its wall time in seconds."""
    return sample.wall_seconds


def cpu(sample: Sample) -> float:
    """Return its CPU time in seconds."""
    return sample.cpu_seconds


def largest(sample: Sample) -> float:
    """Return the memory of its largest process in bytes."""
    return sample.largest_bytes


def memory(sample: Sample) -> float:
    """Return the memory of all its processes in bytes."""
    return sample.all_bytes


def median(rounds: Sequence[Sample], quantity: Quantity = wall) -> float:
    """Return the median of a quantity."""
    return statistics.median(quantity(sample) for sample in rounds)


def ratio(rounds: Sequence[Sample], others: Sequence[Sample], quantity: Quantity = wall) -> float:
    """Return how many times as much it is as the others: the median of the ratios within each round.

    Whatever slowed a round down slowed both down, so this says more than the ratio of their medians.
    """
    return statistics.median(quantity(sample) / quantity(other) for sample, other in zip(rounds, others, strict=True))


def found(measurements: Sequence[Measurement], contender: str, job: str, case: str, hosts: int) -> Measurement | None:
    """Return what a contender was measured at, if it was."""
    wanted = (contender, job, case, hosts)
    return next((one for one in measurements if (one.contender, one.job, one.case, one.hosts) == wanted), None)
