"""registries.yaml as K3s reads it: where an image is looked for, and what is rendered for containerd."""

import pytest

from lab.standins.k3s import containerd_config
from lab.standins.k3s.registries import Registries, RegistriesError, endpoint_url, parse, parse_reference

HARBOR = r"""
mirrors:
  docker.io:
    endpoint: [harbor.example.edu]
    rewrite: {"^(.*)$": "dockerhub-proxy/$1"}
  nvcr.io:
    endpoint: ["https://harbor.example.edu:8443/v2", "http://spare.example.edu"]
configs:
  harbor.example.edu:
    auth: {username: robot, password: s3cret}
    tls: {ca_file: /etc/rancher/k3s/ca.crt}
"""


def test_the_mirror_comes_first_and_the_registry_itself_last() -> None:
    mirror, itself = parse(HARBOR).endpoints("docker.io")
    assert (mirror.url, itself.url) == ("https://harbor.example.edu/v2", "https://registry-1.docker.io/v2")
    assert mirror.repository("ollama/ollama") == "dockerhub-proxy/ollama/ollama"
    assert itself.repository("ollama/ollama") == "ollama/ollama"  # rewrites are the mirror's
    assert mirror.auth is not None
    assert mirror.auth.username == "robot"
    assert "s3cret" not in repr(mirror)
    assert mirror.tls.ca_file == "/etc/rancher/k3s/ca.crt"


def test_configs_are_found_by_host_and_port() -> None:
    first, second, _ = parse(HARBOR).endpoints("nvcr.io")
    assert first.url == "https://harbor.example.edu:8443/v2"
    assert first.auth is None
    assert second.url == "http://spare.example.edu/v2"


def test_a_registry_without_a_mirror_is_asked_itself() -> None:
    assert [e.url for e in Registries().endpoints("ghcr.io")] == ["https://ghcr.io/v2"]


def test_the_wildcard_serves_what_has_no_mirror_of_its_own() -> None:
    found = parse('mirrors: {"*": {endpoint: [any.example.edu]}, quay.io: {endpoint: [quay.example.edu]}}')
    assert found.endpoints("ghcr.io")[0].host == "any.example.edu"
    assert found.endpoints("quay.io")[0].host == "quay.example.edu"


def test_the_first_rewrite_that_changes_something_counts() -> None:
    text = 'mirrors: {r: {endpoint: [m], rewrite: {"^none/": "a/", "^rancher/(.*)": "mirror/${1}", "(.*)": "late/$1"}}}'
    assert parse(text).endpoints("r")[0].repository("rancher/pause") == "mirror/pause"


@pytest.mark.parametrize(
    ("image", "full"),
    [
        ("ollama/ollama:0.24.0", "docker.io/ollama/ollama:0.24.0"),
        ("busybox", "docker.io/library/busybox:latest"),
        ("index.docker.io/ollama/ollama:1", "docker.io/ollama/ollama:1"),
        ("localhost:5000/a/b:1", "localhost:5000/a/b:1"),
        ("nvcr.io/nvidia/k8s/dcgm:1.2_3", "nvcr.io/nvidia/k8s/dcgm:1.2_3"),
        ("ghcr.io/o/w@sha256:" + "a" * 64, "ghcr.io/o/w@sha256:" + "a" * 64),
    ],
)
def test_image_names_in_full(image: str, full: str) -> None:
    assert str(parse_reference(image)) == full


@pytest.mark.parametrize("image", ["Ollama/ollama", "ollama/ollama:bad tag", "https://x/y", ""])
def test_names_that_are_none(image: str) -> None:
    with pytest.raises(ValueError, match="invalid reference format"):
        parse_reference(image)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mirrors: [docker.io]", "cannot unmarshal !!seq into map"),
        ("mirrors: {docker.io: harbor}", "cannot unmarshal !!str `harbor` into Mirror"),
        ("mirrors:\n  a: {\n", "yaml: line"),
        ("mirrors: {a: {endpoint: harbor}}", "cannot unmarshal !!str `harbor` into \\[\\]string"),
        ('mirrors: {a: {endpoint: ["ftp://h"]}}', "invalid endpoint URL"),
        ('mirrors: {a: {endpoint: [h], rewrite: {"(": x}}}', "error parsing regexp"),
    ],
)
def test_k3s_refuses_what_it_cannot_read(text: str, words: str) -> None:
    with pytest.raises(RegistriesError, match=words):
        parse(text)


def test_unknown_keys_are_ignored_as_k3s_does() -> None:
    assert parse("mirror: {typo: true}\nmirrors: {a: {endpoints: [typo]}}").endpoints("a")[0].url == "https://a/v2"


@pytest.mark.parametrize(
    ("address", "url"),
    [("h", "https://h/v2"), ("http://h:5000/", "http://h:5000/v2"), ("https://h/v2/proxy/", "https://h/v2/proxy")],
)
def test_mirror_addresses(address: str, url: str) -> None:
    assert endpoint_url(address) == url


def test_what_is_rendered_for_containerd() -> None:
    found = parse(HARBOR)
    files = containerd_config.hosts_tomls(found)
    assert set(files) == {"docker.io", "nvcr.io", "harbor.example.edu"}
    assert 'server = "https://registry-1.docker.io/v2"' in files["docker.io"]
    assert '[host."https://harbor.example.edu/v2"]' in files["docker.io"]
    assert '    "^(.*)$" = "dockerhub-proxy/$1"' in files["docker.io"]
    assert 'ca = ["/etc/rancher/k3s/ca.crt"]' in files["docker.io"]
    assert "s3cret" not in "".join(files.values())
    config = containerd_config.config_toml(found, None)
    assert 'password = "s3cret"' in config
    assert not containerd_config.has_runtime(config, "nvidia")
    with_nvidia = containerd_config.config_toml(found, "/usr/bin/nvidia-container-runtime")
    assert containerd_config.has_runtime(with_nvidia, "nvidia")
    assert 'BinaryName = "/usr/bin/nvidia-container-runtime"' in with_nvidia
