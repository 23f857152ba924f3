"""Random faults at random moments of random commands; whatever happens, what must hold does.

``scripts/test --faults [N] [--seed S] [--step K]`` plays N steps of a seed, or one alone; without it, a short campaign.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from lab.lab import Lab
from scout_ollama.fleet import Bug
from tests.faults import campaign, invariants
from tests.faults.campaign import Step
from tests.faults.commands import JOBS
from tests.faults.faults import FAULTS
from tests.faults.playing import play
from tests.faults.world import HOSTS, SECONDS, TOPOLOGY, World, all_said


def test_a_seed_is_the_same_campaign_every_time() -> None:
    first = [campaign.step(1, number) for number in range(50)]
    assert first == [campaign.step(1, number) for number in range(50)]
    assert first != [replace(campaign.step(2, number), seed=1) for number in range(50)]
    assert campaign.step(1, 30) == first[30], "a step does not depend on those before it"


def test_every_command_and_every_fault_has_its_turn() -> None:
    steps = [campaign.step(1, number) for number in range(400)]
    assert {step.job for step in steps} == set(JOBS)
    assert {step.fault for step in steps} == set(FAULTS)
    assert {step.victim for step in steps} == set(HOSTS)


def test_a_step_says_how_to_repeat_it() -> None:
    step = campaign.step(7, 12)
    assert str(step).startswith("seed 7, step 12: ")
    assert step.again == "scripts/test --faults --seed 7 --step 12"


def test_a_message_without_a_why_is_found() -> None:
    told = "phi-gpu-1: it broke\n  next: mend it\nphi-gpu-2: it broke\n  why: it was old\n  next: mend it\n"
    assert invariants.without_why(told) == ["phi-gpu-1: it broke"]


def test_a_fault_of_ours_is_found_and_what_kubectl_did_not_expect_is_none() -> None:
    heading, why, *_ = bug = str(Bug("phi-gpu-1", KeyError("digest"))).splitlines()
    assert invariants.faults_of_ours("\n".join(["phi: failed", *bug])) == [heading, why]
    assert invariants.faults_of_ours("Traceback (most recent call last):")
    assert not invariants.faults_of_ours("  why: error: next reader: websocket: close 1006: unexpected EOF")


def test_a_command_that_says_more_than_a_pipe_holds_comes_to_its_end() -> None:
    with subprocess.Popen(["seq", "100000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        said = all_said(run, SECONDS)
    assert said
    assert said.out.endswith("\n100000\n")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A site in use: everything works."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("the lab's hosts are made by root on Linux; run the tests as root there")
    with Lab.running(f"faults-{os.getpid()}", TOPOLOGY) as lab:
        made = World(lab, tmp_path_factory.mktemp("faults"))
        made.build()
        yield made


@pytest.mark.lab
@pytest.mark.timeout(1800)
def test_what_must_hold_does(world: World, step: Step) -> None:
    if violated := play(world, step):
        pytest.fail("\n".join([str(step), *violated, f"again: {step.again}"]), pytrace=False)
