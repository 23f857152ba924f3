"""Harbor is asked for every image that is about to be pulled, by one host, and all that it lacks is named at once."""

from __future__ import annotations

import pytest

from scout_ollama.errors import Trouble
from scout_ollama.gpu_operator import mirrored
from scout_ollama.inventory import Harbor, Host
from scout_ollama.remote import RecordingRemote

HARBOR = Harbor(url="https://harbor.example.edu:8443")
HOST = Host(name="phi-gpu-1", cluster="phi", address="192.0.2.11", roles=frozenset({"server"}))
OPERATOR = "nvcr.io/nvidia/gpu-operator:v25.10.1"
OLLAMA = "docker.io/ollama/ollama:0.24.0"
DIGEST = "registry.k8s.io/nfd/node-feature-discovery@sha256:" + "a" * 64


def asked(images: list[str], *answers: str, harbor: Harbor = HARBOR) -> RecordingRemote:
    """Ask, with these sections as the answers."""
    remote = RecordingRemote(HOST, lambda _: "".join(answers))
    mirrored.require(remote, "phi", images, harbor)
    return remote


def test_each_is_asked_for_where_containerd_will_ask() -> None:
    (call,) = asked([OPERATOR, OLLAMA, DIGEST], "1 0\n  200\n", "2 0\n  200\n", "3 0\n  200\n").calls
    assert (call.kind, call.script) == ("read", "ask-images")
    v2 = "https://harbor.example.edu:8443/v2"
    assert call.args == (
        f"{v2}/nvidia-proxy/nvidia/gpu-operator/manifests/v25.10.1",
        f"{v2}/dockerhub-proxy/ollama/ollama/manifests/0.24.0",
        f"{v2}/k8s-proxy/nfd/node-feature-discovery/manifests/sha256:{'a' * 64}",
    )


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("1 0\n  404\n", f"{OPERATOR}: not there (HTTP 404)"),
        ("1 0\n  401\n", f"{OPERATOR}: not there, or not for this user (HTTP 401)"),
        ("1 28\n  curl: (28) Connection timed out\n", f"{OPERATOR}: curl: (28) Connection timed out"),
        ("", f"{OPERATOR}: it did not answer"),
    ],
)
def test_what_is_not_there_is_named_with_what_harbor_said(answer: str, told: str) -> None:
    with pytest.raises(Trouble, match="Harbor lacks 1 of 2 images") as lacking:
        asked([OPERATOR, OLLAMA], answer, "2 0\n  200\n")
    assert lacking.value.why == told
    assert "nothing was changed" in lacking.value.what


def test_an_image_without_a_project_is_named_without_asking_for_it() -> None:
    harbor = Harbor(url=HARBOR.url, projects={"docker.io": "dockerhub-proxy"})
    with pytest.raises(Trouble, match="Harbor lacks 2 of 3") as lacking:
        asked([OPERATOR, OLLAMA, DIGEST], "1 0\n  200\n", harbor=harbor)
    assert "harbor.projects has none for nvcr.io" in lacking.value.why
    assert "harbor.projects has none for registry.k8s.io" in lacking.value.why
