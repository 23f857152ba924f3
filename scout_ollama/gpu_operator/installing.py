"""install-gpu-operator: K3s installs the chart, and every GPU of the inventory is proved to be there for Ollama."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from scout_ollama import survey
from scout_ollama.changes import Change, Plan, PullImage, RestartK3s, Stage
from scout_ollama.errors import Trouble
from scout_ollama.gpu_operator import mirrored, preflight, release, state, table
from scout_ollama.gpu_operator.awaiting import PATIENCE_SECONDS, AwaitGpus, AwaitToolkit
from scout_ollama.gpu_operator.ladder import Ladder, Wanted, judge
from scout_ollama.gpu_operator.release import JOB_OBJECT, ApplyRelease, Release, RunHelmAgain, StartAnew
from scout_ollama.gpu_operator.state import OperatorState
from scout_ollama.gpu_operator.trying import TryGpus
from scout_ollama.inventory import Cluster, Host, OllamaCluster, Site
from scout_ollama.job import Job, Troubles
from scout_ollama.pods import condition
from scout_ollama.proposal import Proposal, Proved
from scout_ollama.run import Propose
from scout_ollama.seeing import prove_seen
from scout_ollama.steps import registries
from scout_ollama.survey import Survey


@dataclass(frozen=True)
class Options:
    """What an operator may want to be different. ``patience`` is seconds without movement before it is a stall."""

    pre_pull: bool = False
    allow_taint: bool = False
    patience: float = PATIENCE_SECONDS


DEFAULTS = Options()


def prepare(site: Site, cluster: Cluster, options: Options) -> Propose:
    """Return what proposes to install the release that the inventory wants, or to prove the one that is there.

    Raises:
        Trouble: the cluster has no GPUs, or its chart is not there, or not the one that was accepted.
    """
    site.check_files([cluster])
    wanted = release.wanted(site, cluster)
    if wanted is None:
        raise Trouble(
            f"{cluster.name} has no GPUs to set up",
            why="its ollama.cpu_only is true"
            if isinstance(cluster, OllamaCluster)
            else "the GPU operator of a Scout is installed by Scout's own playbooks",
            next="inv list-hosts --hosts ollama",
        )
    return lambda job: _propose(job, wanted, options)


def _propose(job: Job, wanted: Release, options: Options) -> Proposal:
    found = survey.take(job, wanted.objects, runs_ollama=False, installs_gpus=True)
    ground = registries.plan(job.harbor, job.cluster.hosts, found.healthy)
    steps = look(job, wanted, found, options, ground=ground)
    return Proposal(
        plan=Plan((*ground, *steps.stages)),
        troubles=found.troubles,
        warnings=[*steps.warnings, *(warning.trouble() for warning in found.warnings)],
        prove=lambda troubles: prove(job, wanted, found, troubles),
        undo=steps.undo,
    )


@dataclass(frozen=True)
class Steps:
    """What brings a cluster to its GPUs: the stages of a plan, what to warn of, and what undoes it."""

    stages: Sequence[Stage] = ()
    warnings: Sequence[Trouble] = ()
    undo: str = ""


def look(job: Job, wanted: Release, found: Survey, options: Options = DEFAULTS, *, ground: Sequence[Stage]) -> Steps:
    """Look how far the operator is, and return what is still to be done; nothing if every rung is done.

    ``ground`` is done before this: a restart of K3s in it takes the GPUs from Kubernetes for a while.

    Raises:
        Trouble: it cannot work: every node is tainted, another operator is there, Harbor lacks images.
    """
    current = state.parsed(found.cluster.beside, job.cluster.hosts[job.servers[0]])
    hosts = _hosts(job, found.troubles)
    goal = goal_of(job, wanted, hosts)
    before = judge(current, goal)
    helm, restarts = _helm(wanted, found, current, before), _restarts(job, found)
    pulls = _pulls(job, wanted, found, options)
    if not (helm or restarts or _restarts_k3s(ground)) and before.is_done:
        return Steps(pulls)
    _refuse_what_cannot_work(job, wanted, found, current, helm, options)
    goal = replace(goal, replaced=current.job["metadata"]["uid"] if helm and current.job else "")
    by_node = {host.node: host for host in hosts}
    wait = AwaitGpus(job.cluster.name, by_node, goal, before, job.say, found.troubles, options.patience)
    free = [host for host in hosts if not current.holders.get(host.node)]
    tries = (TryGpus(free, job.ollama, job.say, found.troubles),) if free else ()
    gpus = Stage("gpus", (*_start_anew(before), wait, *tries), is_kept=False)
    return Steps(
        [*pulls, *_around_helm(job, restarts, helm), gpus],
        preflight.taken_over(job.cluster.name, current),
        _undo(job.cluster, current, helm),
    )


def _helm(wanted: Release, found: Survey, current: OperatorState, before: Ladder) -> ApplyRelease | RunHelmAgain | None:
    """What makes K3s run Helm: another HelmChart, or another try of the one that is there."""
    if apply := release.change(wanted, found.cluster):
        return apply
    failed = _failed_job(current, before)
    return RunHelmAgain((JOB_OBJECT,), why=failed) if failed else None


def _restarts_k3s(stages: Sequence[Stage]) -> bool:
    return any(isinstance(change, RestartK3s) for change in Plan(tuple(stages)))


def _refuse_what_cannot_work(
    job: Job, wanted: Release, found: Survey, current: OperatorState, helm: Change | None, options: Options
) -> None:
    """Refuse, before anything is changed, what would end in a wait for nothing, or in a fight.

    Raises:
        Trouble: every node is tainted, another operator is there, or Harbor lacks images.
    """
    if helm:
        preflight.require_no_other(job.cluster.name, current)
        if not options.allow_taint:
            preflight.require_a_place(job.cluster.name, current.nodes)
    if job.harbor and job.cluster.air_gapped:
        _require_images(job, wanted, found)


def _hosts(job: Job, troubles: Troubles) -> list[Host]:
    return [host for host in job.ollama_hosts if host.name not in troubles]


def goal_of(job: Job, wanted: Release, hosts: Sequence[Host]) -> Wanted:
    """Return what shall stand on some hosts of a cluster once the release is installed."""
    users = wanted.users
    return Wanted(
        gpus={host.node: host.gpus for host in hosts},
        images=frozenset(users),
        whole=len(hosts) == len(job.ollama_hosts),
        features=any("gfd" in places for places in users.values()),
    )


def _failed_job(current: OperatorState, before: Ladder) -> str:
    """Why Helm's Job failed for good, or fails again and again, so that no waiting helps; empty if it did not."""
    rung = before.at().get("")
    if rung and rung.name == "chart" and rung.is_crashing:
        return rung.said or rung.reason
    status = current.job.get("status", {}) if current.job else {}
    failed = condition(status, "Failed") == "True"
    return (current.chart.failure if current.chart else "") or "it failed" if failed else ""


