"""``hosts/*.yaml`` → ``Site``, or every problem of every file at once."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .consistency import Consistency
from .explaining import explain, unknown
from .fields import shown
from .models import Cluster, OllamaCluster, ScoutCluster, StagingCluster
from .problems import Problem, refuse
from .reading import Document, read
from .site import Site

KINDS: dict[str, type[Cluster]] = {"ollama": OllamaCluster, "scout": ScoutCluster, "staging": StagingCluster}
MANUAL = "example.yaml"


def load_site(root: Path) -> Site:
    """Read and check the inventory in the directory ``root``: each ``*.yaml`` there but the manual is a cluster.

    The files that it names (certificates, keys) are not looked at: ``Site.check_files`` does that. Raises
    ``InventoryError`` that lists all problems of all files.
    """
    if not root.is_dir():
        refuse(root, [Problem(root, (), "is not a directory", "name one with --site DIR or SCOUT_SITE")])
    files = [file for file in sorted(root.glob("[!.]*.yaml")) if file.name != MANUAL]
    problems = [
        Problem(file, (), "would not be read: its name ends in .yml", f"name it {file.stem}.yaml")
        for file in sorted(root.glob("*.yml"))
    ]
    if not files:
        problems.append(Problem(root, (), "has no cluster", f"write one file per cluster; {MANUAL} is the manual"))
    clusters: dict[str, Cluster] = {}
    documents: dict[Path, Document] = {}
    for file in files:
        found, document, cluster = _load(file)
        problems += found
        documents[file] = document
        if cluster:
            clusters[cluster.name] = cluster
    site = Site(root, _with_urls(clusters))
    for problem in Consistency(site, names=[file.stem for file in files]).problems():
        problems.append(replace(problem, line=documents[problem.file].line(problem.where)))
    refuse(root, sorted(problems, key=lambda problem: (str(problem.file), problem.line or 0)))
    return site


def _with_urls(clusters: dict[str, Cluster]) -> dict[str, Cluster]:
    """The clusters, with the ``ollama_url`` of a Scout filled in from the shared cluster that it names."""

    def filled(cluster: Cluster) -> Cluster:
        if not isinstance(cluster, ScoutCluster) or cluster.ollama_url:
            return cluster
        shared = clusters.get(cluster.ollama_cluster or "")
        return cluster.model_copy(update={"ollama_url": shared.url}) if isinstance(shared, OllamaCluster) else cluster

    return {name: filled(cluster) for name, cluster in clusters.items()}


def _load(file: Path) -> tuple[list[Problem], Document, Cluster | None]:
    """One file: its problems, its document, and its cluster if it is one."""
    documents, problems = read(file)
    document = documents[0] if documents else Document(None)
    if len(documents) > 1:
        problems.append(Problem(file, (), f"has {len(documents)} YAML documents", "one file per cluster"))
    if not problems and document.data is None:
        problems.append(Problem(file, (), "is empty", f"copy what fits from {MANUAL}"))
    if document.data is None:
        return problems, document, None
    cluster, invalid = validate(file, document)
    told = {problem.where for problem in problems}
    return problems + [problem for problem in invalid if problem.where not in told], document, cluster


def validate(file: Path, document: Document) -> tuple[Cluster | None, list[Problem]]:
    """The cluster that a document describes, or the problems that it has by itself."""
    data = document.data
    if not isinstance(data, dict):
        return None, [Problem(file, (), "is not a mapping", "it starts with a line such as kind: ollama")]
    kind = data.get("kind")
    model = KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        wrong = "is missing" if kind is None else f"is {shown(kind)}"
        return None, [Problem(file, ("kind",), wrong, f"right is one of {', '.join(KINDS)}", document.line(("kind",)))]
    problems = list(_taken(file, model, data))
    try:
        # JSON's strict mode takes "22" for text and 22 for a number, and still makes paths and networks of text.
        text = json.dumps({**data, "name": file.stem})
        cluster: Cluster | None = model.model_validate_json(text, strict=True, context={"directory": file.parent})
    except ValidationError as error:
        problems += [explain(file, document, model, details) for details in error.errors(include_url=False)]
        cluster = None
    return (None if problems else cluster), [
        replace(problem, line=document.line(problem.where)) for problem in problems
    ]


def _taken(file: Path, model: type[Cluster], data: dict[str, Any]) -> Iterator[Problem]:
    """Keys that are fields of the models but not for writing: they follow from where they stand."""
    if "name" in data:
        yield unknown(file, model, ("name",))
    hosts = data.get("hosts")
    for name, host in hosts.items() if isinstance(hosts, dict) else ():
        for key in ("name", "cluster"):
            if isinstance(host, dict) and key in host:
                yield unknown(file, model, ("hosts", name, key))
