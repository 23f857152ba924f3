"""Rounds: in each every contender has its turn once, and in each another one begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from bench.results import Sample

T = TypeVar("T")


def rotated(items: Sequence[T], number: int) -> list[T]:
    """Return the order of a round: what is first in one is last in the next."""
    at = number % len(items)
    return [*items[at:], *items[:at]]


def interleaved(turns: Mapping[str, Callable[[], Sample]], rounds: int) -> dict[str, list[Sample]]:
    """Return what each contender's turn took, by its name, for each round."""
    taken: dict[str, list[Sample]] = {name: [] for name in turns}
    for number in range(rounds):
        for name in rotated(list(turns), number):
            taken[name].append(turns[name]())
    return taken
