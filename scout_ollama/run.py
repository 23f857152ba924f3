"""The one gate around everything that changes a host: lock, plan, consent, the changes, their proof, the audit.

A command gives it a function that proposes, for one cluster, what shall be done; everything else is the same for all.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from scout_ollama import audit, consent, interrupts, lock, logs, report
from scout_ollama.audit import Record
from scout_ollama.errors import Trouble
from scout_ollama.fleet import Bug, Fleet
from scout_ollama.inventory import Cluster, Site
from scout_ollama.job import Job, NoServerLeft
from scout_ollama.lock import Hold, Place
from scout_ollama.making import Making
from scout_ollama.proposal import Outcome, Proposal, Request
from scout_ollama.remote import Remote
from scout_ollama.report import Reporter

Propose = Callable[[Job], Proposal]
Prepare = Callable[[Cluster], Propose]
"""Looks at what the inventory says of a cluster, before any host is contacted, and returns what asks the hosts."""


def unprepared(propose: Propose) -> Prepare:
    """Return the preparation of what needs none."""
    return lambda _cluster: propose


def carry_out(
    site: Site, clusters: Sequence[Cluster], request: Request, prepare: Prepare, *, place: Place = Place.LOCK
) -> int:
    """Do on each cluster in turn what is proposed for it; return the exit status: 0 done, 1 trouble, 2 changes pending.

    ``place`` is ``BESIDE`` for what shall not wait for, nor keep out, anybody else; it is audited all the same.
    """
    outcomes: dict[str, Outcome] = {}
    with interrupts.as_ctrl_c():
        for cluster in clusters:
            outcomes[cluster.name] = outcome = _carry_out(site, cluster, request, prepare, place)
            if outcome.result == "interrupted":
                break
    if request.as_json:
        from scout_ollama import results  # its models take long to make

        report.print_json({name: results.of(outcome) for name, outcome in outcomes.items()})
    if len(outcomes) < len(clusters) or any(outcome.has_trouble for outcome in outcomes.values()):
        return 1
    return 2 if any(outcome.is_pending for outcome in outcomes.values()) else 0


def _carry_out(site: Site, cluster: Cluster, request: Request, prepare: Prepare, place: Place) -> Outcome:
    outcome = Outcome(cluster, request)
    with _told(outcome), Fleet(site) as fleet:
        propose = prepare(cluster)
        if request.may_change:
            keeper = fleet.apart(cluster.servers[0])  # first: everything waits for the lock
            job, reporter = _begin(site, fleet, outcome)
            with _locked(keeper, outcome, reporter, place) as hold:
                _do(job, propose(job), hold, reporter, outcome)
        else:
            job, reporter = _begin(site, fleet, outcome)
            _show(job, propose(job), reporter, outcome)
            consent.refuse_without_terminal(request, outcome)
    _reporter(site, request).outcome(outcome)
    return outcome


def _begin(site: Site, fleet: Fleet, outcome: Outcome) -> tuple[Job, Reporter]:
    fleet.expect(outcome.hosts)
    reporter = _reporter(site, outcome.request)  # what it needs is imported while the hosts let us in
    return Job(site, outcome.cluster, fleet, reporter.say, outcome.hosts, reporter.progress), reporter


def _reporter(site: Site, request: Request) -> Reporter:
    return Reporter((host.name for host in site.hosts), as_json=request.as_json)


@contextmanager
def _told(outcome: Outcome) -> Iterator[None]:
    """Take what goes wrong as part of the outcome: it is told, and the next cluster has its turn."""
    try:
        yield
    except KeyboardInterrupt:
        outcome.result = "interrupted"
    except NoServerLeft as trouble:
        outcome.troubles += [*trouble.troubles.values(), trouble]
    except Trouble as trouble:
        outcome.troubles.append(trouble)
    except Exception as error:
        outcome.troubles.append(Bug(outcome.cluster.name, error))
        logs.LOGGER.exception("fault")


@contextmanager
def _locked(keeper: Remote, outcome: Outcome, reporter: Reporter, place: Place) -> Iterator[Hold]:
    """Hold the cluster's lock; at the end, however it comes, what came of it is audited and the lock released."""
    request = outcome.request
    # A signal may come after the caller is through and before this generator is resumed: then it ends when it is
    # collected, and needs its connection until that.
    with keeper:
        record = audit.begin(request.typed, outcome.cluster.name, outcome.hosts, request.reason)
        began = time.monotonic()
        hold = lock.take(keeper, record, reporter.heading, place=place, wait_seconds=request.lock_wait)
        try:
            with _told(outcome):
                yield hold
        finally:
            with interrupts.held_off():
                _end(hold, outcome, time.monotonic() - began)


def _end(hold: Hold, outcome: Outcome, seconds: float) -> None:
    outcome.settle()
    hold.update(
        seconds=round(seconds, 1),
        result=outcome.result,
        troubles=tuple(str(trouble).splitlines()[0] for trouble in outcome.all_troubles),
        undo=outcome.undo,
    )
    outcome.record = hold.record
    _audit_here(hold.record)
    try:
        hold.end()
    except Trouble as trouble:
        outcome.troubles.append(trouble)


def _audit_here(record: Record) -> None:
    """Add the line to the audit of whoever typed the command."""
    file = logs.audit_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with file.open("a", encoding="ascii") as lines:
            lines.write(record.line().rstrip() + "\n")
    except OSError as error:
        logging.getLogger(__name__).warning("%s cannot be written: %s", file, error)


def _show(job: Job, proposal: Proposal, reporter: Reporter, outcome: Outcome) -> None:
    outcome.take(proposal)
    for warning in proposal.warnings:
        reporter.warning(warning)
    if outcome.request.plan_only or not proposal.quiet:
        reporter.plan(job.cluster.name, proposal.plan, in_full=outcome.request.plan_only)


def _do(job: Job, proposal: Proposal, hold: Hold, reporter: Reporter, outcome: Outcome) -> None:
    _show(job, proposal, reporter, outcome)
    hold.update(plan=proposal.plan.digest, changes=len(list(proposal.plan)))
    if proposal.plan and not consent.given(job.cluster, proposal, outcome.request):
        outcome.result = "declined"
        return
    making = Making(job, hold, reporter, outcome)
    making.make(proposal)
    if proposal.prove is None or outcome.is_held_back:
        return
    proved = proposal.prove(outcome.host_troubles)
    outcome.troubles += proved.troubles
    outcome.proved = proved.lines
