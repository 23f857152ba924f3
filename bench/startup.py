"""The part *start-up*: how long it takes until ``inv`` says something."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench import contenders
from bench.contenders import Contender
from bench.metering import meter
from bench.results import Measurement, Sample
from lab.lab import Lab
from scout_ollama.errors import Trouble

JOB = "start-up"
DOWN = "phi-gpu-3"


def measure(rounds: int, say: Callable[[str], None]) -> Iterator[Measurement]:
    """Measure ``inv --list``, and ``inv status`` of the lab's site with all hosts up, and with one cut off."""
    say("start-up: the lab's site, with stand-ins for Kubernetes, GPUs and Ollama; it is deployed first")
    with tempfile.TemporaryDirectory() as home, Lab.running(f"bench-{os.getpid()}") as lab:
        _sample(contenders.whole(lab.site, Path(home)))
        environment = {"SCOUT_SITE": str(lab.site), "XDG_STATE_HOME": home}
        yield _measured("inv --list", "", 0, _rounds(rounds, environment, "--list"))
        say("start-up: inv status")
        status = "status", "--hosts=phi"
        yield _measured("inv status", "all hosts up", 3, _rounds(rounds, environment, *status))
        lab.host(DOWN).cut()
        yield _measured("inv status", "one host down", 3, _rounds(rounds, environment, *status, status=1))


def _rounds(rounds: int, environment: dict[str, str], *words: str, status: int = 0) -> list[Sample]:
    return [_sample(Contender([contenders.INV, *words], environment), status) for _ in range(rounds)]


def _sample(contender: Contender, status: int = 0) -> Sample:
    done = meter(contender.argv, contender.environment)
    if done.status != status:
        raise Trouble(f"{' '.join(contender.argv)} ended with {done.status}, not {status}", why=done.said)
    return done.sample


def _measured(command: str, case: str, hosts: int, rounds: Sequence[Sample]) -> Measurement:
    return Measurement(job=JOB, case=case, hosts=hosts, contender=command, rounds=list(rounds))
