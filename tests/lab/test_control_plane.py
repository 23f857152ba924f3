"""How Kubernetes' own control plane is started and ended; the journeys live with it, with --kubernetes."""

import subprocess
from pathlib import Path

import pytest

from lab.lab import Lab
from lab.standins.k3s import control_plane
from lab.standins.k3s.hostinfo import HostInfo, Peer
from lab.standins.kube.client import Failure
from lab.topology import ClusterSpec, gpu_hosts
from scout_ollama.errors import Trouble
from tests.lab import k3s_double

ROOT = Path(__file__).parents[2]
PEER = Peer("phi-gpu-1", "192.0.2.11", "phi-gpu-1", 0, ("server",), 0)
HOST = HostInfo(PEER, (PEER,), PEER.address, "v1.36.3+k3s1", "the-cluster-s-token", has_traefik=True)


def test_one_that_ends_at_once_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = started(monkeypatch, tmp_path)
    assert "-address=192.0.2.11" in seen
    assert f"-data={tmp_path}/server/control-plane" in seen


def test_nobody_sees_the_token_who_lists_processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert HOST.token not in started(monkeypatch, tmp_path)
    file = tmp_path / "server/cluster-token.csv"
    assert file.read_text() == f'{HOST.token},system:admin,system:admin,"system:masters"\n'
    assert file.stat().st_mode & 0o777 == 0o600


def test_it_does_not_say_for_the_node_that_this_is_ready(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    assert "NOTIFY_SOCKET" not in started(monkeypatch, tmp_path)


def test_one_that_resets_connections_while_it_starts_is_awaited() -> None:
    answers: list[Failure | bool] = [Failure(0, "Connection reset by peer"), False, True]

    def is_ready() -> bool:
        if isinstance(answer := answers.pop(0), Failure):
            raise answer
        return answer

    with subprocess.Popen(["sleep", "60"]) as process:
        control_plane._wait(process, is_ready)
        process.kill()
    assert answers == []


def test_a_k3s_signs_with_the_cluster_s_authority_and_has_no_node(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = started(monkeypatch, tmp_path, "k3s")
    assert seen.startswith("server --disable-agent ")
    assert f"--kube-apiserver-arg=token-auth-file={tmp_path}/server/cluster-token.csv" in seen
    assert HOST.token not in seen
    own, made = tmp_path / "server/control-plane/server/tls", tmp_path / "server/tls"
    for name in ("server-ca", "client-ca"):
        assert (own / f"{name}.crt").read_bytes() == (made / "ca.crt").read_bytes()
        assert (own / f"{name}.key").read_bytes() == (made / "ca.key").read_bytes()
        assert (own / f"{name}.key").stat().st_mode & 0o777 == 0o600


def test_what_is_no_program_makes_no_lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, namespaces: None) -> None:  # noqa: ARG001
    monkeypatch.setenv("SCOUT_LAB_K3S", str(tmp_path / "k3s"))
    with pytest.raises(Trouble, match="k3s is not a program") as refused:
        Lab.create("none")
    assert refused.value.next == "unset SCOUT_LAB_K3S"


@pytest.mark.lab
@pytest.mark.kubernetes
@pytest.mark.usefixtures("namespaces")
def test_a_k3s_takes_the_place_of_the_stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A double of it: K3s's own releases are downloads."""
    built = subprocess.run([ROOT / "scripts/build-kubernetes"], stdout=subprocess.PIPE, text=True, check=True)
    double = k3s_double.make(tmp_path / "k3s", Path(built.stdout.strip()))
    monkeypatch.setenv("SCOUT_LAB_K3S", str(double))
    topology = (
        ClusterSpec("phi", "ollama", gpu_hosts("phi", 2), models=("tiny:latest",), gpu_operator="preinstalled"),
    )
    with Lab.running("k3s-binary", topology) as lab:
        host = lab.host("phi-gpu-1")
        nodes = host.run(["k3s", "kubectl", "wait", "--for=condition=Ready", "node", "--all", "--timeout=60s"]).stdout
        assert nodes.split() == ["node/phi-gpu-1", "condition", "met", "node/phi-gpu-2", "condition", "met"]
        traefik = host.run(["k3s", "kubectl", "-n", "kube-system", "logs", "deployment/traefik"])
        assert traefik.returncode == 0
        assert "k3s-double" in host.run(["ps", "-eo", "args"]).stdout


def started(monkeypatch: pytest.MonkeyPatch, directory: Path, name: str = "kubernetes") -> str:
    """The arguments and the environment of a program that ends at once instead of serving."""
    program, seen = directory / name, directory / "seen"
    program.write_text(f'#!/bin/sh\n{{ echo "$@"; env; }} >{seen}\nexit 3\n')
    program.chmod(0o755)
    monkeypatch.setattr(control_plane, "DIRECTORY", directory)
    with pytest.raises(OSError, match=r"the control plane is not ready .* exit status: 3"):
        control_plane.start(directory / "server", HOST, "https://127.0.0.1:1", "system:admin")
    return seen.read_text()