def _start_anew(before: Ladder) -> tuple[Change, ...]:
    """Pods of the operator's that crash are tried at once, not after the minutes that the kubelet would let pass."""
    crashing = {rung.pod for rung in before.at().values() if rung.is_crashing and rung.namespace == state.NAMESPACE}
    pods = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": state.NAMESPACE}}
        for name in sorted(crashing)
    ]
    return (StartAnew(tuple(pods)),) if pods else ()


def _restarts(job: Job, found: Survey) -> list[RestartK3s]:
    """K3s looks for the NVIDIA runtime at its start only: it is restarted where it has not found the one that is there.

    With the operator's toolkit that is so after it was installed; an NRI plugin needs no runtime.
    """
    assert isinstance(job.cluster, OllamaCluster)
    if job.cluster.gpu_operator.toolkit == "nri":
        return []
    return [
        RestartK3s(
            host.name,
            found.healthy[host.name].k3s_unit or "k3s",
            host.node,
            "it looks for the NVIDIA runtime at its start only",
        )
        for host in _hosts(job, found.troubles)
        if host.name in found.healthy and not found.healthy[host.name].runtime.loaded
    ]


def _around_helm(job: Job, restarts: Sequence[RestartK3s], helm: Change | None) -> list[Stage]:
    """The host's own runtime has to be loaded before anything uses it; the operator's is there only after Helm ran."""
    assert isinstance(job.cluster, OllamaCluster)
    release_stage = Stage("operator", (helm,) if helm else (), is_kept=False)
    restart_stage = Stage("restarts", tuple(restarts), one_at_a_time=True)
    if job.cluster.gpu_operator.toolkit != "operator":
        return [restart_stage, release_stage]
    toolkits = Stage("toolkits", tuple(AwaitToolkit(restart.host) for restart in restarts))
    return [release_stage, toolkits, restart_stage]


