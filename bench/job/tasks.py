"""The job with this project: its own gate, lock, facts and steps, without what the others do not do.

``inv --search-root bench/job hosts --site SITE --registry URL --authority FILE`` and ``deploy --site SITE``.
"""

from __future__ import annotations

from pathlib import Path

from invoke import Context, Exit, task

from scout_ollama import facts, logs, run
from scout_ollama.changes import Plan
from scout_ollama.inventory import Cluster, Harbor, Site, load_site
from scout_ollama.job import Job
from scout_ollama.proposal import Consent, Proposal, Request
from scout_ollama.steps import registries

STORE = "/var/lib/ollama"


@task
def hosts(_: Context, site: str, registry: str, authority: str) -> None:
    """Files and facts of every host, without Kubernetes."""
    loaded = load_site(Path(site))
    harbor = Harbor(url=registry, ca=Path(authority))

    def propose(job: Job) -> Proposal:
        read = job.fleet.read(lambda remote: facts.read_host(remote, store=STORE, harbor=None), job.cluster.hosts)
        files, _restarts = registries.plan(harbor, job.cluster.hosts, read.ok)
        return Proposal(Plan((files,)), troubles=read.failed)

    _carry_out(loaded, loaded.clusters["nodes"], propose)


@task
def deploy(_: Context, site: str) -> None:
    """The same, and the cluster's objects; neither GPU operator nor models nor proof."""
    from scout_ollama import deploy as deploying
    from scout_ollama import survey

    loaded = load_site(Path(site))
    wanted, _flaws = deploying.wanted_objects(loaded, loaded.clusters["phi"])

    def propose(job: Job) -> Proposal:
        found = survey.take(job, wanted)
        return Proposal(deploying.make_plan(job, wanted, found), troubles=found.troubles)

    _carry_out(loaded, loaded.clusters["phi"], propose)


def _carry_out(site: Site, cluster: Cluster, propose: run.Propose) -> None:
    request = Request("bench", Consent.YES)
    with logs.of("bench") as log:
        status = log.status_of(lambda: run.carry_out(site, [cluster], request, run.unprepared(propose)))
    if status:
        raise Exit(code=status)
