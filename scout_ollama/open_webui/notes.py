"""What a person has to know or do beside what is done here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from scout_ollama.errors import Trouble
from scout_ollama.inventory import ScoutCluster, Site
from scout_ollama.open_webui.facts import Found
from scout_ollama.open_webui.needs import Need
from scout_ollama.open_webui.target import Target


def of(site: Site, scout: ScoutCluster, target: Target, found: Found, *, will_change: bool) -> Iterator[Trouble]:
    """Return what does not stop the run: ``scout`` is as the inventory has it."""
    file = site.file_of(scout).name
    if target.mode != scout.ollama_mode:
        yield Trouble(
            f"{file} says ollama_mode: {scout.ollama_mode}, and this run does {target.mode}",
            why="the next run without a flag goes by the file again",
            next=f"edit {file}: ollama_mode: {target.mode}, to make it last",
        )
    if will_change:
        yield Trouble(
            f"{scout.name}: Scout's own deploy does not know of this",
            why="it sets what it always set, in its chart's values, and a new database would begin with that",
            next="in Scout's inventory: " + _scouts_own(target),
        )
    if target.url is None and found.embedding.uses_ollama:
        yield Trouble(
            f"{scout.name}: documents are still embedded by {found.embedding.url}",
            why="the engine of embeddings has a URL of its own, and turning Ollama off leaves it",
            next="choose another engine in Open WebUI's settings of documents, if that Ollama shall go",
        )
    for name in found.installed.own:
        if target.mode != "deploy":
            yield left_behind(scout.name, scout.name, f"DaemonSet {name}")
    for name, url in found.installed.consumers.items():
        if target.mode == "external":
            yield Trouble(
                f"{name} has {url}, which no connection of Open WebUI changes",
                why="it is written into Scout's values for it, and names the Ollama beside Open WebUI",
                next="change OLLAMA_URL there, and its NetworkPolicy, or its notebooks lose their Ollama",
            )


def left_behind(scout: str, who: str, daemonset: str) -> Trouble:
    """Say that a Scout which shall use another Ollama, or none, still runs its own; ``who`` stands for the Scout."""
    return Trouble(
        f"{who} has an Ollama of its own as well: {daemonset}",
        why="it was deployed when its ollama_mode was deploy, and keeps its memory and GPUs",
        next=f"inv remove-ollama --hosts {scout}, when nobody needs it any more",
    )


def _scouts_own(target: Target) -> str:
    if target.mode == "external":
        mode = f"ollama_mode: external, ollama_url: {target.url}"
    else:
        mode = f"ollama_mode: {target.mode}"
    return f"{mode}; in the chart's values: ollama.enabled: false, ollamaUrls: [{target.url or ''}]"


def gaps(scout: ScoutCluster, target: Target, lacking: Sequence[Need]) -> Trouble:
    """Say which models an Ollama lacks that this Scout uses, and how it gets them."""
    lines = [f"{need.model}, used as {need.used_as}" for need in lacking]
    first = lacking[0].model
    if target.cluster:
        then = (
            f"add {first} to ollama.models of {target.cluster.name}.yaml, inv pull-models --hosts {target.cluster.name}"
        )
    elif target.mode == "deploy":
        then = f"add {first} to ollama.models of {scout.name}.yaml, inv pull-models --hosts {scout.name}"
    else:
        then = f"have {first} pulled there"
    return Trouble(
        f"{target.url} lacks models that {scout.name} uses",
        why="\n".join(lines),
        next=f"{then}; or change what uses it, in Open WebUI",
    )
