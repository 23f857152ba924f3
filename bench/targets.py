"""What is asked of this project, and whether it is so. A target that is not met is printed, and fails nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.comparing import Quantity, cpu, found, median, memory, ratio, wall
from bench.contenders import ANSIBLE, OPENSSH, OURS, PYINFRA, WHOLE
from bench.results import Measurement, Verdict
from scout_ollama.inventory.models import Ssh

Measurements = Sequence[Measurement]

FASTER = {(ANSIBLE, 3): 15.0, (ANSIBLE, 40): 40.0, (PYINFRA, 3): 3.0, (PYINFRA, 10): 3.0, (PYINFRA, 40): 3.0}
"""How many times our wall time others take at least, at a no-op on so many hosts."""
LIMIT = {3: 2.0, 40: 1.2}
"""How many times OpenSSH's wall time we take at most, at a no-op on so many hosts."""
MEMORY_MIB = 64.0
LIST_CPU_SECONDS = 0.2
STATUS_SECONDS = 2.0
"""With all hosts up; one that is down costs its ``connect_timeout``, once."""
COPYING = {3: 1.25, 20: 1.6}
"""How many times as long it takes to copy to so many nodes as to one, at most."""


def verdicts(measurements: Measurements) -> list[Verdict]:
    """Return a verdict on each target that was measured."""
    return [*_deploying(measurements), *_copying(measurements), *_starting(measurements)]


def at_least(target: str, value: float, bound: float, unit: str = "x") -> Verdict:
    """Return whether it is as much."""
    return Verdict(target=f"{target}: at least {bound:g} {unit}", value=value, unit=unit, met=value >= bound)


def at_most(target: str, value: float, bound: float, unit: str = "x") -> Verdict:
    """Return whether it is no more."""
    return Verdict(target=f"{target}: at most {bound:g} {unit}", value=value, unit=unit, met=value <= bound)


def _deploying(measurements: Measurements) -> Iterator[Verdict]:
    for us in measurements:
        if us.contender not in (OURS, WHOLE) or us.case != "no-op" or us.job not in ("hosts", "hosts and Kubernetes"):
            continue
        scene = f"{us.job}, no-op, {us.hosts} hosts: {us.contender}"
        for (other, hosts), bound in FASTER.items():
            them = found(measurements, other, us.job, us.case, us.hosts)
            if them and hosts == us.hosts:
                yield at_least(f"{scene} faster than {other}", ratio(them.rounds, us.rounds), bound)
        limit = found(measurements, OPENSSH, us.job, us.case, us.hosts)
        if limit and us.hosts in LIMIT:
            yield at_most(f"{scene} against {OPENSSH}", ratio(us.rounds, limit.rounds), LIMIT[us.hosts])
        yield at_most(f"{scene}, memory", median(us.rounds, memory) / 2**20, MEMORY_MIB, "MiB")


def _copying(measurements: Measurements) -> Iterator[Verdict]:
    one = found(measurements, OURS, "copying", "first", 1)
    for nodes, bound in COPYING.items():
        many = found(measurements, OURS, "copying", "first", nodes)
        if one and many:
            yield at_most(f"copying to {nodes} nodes, against to one", ratio(many.rounds, one.rounds), bound)


def _starting(measurements: Measurements) -> Iterator[Verdict]:
    bounds: dict[tuple[str, str], tuple[Quantity, float, str]] = {
        ("inv --list", ""): (cpu, LIST_CPU_SECONDS, "s CPU"),
        ("inv status", "all hosts up"): (wall, STATUS_SECONDS, "s"),
        ("inv status", "one host down"): (wall, STATUS_SECONDS + Ssh().connect_timeout, "s"),
    }
    for one in measurements:
        if one.job == "start-up" and (one.contender, one.case) in bounds:
            quantity, bound, unit = bounds[one.contender, one.case]
            yield at_most(", ".join(filter(None, [one.contender, one.case])), median(one.rounds, quantity), bound, unit)
