"""The end of every publication: each node's Ollama is asked for every model, as its users would."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from scout_ollama import proof, sizes
from scout_ollama.checks import Finding
from scout_ollama.facts import Section
from scout_ollama.inventory import Host
from scout_ollama.job import Job, Troubles
from scout_ollama.models import pods, stored, survey
from scout_ollama.models.pods import Pod
from scout_ollama.models.sets import ModelSet
from scout_ollama.proposal import Proved
from scout_ollama.store import ModelName


def prove(
    job: Job, nodes: Iterable[str], pods_of: Mapping[str, Pod], published: ModelSet, troubles: Troubles
) -> Proved:
    """Ask each node's pod for its list and for every model of the set; where no pod serves, look at the store."""
    proved = Proved(job.say)
    names = [name for name in nodes if name not in troubles]
    serving = {name: pod.address for name, pod in pods_of.items() if name in names}
    about = ["tags", *map(str, published.manifests)]
    asked = job.fleet.read(lambda remote: pods.read(remote, serving[remote.host.name], about), list(serving))
    count = _counted(published)
    for name, sections in asked.ok.items():
        host = job.cluster.hosts[name]
        proved.add(list(of_pod(host, published, sections)), name, f"Ollama lists and opens {count} as published")
    idle = [name for name in names if name not in serving]
    directory = survey.store_of(job)
    looked = job.fleet.read(lambda remote: stored.read(remote, directory), idle)
    for name, store in looked.ok.items():
        same = all(store.text_of(model) == text for model, text in published.manifests.items())
        finding = [] if same else [_differs(job.cluster.hosts[name])]
        proved.add(finding, name, f"its store has {count} as published; no Ollama runs there yet")
    proved.troubles += [*asked.failed.values(), *looked.failed.values()]
    return proved


def of_pod(host: Host, published: ModelSet, answers: Mapping[str, Section]) -> Iterator[Finding]:
    """Return what is wrong with one pod's answers: another digest than was published, a model that does not open."""
    tags = answers["tags"]
    served = proof.digests(tags.text) if tags.ok else {}
    for name, digest in published.digests.items():
        got = served.get(name)
        if got != digest:
            told = f"{digest[:12]} was published, {(got or 'nothing')[:12]} is served"
            why = told if tags.ok else tags.text.strip()
            yield _finding(host, name, "its Ollama does not serve it as it was published", why)
        elif not answers[str(name)].ok:
            yield _finding(host, name, "its Ollama cannot open it", answers[str(name)].text.strip())


def _finding(host: Host, name: ModelName, what: str, why: str) -> Finding:
    return Finding("models", host.name, f"{name}: {what}", why, f"inv verify-models --hosts {host.cluster} --deep")


def _differs(host: Host) -> Finding:
    why = "somebody else writes there too"
    next = f"inv list-models --hosts {host.cluster}"
    return Finding("models", host.name, "its store has not what was published", why, next)


def _counted(published: ModelSet) -> str:
    return sizes.counted(len(published.manifests), "model")
