"""Which fault happens to whom, at which moment of which command: all of it follows from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.faults.commands import JOBS
from tests.faults.faults import FAULTS

LATER = (0.0, 0.0, 0.2, 0.5, 1.0, 2.0, 4.0)
LASTING = (None, None, 3.0, 15.0)


@dataclass(frozen=True)
class Step:
    """One fault during one command.

    ``line`` and ``later`` are its moment: so many seconds after the command's log has that many lines. ``lasting`` is
    how many seconds until it is lifted, None for as long as the command runs.
    """

    seed: int
    number: int
    job: str
    fault: str
    victim: str
    line: int
    later: float
    lasting: float | None

    def __str__(self) -> str:
        """All of it, as a failure tells it."""
        lasting = "until it has ended" if self.lasting is None else f"for {self.lasting:g} s"
        moment = f"{self.later:g} s after line {self.line} of its log"
        return f"seed {self.seed}, step {self.number}: {self.job}; {self.fault}, {self.victim}, {moment}, {lasting}"

    @property
    def again(self) -> str:
        """What repeats this step alone."""
        return f"scripts/test --faults --seed {self.seed} --step {self.number}"


def step(seed: int, number: int) -> Step:
    """Return a step of a seed's campaign: it does not depend on the others."""
    choose = random.Random(f"{seed} {number}")  # noqa: S311 - repeatable, not secret
    job = choose.choice(sorted(JOBS))
    return Step(
        seed,
        number,
        job,
        fault=choose.choice(sorted(FAULTS)),
        victim=choose.choice(JOBS[job].hosts),
        line=choose.randint(1, JOBS[job].lines),
        later=choose.choice(LATER),
        lasting=choose.choice(LASTING),
    )
