"""A short-lived pod on each node counts its GPUs; what it says decides, not that it ended."""

from __future__ import annotations

import pytest

from scout_ollama.errors import HostTroubles
from scout_ollama.gpu_operator.trying import TryGpus, pods
from scout_ollama.inventory import Host, Ollama
from scout_ollama.remote import Call, RecordingRemote

OLLAMA = Ollama()
ONE = Host(name="phi-gpu-1", address="192.0.2.11", roles=frozenset({"gpu"}), gpus=1)
THREE = Host(name="phi-gpu-3", address="192.0.2.13", roles=frozenset({"gpu"}), gpus=3, node_name="gpu-three")


def answer(call: Call, said: dict[str, str]) -> str:
    """What try-gpus prints of the pods on these nodes: the phase in the first line, the log below it.

    Of one that is ``Pending for`` other pods, those too.
    """
    names = {node: next(name for name in call.args if name.startswith(f"try-gpus-{node}-")) for node in said}
    printed = ""
    for node, text in said.items():
        first, *log = text.splitlines()
        phase, _, holders = first.partition(" for ")
        printed += f"{names[node]}.phase 0\n  {phase}\n"
        printed += f"{names[node]}.holders 0\n  {holders}\n" if holders else ""
        printed += f"{names[node]}.log 0\n" + "".join(f"  {line}\n" for line in log)
    return printed


def tried(**said: str) -> tuple[list[tuple[str, str]], Call]:
    """Try both hosts, whose pods say this. Returns what a person is told, and the one call."""
    told: list[tuple[str, str]] = []
    on_nodes = {node.replace("_", "-"): text for node, text in said.items()}
    remote = RecordingRemote(ONE, lambda call: answer(call, on_nodes))
    TryGpus([ONE, THREE], OLLAMA, lambda host, line: told.append((host, line))).make(remote)
    (call,) = remote.calls
    return told, call


def gpus(count: int) -> str:
    return "\n".join(["Succeeded", *(f"GPU {n}: NVIDIA H100 80GB HBM3 (UUID: GPU-{n})" for n in range(count))])


def test_each_pod_sees_exactly_its_gpus() -> None:
    told, call = tried(phi_gpu_1=gpus(1), gpu_three=gpus(3))
    assert told == [
        ("phi-gpu-1", "a pod of Ollama's image sees 1 GPU"),
        ("phi-gpu-3", "a pod of Ollama's image sees 3 GPUs"),
    ]
    assert call.kind == "run"
    assert call.stdin.rstrip().endswith(b"# end of objects")


@pytest.mark.parametrize(
    ("said", "what"),
    [
        (gpus(2), "a pod that asks for its 3 GPUs sees 2"),
        (gpus(4), "a pod that asks for its 3 GPUs sees 4"),
        ("Succeeded\nNo devices found.", "a pod that asks for its 3 GPUs sees 0"),
        ("Pending", "a pod of Ollama's image cannot use its GPUs: it is Pending"),
        ("Failed\nnvidia-smi: not found", "a pod of Ollama's image cannot use its GPUs: it is Failed"),
    ],
)
def test_a_pod_that_does_not_is_its_hosts_trouble_and_no_other_hosts(said: str, what: str) -> None:
    with pytest.raises(HostTroubles) as failed:
        tried(phi_gpu_1=gpus(1), gpu_three=said)
    assert {host: trouble.what for host, trouble in failed.value.troubles.items()} == {"phi-gpu-3": what}


def test_where_another_pod_has_the_gpus_it_is_told_and_nothing_is_wrong() -> None:
    told, _ = tried(phi_gpu_1=gpus(1), gpu_three="Pending for ollama/ollama-x7k2p")
    assert told == [
        ("phi-gpu-1", "a pod of Ollama's image sees 1 GPU"),
        ("phi-gpu-3", "its GPUs are not tried: ollama/ollama-x7k2p has them"),
    ]


def test_a_pod_of_which_nothing_is_heard_has_not_seen_anything() -> None:
    with pytest.raises(HostTroubles) as failed:
        tried(phi_gpu_1=gpus(1))
    assert failed.value.troubles["phi-gpu-3"].what.endswith("it is gone")


def test_a_pod_has_no_more_rights_than_it_needs() -> None:
    for pod in pods([ONE, THREE], OLLAMA, "abc"):
        spec, (container,) = pod["spec"], pod["spec"]["containers"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert not container["securityContext"]["allowPrivilegeEscalation"]
        assert spec["activeDeadlineSeconds"] > 0
        assert spec["restartPolicy"] == "Never"


def test_a_pod_asks_for_all_gpus_of_its_node_and_for_ollamas_runtime() -> None:
    _, three = pods([ONE, THREE], OLLAMA, "abc")
    assert three["metadata"]["name"] == "try-gpus-gpu-three-abc"
    assert three["spec"]["nodeSelector"] == {"kubernetes.io/hostname": "gpu-three"}
    assert three["spec"]["containers"][0]["resources"] == {"limits": {"nvidia.com/gpu": "3"}}
    assert three["spec"]["runtimeClassName"] == "nvidia"
    assert three["spec"]["containers"][0]["image"] == "docker.io/ollama/ollama:0.24.0"
    (without,) = pods([ONE], Ollama(runtime_class=None), "abc")
    assert "runtimeClassName" not in without["spec"]
