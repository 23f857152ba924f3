"""What an operator types while something goes wrong; before each, something differs, so that there is work to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.world import NODES, SCOUT, STAGING, STORE, World
from tests.journeys.conftest import kubectl

LIBRARY = f"{STORE}/manifests/registry.ollama.ai/library"
PHI = ("--hosts", "phi")
THE_SCOUT = ("--hosts", "scout-prod")
ONE_NODE = ("--hosts", "phi:gpu-2")

Prepare = Callable[[World, int], tuple[str, ...]]
"""Makes something differ, in the step of that number; returns what is to be typed."""


@dataclass(frozen=True)
class Job:
    """One thing to do.

    ``hosts`` are those that it has to do with, ``lines`` what its log usually has. ``settles``: done once, there is
    nothing to do. ``back`` are the words that bring back what the next step takes for granted.
    """

    prepare: Prepare
    lines: int
    hosts: tuple[str, ...]
    cluster: str = "phi"
    settles: bool = True
    back: tuple[str, ...] = ()


def after_a_deletion(world: World, number: int) -> tuple[str, ...]:
    """Somebody deleted an object of Ollama's."""
    kind = ("networkpolicy", "ingress", "service")[number % 3]
    kubectl(world.lab, "delete", kind, "-n", "ollama", "ollama")
    return ("deploy-ollama", *PHI)


def after_registries_went(world: World, number: int) -> tuple[str, ...]:
    """A node's registries are gone, which means a restart of its K3s."""
    world.host(NODES[number % 2]).run(["rm", "-f", "/etc/rancher/k3s/registries.yaml"])
    return ("deploy-ollama", *PHI)


def with_another_setting(world: World, number: int) -> tuple[str, ...]:
    """The inventory wants what replaces every pod."""
    world.operator.edit("phi", lambda phi: phi["ollama"].update(keep_alive=f"{number + 1}m"))
    return ("deploy-ollama", *PHI)


def with_another_model(world: World, number: int) -> tuple[str, ...]:
    """The inventory wants a model that nobody has yet, and none but one of those before."""
    model = f"m{number}:latest"
    world.push(model)
    world.operator.edit("phi", lambda phi: phi["ollama"].update(models=["tiny:latest", model]))
    return ("pull-models", *PHI)


def with_a_moved_tag(world: World, number: int) -> tuple[str, ...]:
    """The registry has another model by a name that is in use."""
    world.push(f"tiny:latest=s{number}")
    return ("pull-models", *PHI, "--update")


def with_a_lost_model(world: World, number: int) -> tuple[str, ...]:
    """A node has lost a model, as when somebody tidied up there."""
    world.host(NODES[number % 2]).run(["rm", "-f", f"{LIBRARY}/tiny/latest"])
    return ("pull-models", *PHI)


def with_a_stray_model(world: World, number: int) -> tuple[str, ...]:
    """Every node has a model that no set names."""
    for node in NODES:
        world.put_by_hand(node, f"stray{number}:latest")
    return ("prune-models", *PHI, "--keep", "1")


def after_a_change(world: World, number: int) -> tuple[str, ...]:
    """There is an earlier revision, and it is another one."""
    world.types(*with_another_setting(world, number), "--yes").must_work()
    kept = [run["kept"] for run in world.operator.audit() if run["kept"]]
    return ("rollback-ollama", *PHI, "--to", str(kept[-1] - 1))


def with_another_certificate(world: World, _: int) -> tuple[str, ...]:
    """The site has a new certificate."""
    secrets = world.operator.site / "secrets"
    world.operator.authority.issue(["ollama.phi.example.edu"]).write(secrets / "phi.crt", secrets / "phi.key")
    return ("rotate-tls", *PHI)


def as_it_is(*words: str) -> Prepare:
    """Nothing has to differ."""
    return lambda _world, _number: words


def while_drained(world: World, _: int) -> tuple[str, ...]:
    """A node is out of service."""
    world.types("drain-host", *ONE_NODE, "--yes", "--reason", "prepared").must_work()
    return ("undrain-host", *ONE_NODE)


def while_disconnected(world: World, _: int) -> tuple[str, ...]:
    """The Scout uses the Ollama beside it."""
    if world.is_connected():
        world.types("disconnect-scout", *THE_SCOUT, "--yes").must_work()
    return ("connect-scout", *THE_SCOUT)


def while_connected(world: World, _: int) -> tuple[str, ...]:
    """The Scout uses the shared Ollama."""
    if not world.is_connected():
        world.types("connect-scout", *THE_SCOUT, "--yes").must_work()
    return ("disconnect-scout", *THE_SCOUT)


_SERVING = (*NODES, SCOUT)
_ALL = (*NODES, STAGING, SCOUT)
_COPYING = (*NODES, STAGING)

JOBS = {
    "deploy-ollama after a deletion": Job(after_a_deletion, 42, _ALL),
    "deploy-ollama after registries went": Job(after_registries_went, 70, _ALL),
    "deploy-ollama with another setting": Job(with_another_setting, 70, _ALL),
    "pull-models with another model": Job(with_another_model, 70, _COPYING),
    "pull-models with a moved tag": Job(with_a_moved_tag, 70, _COPYING, settles=False),
    "pull-models with a lost model": Job(with_a_lost_model, 60, _COPYING),
    "prune-models": Job(with_a_stray_model, 35, NODES),
    "rollback-ollama": Job(after_a_change, 70, _SERVING, back=("deploy-ollama", *PHI)),
    "rotate-tls": Job(with_another_certificate, 30, _SERVING),
    "restart-ollama": Job(as_it_is("restart-ollama", *PHI), 30, NODES, settles=False),
    "drain-host": Job(as_it_is("drain-host", *ONE_NODE), 16, NODES, back=("undrain-host", *ONE_NODE)),
    "undrain-host": Job(while_drained, 20, NODES),
    "connect-scout": Job(while_disconnected, 62, _SERVING, "scout-prod"),
    "disconnect-scout": Job(while_connected, 52, _SERVING, "scout-prod"),
}
