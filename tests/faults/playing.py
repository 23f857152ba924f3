"""One step of the campaign from its beginning to its end, and what it violated."""

from __future__ import annotations

import subprocess
from contextlib import suppress

from lab.process import holds_in_time
from tests.faults import invariants
from tests.faults.campaign import Step
from tests.faults.commands import JOBS
from tests.faults.faults import FAULTS
from tests.faults.world import SECONDS, Ran, World

PATIENT = ("--yes", "--lock-wait", str(SECONDS))


def play(world: World, step: Step) -> list[str]:
    """Prepare, type, strike at the moment, lift, look, and type once more; return what is violated."""
    job = JOBS[step.job]
    reason = f"fault {step.seed}/{step.number}"
    words = job.prepare(world, step.number)
    world.said.clear()
    try:
        ran = _struck(world, step, (*words, "--yes", "--reason", reason))
    finally:
        world.lifted()
    wrong = invariants.wrong_bytes(world) + invariants.unusable_models(world) + invariants.dishonest_status(world)
    again = world.types(*words, *PATIENT, "--reason", f"{reason} again")
    if again.said.status:
        wrong.append(f"once more does not converge: {again.said.err}")
    plan = world.types(*words, "--plan", "--reason", "look")
    if plan.said.status != 0 and job.settles:
        wrong.append(f"there is still something to do: {plan.said.err}")
    wrong += invariants.lost_audit(world, job.cluster, {reason: ran, f"{reason} again": again})
    wrong += invariants.wrong_bytes(world) + invariants.unusable_models(world) + invariants.unfit_words(world)
    if job.back:
        world.types(*job.back, *PATIENT, "--reason", "back").must_work()
    return [*dict.fromkeys(wrong), f"the run had said:\n{ran.said.err}"] if wrong else []


def _struck(world: World, step: Step, words: tuple[str, ...]) -> Ran:
    """What came of a command in the middle of which the fault happened."""
    with world.typing(*words) as run:
        _await_moment(world, step, run)
        lift = FAULTS[step.fault](world.host(step.victim), run)
        try:
            if step.lasting is not None:
                _while_runs(run, step.lasting)
                lift()
            return world.ended(run)
        finally:
            lift()


def _await_moment(world: World, step: Step, run: subprocess.Popen[str]) -> None:
    """Until the log has its lines and the time after that is over, or the command has ended before."""
    holds_in_time(lambda: run.poll() is not None or world.log_of(run).count("\n") >= step.line, SECONDS)
    _while_runs(run, step.later)


def _while_runs(run: subprocess.Popen[str], seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        run.wait(seconds)
