"""What a running Ollama sees of its GPUs, by its own log: it falls back to the processor without a word to anybody."""

from __future__ import annotations

from collections.abc import Mapping

from scout_ollama.checks import Finding
from scout_ollama.facts import facts_script, parse_sections
from scout_ollama.hints import on
from scout_ollama.inventory import Host
from scout_ollama.job import Job
from scout_ollama.proposal import Proved


def prove_seen(job: Job, pods: Mapping[str, str], proved: Proved) -> None:
    """Add what Ollama's pods, ``NAMESPACE/POD`` by host, said at their start that they found.

    A log that has been rotated since does not tell any more, which is no trouble.
    """
    for name, found in _seen(job, pods).items():
        host = job.cluster.hosts[name]
        if found is None:
            job.say(name, "its log no longer says which GPUs its Ollama found when it started")
        else:
            flaw = _flaw(host, found)
            proved.add([flaw] if flaw else [], name, f"its Ollama found {found} of {host.gpus} GPUs")


def flaws(job: Job, pods: Mapping[str, str]) -> list[Finding]:
    """Return what is wrong with what Ollama's pods, ``NAMESPACE/POD`` by host, found at their start."""
    found = {job.cluster.hosts[name]: count for name, count in _seen(job, pods).items() if count is not None}
    return [flaw for host, count in found.items() if (flaw := _flaw(host, count))]


def _seen(job: Job, pods: Mapping[str, str]) -> dict[str, int | None]:
    if not pods:
        return {}
    script = facts_script("log-heads")
    said = job.through_a_server(
        {}, lambda remote: parse_sections(remote.read(script, *pods.values(), sudo=True).stdout)
    )
    return {name: seen(said[pod].text) for name, pod in pods.items()}


def seen(log: str) -> int | None:
    """Return how many GPUs an Ollama found when it started, by the beginning of its log; None if that does not tell.

    There is a line for each GPU, or one for the processor (``discover/types.go`` of Ollama v0.24.0).
    """
    lines = [line for line in log.splitlines() if 'msg="inference compute"' in line]
    return sum("library=cpu" not in line for line in lines) if lines else None


def _flaw(host: Host, found: int) -> Finding | None:
    if found == host.gpus:
        return None
    what = f"its Ollama found {found} of its {host.gpus} GPUs"
    why = "it was started while some were away" if found else "it answers by the processor, a hundred times slower"
    return Finding("seen", host.name, what, why, on(host, "nvidia-smi -L; sudo dmesg | grep -i nvrm | tail"))
