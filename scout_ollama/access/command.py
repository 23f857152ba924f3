"""check-access: read the cluster, try every way to its Ollama from every other host, judge, tell."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from scout_ollama import report, selection
from scout_ollama.access.exposure import Exposure
from scout_ollama.access.judging import Judge, unreachable
from scout_ollama.access.matrix import Matrix
from scout_ollama.access.row import Row
from scout_ollama.asking import authority_of, node_addresses
from scout_ollama.errors import Trouble
from scout_ollama.facts import Sections, facts_script, parse_sections, read_exposed
from scout_ollama.fleet import Fleet
from scout_ollama.inventory import Host, OllamaCluster, Site
from scout_ollama.job import Job, NoServerLeft
from scout_ollama.remote import Reader
from scout_ollama.report import Reporter
from scout_ollama.results import AccessOutput


def command(site: Site, selector: str, *, as_json: bool) -> int:
    """Check every selected cluster and tell; return the exit status: 0 if all is as it should be, 1 otherwise.

    Raises:
        Trouble: the selection names no shared Ollama, or only a part of one.
    """
    clusters = selection.shared_clusters(site, selector, "check-access")
    matrices = {cluster.name: _checked(site, cluster) for cluster in clusters}
    if as_json:
        rows = [AccessOutput(cluster=name, **row.as_json()) for name, matrix in matrices.items() for row in matrix.rows]
        report.print_json([row.model_dump() for row in rows])
    else:
        for name, matrix in matrices.items():
            report.print_text(matrix.table())
            report.print_text(matrix.problems(name), soft_wrap=True)
    return 0 if all(matrix.holds for matrix in matrices.values()) else 1


def _checked(site: Site, cluster: OllamaCluster) -> Matrix:
    site.check_files([cluster])
    users, others = _users(site, cluster), _others(site, cluster)
    titles = {name: f"uses {cluster.name}" if name in users else f"no business with {cluster.name}" for name in others}
    with Fleet(site) as fleet:
        found = list(rows(Job(site, cluster, fleet, Reporter(others).say), cluster))
    return Matrix(found, {**titles, cluster.name: "what its objects open"}, len(cluster.hosts))


def _users(site: Site, cluster: OllamaCluster) -> set[str]:
    return {name for scout in site.scouts_of(cluster) for name in scout.hosts}


def _others(site: Site, cluster: OllamaCluster) -> dict[str, Host]:
    return {host.name: host for host in site.hosts if host.cluster != cluster.name}


def rows(job: Job, cluster: OllamaCluster) -> Iterator[Row]:
    """Return what came of every way in: from its Scouts, from all other hosts, and what the cluster itself opens."""
    users, others = _users(job.site, cluster), _others(job.site, cluster)
    exposure, trouble = _exposure(job)
    nodes = node_addresses(cluster.hosts.values(), exposure.of_kind("Node"))
    judge = Judge(cluster, nodes, exposure, datetime.now(UTC))
    tried = job.fleet.read(
        lambda remote: try_access(remote, cluster, list(nodes), as_scout=remote.host.name in users), list(others)
    )
    for name in sorted(others, key=lambda name: name not in users):
        if name in tried.failed:
            yield unreachable(name, "every way to Ollama", tried.failed[name])
        else:
            judged = judge.of_scout if name in users else judge.of_stranger
            yield from judged(others[name], tried.ok[name])
    yield from [unreachable(cluster.name, "its objects", trouble)] if trouble else judge.of_cluster()


def _exposure(job: Job) -> tuple[Exposure, Trouble | None]:
    """What the cluster's objects say, or why nobody can tell; the ways to Ollama are tried all the same."""
    try:
        return Exposure(job.through_a_server({}, read_exposed)), None
    except NoServerLeft as trouble:
        each = "\n".join(f"{name}: {own.what}" for name, own in trouble.troubles.items())
        return Exposure(), Trouble("not read: no server answers", why=each, next=trouble.next)


def try_access(remote: Reader, cluster: OllamaCluster, addresses: list[str], *, as_scout: bool) -> Sections:
    """Try every way to an Ollama from one host, by one script; as a Scout also the one that is to work."""
    scripts = ("ask-endpoint", "try-access") if as_scout else ("try-access",)
    script = facts_script("together", "endpoint", *scripts)
    result = remote.read(script, cluster.ollama.hostname, *addresses, stdin=authority_of(cluster.ollama))
    return parse_sections(result.stdout)
