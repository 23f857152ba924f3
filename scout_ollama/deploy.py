"""deploy-ollama: survey, plan, agree, make, prove. A second run plans nothing and proves the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from scout_ollama import certificates, manifests, proving, report, run, survey
from scout_ollama.changes import Plan
from scout_ollama.errors import Trouble
from scout_ollama.fleet import Fleet
from scout_ollama.inventory import OllamaCluster, ScoutCluster, Site
from scout_ollama.job import Job, NoServerLeft
from scout_ollama.manifests import KubeObject
from scout_ollama.report import Reporter
from scout_ollama.run import Consent
from scout_ollama.steps import images, objects, registries
from scout_ollama.survey import Survey


@dataclass
class Outcome:
    """What came of one cluster's deploy; the troubles of its hosts are errors whether anything was made or not."""

    plan: Plan
    made: bool
    troubles: list[Trouble]
    proved: list[tuple[str, str]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as ``changes``, ``made``, ``proved`` and ``troubles``."""
        return {
            "changes": report.plan_as_json(self.plan),
            "made": self.made,
            "proved": [{"host": host, "line": line} for host, line in self.proved],
            "troubles": [report.trouble_as_json(trouble) for trouble in self.troubles],
        }


def command(site: Site, selector: str, *, plan_only: bool, yes: bool, as_json: bool) -> int:
    """Deploy on every selected cluster and tell; return the exit status: 0 done, 1 trouble, 2 changes pending.

    Raises:
        Trouble: the selection names no cluster that runs an Ollama, or only a part of one.
    """
    consent = Consent.PLAN_ONLY if plan_only else Consent.YES if yes else Consent.ASK
    outcomes = {cluster.name: _deploy(site, cluster, consent) for cluster in whole_clusters(site, selector)}
    if as_json:
        report.print_json({name: outcome.as_json() for name, outcome in outcomes.items()})
    if any(outcome.troubles for outcome in outcomes.values()):
        return 1
    return 2 if any(outcome.plan and not outcome.made for outcome in outcomes.values()) else 0


def whole_clusters(site: Site, selector: str) -> list[OllamaCluster | ScoutCluster]:
    """Return the selected clusters that run an Ollama.

    Raises:
        Trouble: none does, or the selector leaves out hosts of one: its objects are for the cluster as a whole.
    """
    hosts = site.select(selector)
    clusters: list[OllamaCluster | ScoutCluster] = []
    for cluster in site.clusters_of(hosts):
        if not isinstance(cluster, OllamaCluster | ScoutCluster) or cluster.runs_ollama is None:
            continue
        left_out = [name for name in cluster.hosts if name not in {host.name for host in hosts}]
        if left_out:
            raise Trouble(
                f"{selector} leaves out {', '.join(left_out)}",
                why="Ollama is deployed to a whole cluster: hosts that are done already are left as they are",
                next=f"inv deploy-ollama --hosts {cluster.name}",
            )
        clusters.append(cluster)
    if not clusters:
        raise _runs_none(site, selector)
    return clusters


def _runs_none(site: Site, selector: str) -> Trouble:
    """Say who owns the Ollama that the selected clusters use, if they use one."""
    chosen = site.clusters_of(site.select(selector))
    scout = next((cluster for cluster in chosen if isinstance(cluster, ScoutCluster)), None)
    what = f"no cluster in {selector} runs an Ollama of its own"
    if scout is None:
        why = "shared clusters do, and Scouts whose ollama_mode is deploy"
        return Trouble(what, why=why, next="inv list-hosts --hosts ollama")
    owner = site.ollama_cluster_of(scout)
    if owner:
        why = f"{scout.name} uses the Ollama of {owner.name}, which owns its version and its models"
        return Trouble(what, why=why, next=f"inv deploy-ollama --hosts {owner.name}")
    used = f", the Ollama at {scout.ollama_url}" if scout.ollama_url else ""
    return Trouble(
        what,
        why=f"its ollama_mode is {scout.ollama_mode}{used}",
        next=f"edit {scout.name}.yaml: ollama_mode: deploy, if it shall have one",
    )


def _deploy(site: Site, cluster: OllamaCluster | ScoutCluster, consent: Consent) -> Outcome:
    reporter = Reporter(host.name for host in site.hosts)
    try:
        with Fleet(site) as fleet:
            outcome = deploy(Job(site, cluster, fleet, reporter.say), reporter, consent)
    except Trouble as trouble:
        outcome = Outcome(Plan(()), made=False, troubles=_all(trouble))
    reporter.troubles(outcome.troubles)
    if outcome.troubles:
        reporter.heading(f"{cluster.name}: not finished; when mended: inv deploy-ollama --hosts {cluster.name}")
    elif outcome.proved:
        reporter.heading(f"{cluster.name}: Ollama runs")
    elif outcome.plan:
        reporter.heading(f"{cluster.name}: nothing was changed")
    return outcome


def deploy(job: Job, reporter: Reporter, consent: Consent) -> Outcome:
    """Bring a cluster to what its inventory says and prove it; one that is there already is only proved.

    Raises:
        Trouble: nothing could be planned, so nothing was changed.
    """
    wanted = wanted_objects(job, reporter)
    found = survey.take(job, wanted)
    plan = make_plan(job, wanted, found)
    for warning in found.warnings:
        reporter.warning(warning.trouble())
    reporter.plan(job.cluster.name, plan, in_full=consent is Consent.PLAN_ONLY)
    troubles = list(found.troubles.values())
    if consent is Consent.PLAN_ONLY or (plan and not run.agreed(job.cluster.name, consent)):
        return Outcome(plan, made=False, troubles=troubles)
    made = run.make(plan, job.fleet, job.servers, found.troubles, job.say)
    if made.cluster:
        return Outcome(plan, made=True, troubles=made.all)
    try:
        proved = proving.prove(job, found, made.troubles)
    except Trouble as trouble:
        return Outcome(plan, bool(plan), [*made.troubles.values(), *_all(trouble)])
    for host, line in proved.lines:
        job.say(host, line)
    return Outcome(plan, bool(plan), [*made.troubles.values(), *proved.troubles], proved.lines)


def _all(trouble: Trouble) -> list[Trouble]:
    """Return a trouble after those it comes from, if it comes from some hosts' own."""
    return [*trouble.troubles.values(), trouble] if isinstance(trouble, NoServerLeft) else [trouble]


def wanted_objects(job: Job, reporter: Reporter) -> list[KubeObject]:
    """Return the objects that shall be there, once the files and secrets they come from are known to be good.

    Raises:
        Trouble: a file or a secret is missing, or the certificate is not one that clients will accept.
    """
    job.site.check_files([job.cluster])
    if job.harbor:
        job.harbor.login()  # a command may ask for it: before any host is touched
    if isinstance(job.cluster, OllamaCluster):
        for flaw in certificates.require_good(job.cluster):
            reporter.warning(Trouble(flaw.what, why=flaw.why, next=flaw.next))
    return manifests.ollama_objects(job.site, job.cluster)


def make_plan(job: Job, wanted: Sequence[KubeObject], found: Survey) -> Plan:
    """Return what differs between what is wanted and what is there, on the hosts without trouble."""
    running = {host.name: found.healthy[host.name] for host in job.ollama_hosts if host.name in found.healthy}
    return Plan(
        (
            *registries.plan(job.harbor, job.cluster.hosts, found.healthy),
            *images.plan(manifests.images_of(wanted), running),
            *objects.plan(wanted, found.cluster, [host.name for host in job.ollama_hosts]),
        )
    )
