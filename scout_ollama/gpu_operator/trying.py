"""A short-lived pod of the Ollama image on each node lists the GPUs that it was given: what Ollama itself will see."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scout_ollama import manifests
from scout_ollama.changes import Say
from scout_ollama.errors import HostTroubles, Trouble
from scout_ollama.facts import Sections, facts_script, parse_sections
from scout_ollama.gpu_operator.state import NAMESPACE
from scout_ollama.hints import on
from scout_ollama.inventory import Host, Ollama
from scout_ollama.manifests import KubeObject, to_stdin
from scout_ollama.remote import Remote
from scout_ollama.sizes import counted

# The image may have to be pulled first; it has several GB.
SECONDS = 900


@dataclass(frozen=True)
class TryGpus:
    """Start the pods, read what they say, and take them away; ``say`` is told of each that saw what it should.

    Where another pod comes first and has the GPUs, as Ollama's own may after a reboot, that pod is told instead: it is
    by them that it runs. ``troubles`` are those that hosts have when it comes to this: nothing is started there.
    """

    hosts: Sequence[Host]
    ollama: Ollama
    say: Say
    troubles: Mapping[str, Trouble] = field(default_factory=dict, repr=False)
    host: str | None = None

    @property
    def title(self) -> str:
        """What is started, and for how long."""
        return f"let a pod of Ollama's image list its GPUs on {', '.join(host.name for host in self.hosts)}"

    def difference(self) -> list[str]:
        """The pods, which go again."""
        return [f"+ Pod {NAMESPACE}/{_name(host, '…')}, and gone again" for host in self.hosts]

    def make(self, remote: Remote) -> None:
        """Try all nodes at once.

        Raises:
            HostTroubles: on some a pod saw another number of GPUs than the inventory says, or could not start.
            Trouble: the pods could not be made.
        """
        run = secrets.token_hex(3)
        hosts = [host for host in self.hosts if host.name not in self.troubles]
        if not hosts:
            return
        names = [_name(host, run) for host in hosts]
        arguments = (NAMESPACE, str(SECONDS), *names)
        stdin = to_stdin(pods(hosts, self.ollama, run))
        done = remote.run(facts_script("try-gpus"), *arguments, stdin=stdin, sudo=True, timeout=SECONDS + 120)
        said = parse_sections(done.stdout)
        troubles = judge(hosts, said, run)
        for host in hosts:
            if host.name not in troubles:
                self.say(host.name, _told(host, said, run))
        if troubles:
            raise HostTroubles(troubles)


def pods(hosts: Sequence[Host], ollama: Ollama, run: str) -> list[KubeObject]:
    """Return a pod for each host that asks for all of its GPUs; ``run`` tells them from those of other runs."""
    nodes = [{"pod": _name(host, run), "name": host.node, "gpus": host.gpus} for host in hosts]
    return manifests.render(
        "try-gpus",
        {
            "namespace": NAMESPACE,
            "nodes": nodes,
            "seconds": SECONDS,
            "image": f"{ollama.image}:{ollama.version}",
            "runtime_class": ollama.runtime_class,
        },
    )


def judge(hosts: Sequence[Host], said: Sections, run: str) -> dict[str, Trouble]:
    """Return the trouble of each host whose pod did not see exactly its GPUs, and that no other pod has them."""
    return {host.name: trouble for host in hosts if (trouble := _judge(host, said, run))}


def _told(host: Host, said: Sections, run: str) -> str:
    if holders := _holders(host, said, run):
        return f"its GPUs are not tried: {holders} has them"
    return f"a pod of Ollama's image sees {counted(host.gpus, 'GPU')}"


def _holders(host: Host, said: Sections, run: str) -> str:
    """The pods that have the GPUs for which the host's own pod still waits; empty if it does not."""
    return ", ".join(said[f"{_name(host, run)}.holders"].text.split())


def _judge(host: Host, said: Sections, run: str) -> Trouble | None:
    name = _name(host, run)
    answers = (said[f"{name}.{part}"] for part in ("phase", "log", "events"))
    phase, log, events = (answer.text.strip() if answer.ok else "" for answer in answers)
    seen = sum(line.startswith("GPU ") for line in log.splitlines())
    if (phase == "Succeeded" and seen == host.gpus) or _holders(host, said, run):
        return None
    why = "\n".join(filter(None, [*events.splitlines()[-3:], *(f"it said: {line}" for line in log.splitlines()[-3:])]))
    if phase == "Succeeded":
        what = f"a pod that asks for its {host.gpus} GPUs sees {seen}"
    else:
        what = f"a pod of Ollama's image cannot use its GPUs: it is {phase or 'gone'}"
    look = on(host, "nvidia-smi -L; sudo k3s crictl ps -a")
    return Trouble(what, host=host.name, why=why or "it said nothing", next=look)


def _name(host: Host, run: str) -> str:
    return f"try-gpus-{host.node}-{run}"