def _pulls(job: Job, wanted: Release, found: Survey, options: Options) -> list[Stage]:
    if not options.pre_pull:
        return []
    missing = [
        PullImage(name, image, "gpu_operator")
        for image in _images(job, wanted)
        for name, facts in found.healthy.items()
        if image not in facts.images
    ]
    return [Stage("images", tuple(missing))]


def _images(job: Job, wanted: Release) -> list[str]:
    return [*wanted.users, f"{job.ollama.image}:{job.ollama.version}"]


def _require_images(job: Job, wanted: Release, found: Survey) -> None:
    """Ask Harbor for each image that some node lacks, from the first host without trouble."""
    harbor = job.harbor
    lacking = [
        image for image in _images(job, wanted) if any(image not in facts.images for facts in found.healthy.values())
    ]
    if harbor and lacking and found.healthy:
        asked = job.fleet.read(
            lambda remote: mirrored.require(remote, job.cluster.name, lacking, harbor), [next(iter(found.healthy))]
        )
        asked.values_or_raise()


def _undo(cluster: Cluster, current: OperatorState, helm: Change | None) -> str:
    if not isinstance(helm, ApplyRelease):
        return ""
    if current.chart is None:
        return f"inv install-gpu-operator --hosts {cluster.name} --remove"
    return f"put back gpu_operator in {cluster.name}.yaml, then inv install-gpu-operator --hosts {cluster.name}"


def prove(job: Job, wanted: Release, found: Survey, troubles: Troubles) -> Proved:
    """Read the ladder once more, show it as a table, and ask the Ollama that runs on a node what it sees.

    The table has every host; what is proved is about those without trouble.
    """
    proved = Proved(job.say)
    hosts = _hosts(job, troubles)
    current = job.through_a_server(dict(troubles), state.read)
    ladder = judge(current, goal_of(job, wanted, hosts))
    everywhere = judge(current, goal_of(job, wanted, job.ollama_hosts))
    for name, line in _table(job, wanted, everywhere, found):
        job.say(name, line)
    for node, rung in ladder.at().items():
        at = next((host.name for host in hosts if host.node == node), job.cluster.name)
        proved.troubles.append(_not_done(job.cluster, at, f"{rung.name}: {rung.reason}"))
    for host in hosts:
        if all(rung.is_done for rung in ladder.nodes.get(host.node, ())):
            proved.add([], host.name, f"Kubernetes gives out {host.gpus} of its {host.gpus} GPUs, validated")
    prove_seen(job, _ollama_pods(job, hosts, current), proved)
    return proved


def _ollama_pods(job: Job, hosts: Sequence[Host], current: OperatorState) -> dict[str, str]:
    """The Ollama pods that have GPUs, by host: where they do, no other pod can try them."""
    held = {host.name: current.holders.get(host.node, ()) for host in hosts}
    return {
        name: str(holder)
        for name, holders in held.items()
        for holder in holders
        if holder.namespace == job.ollama.namespace
    }


def _table(job: Job, wanted: Release, ladder: Ladder, found: Survey) -> list[tuple[str, str]]:
    runtimes = {name: facts.runtime for name, facts in found.hosts.items()}
    return table.lines(ladder, job.cluster.name, wanted.chart.version, job.ollama_hosts, runtimes)


def _not_done(cluster: Cluster, host: str, place: str) -> Trouble:
    return Trouble(
        f"its GPUs are not there: {place}",
        host=host,
        why="they were a moment ago, or the ladder to them was never climbed",
        next=f"inv install-gpu-operator --hosts {cluster.name}",
    )
