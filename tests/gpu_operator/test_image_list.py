"""inv list-images: what a cluster pulls and where an air gap gets it, from the inventory and the chart alone."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from scout_ollama import results
from scout_ollama.gpu_operator.image_list import of_cluster
from scout_ollama.gpu_operator.locked import record
from scout_ollama.gpu_operator.mirrored import in_harbor
from scout_ollama.inventory import Harbor, load_site
from tests.gpu_operator import charts
from tests.test_cli import edit, typed

HOSTS = Path(__file__).parent.parent.parent / "hosts"
NAME = "gpu-operator-v25.10.1.tgz"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The shipped inventory, with a chart that was accepted."""
    root = tmp_path / "site"
    shutil.copytree(HOSTS, root, ignore=shutil.ignore_patterns("charts"))
    (root / "charts").mkdir()
    (root / "charts" / NAME).write_bytes(charts.chart())
    record(root / "charts" / NAME, hashlib.sha256(charts.chart()).hexdigest())
    return root


def listed(root: Path, hosts: str) -> list[dict[str, Any]]:
    said = typed("list-images", "--site", str(root), "--hosts", hosts, "--json")
    assert (said.status, said.err) == (0, "")
    found: list[dict[str, Any]] = json.loads(said.out)
    jsonschema.validate(found, results.schema_of("images"))
    return found


def test_an_air_gapped_cluster_is_told_what_harbor_must_have(root: Path) -> None:
    rows = listed(root, "phi")
    assert {row["image"]: row["harbor"] for row in rows} == {
        image: f"harbor.staging.example.edu/{place}"
        for image, place in {
            "nvcr.io/nvidia/gpu-operator:v25.10.1": "nvidia-proxy/nvidia/gpu-operator:v25.10.1",
            "nvcr.io/nvidia/cuda:13.0.1-base-ubi9": "nvidia-proxy/nvidia/cuda:13.0.1-base-ubi9",
            "nvcr.io/nvidia/k8s-device-plugin:v0.18.1": "nvidia-proxy/nvidia/k8s-device-plugin:v0.18.1",
            "nvcr.io/nvidia/cloud-native/k8s-mig-manager:v0.13.1": (
                "nvidia-proxy/nvidia/cloud-native/k8s-mig-manager:v0.13.1"
            ),
            "registry.k8s.io/nfd/node-feature-discovery:v0.18.2": "k8s-proxy/nfd/node-feature-discovery:v0.18.2",
            "docker.io/rancher/klipper-helm": "dockerhub-proxy/rancher/klipper-helm",
            "docker.io/rancher/mirrored-library-traefik": "dockerhub-proxy/rancher/mirrored-library-traefik",
            "docker.io/rancher/mirrored-pause": "dockerhub-proxy/rancher/mirrored-pause",
            "docker.io/ollama/ollama:0.24.0": "dockerhub-proxy/ollama/ollama:0.24.0",
        }.items()
    }
    users = {row["image"]: row["needed_by"] for row in rows}
    assert users["nvcr.io/nvidia/gpu-operator:v25.10.1"] == ["validator", "operator"]
    assert users["nvcr.io/nvidia/cuda:13.0.1-base-ubi9"] == ["operator.initContainer"]
    assert users["docker.io/ollama/ollama:0.24.0"] == ["Ollama"]


def test_a_cluster_with_a_way_out_pulls_from_where_images_are(root: Path) -> None:
    rows = listed(root, "nonphi")
    assert len(rows) == 9
    assert {row["harbor"] for row in rows} == {None}


def test_the_operators_toolkit_is_one_image_more(root: Path) -> None:
    edit(root / "phi.yaml", "toolkit: host", "toolkit: operator")
    assert "nvcr.io/nvidia/k8s/container-toolkit:v1.18.1" in {row["image"] for row in listed(root, "phi")}


def test_without_gpus_there_is_nothing_of_the_operator_and_no_chart_is_needed(root: Path) -> None:
    shutil.rmtree(root / "charts")
    edit(root / "nonphi.yaml", "ollama:\n", "ollama:\n  cpu_only: true\n")
    assert [row["image"] for row in listed(root, "nonphi")] == [
        "docker.io/rancher/mirrored-library-traefik",
        "docker.io/rancher/mirrored-pause",
        "docker.io/ollama/ollama:0.24.0",
    ]


def test_for_people_each_image_stands_on_a_line_and_both_clusters_are_told(root: Path) -> None:
    said = typed("list-images", "--site", str(root))
    assert said.status == 0
    lines = said.out.splitlines()
    assert [line for line in lines if line.endswith(("phi:", "Harbor"))] == ["nonphi:", "phi: through Harbor"]
    assert "  nvcr.io/nvidia/gpu-operator:v25.10.1" in [line.rstrip() for line in lines]
    assert "      from harbor.staging.example.edu/k8s-proxy/nfd/node-feature-discovery:v0.18.2" in [
        line.rstrip() for line in lines
    ]
    assert "its tag is that of the hosts' K3s" in said.out


def test_a_registry_without_a_project_is_told(root: Path) -> None:
    with (root / "staging.yaml").open("a") as staging:
        staging.write("  projects: {docker.io: dockerhub-proxy, registry.k8s.io: k8s-proxy}\n")
    said = typed("list-images", "--site", str(root), "--hosts", "phi")
    assert said.out.count("not in Harbor: harbor.projects has none for nvcr.io") == 4
    site = load_site(root)
    missing = [row.image for row in of_cluster(site, site.clusters["phi"]) if row.harbor is None]
    assert len(missing) == 4


def test_an_official_image_is_under_library_as_containerd_asks_for_it() -> None:
    harbor = Harbor(url="https://harbor.example.edu:8443")
    assert in_harbor("docker.io/ollama:1", harbor) == "harbor.example.edu:8443/dockerhub-proxy/library/ollama:1"


def test_without_the_chart_it_says_what_brings_it(root: Path) -> None:
    shutil.rmtree(root / "charts")
    said = typed("list-images", "--site", str(root), "--hosts", "phi")
    assert (said.status, said.out) == (1, "")
    assert "next: inv fetch-chart --version v25.10.1" in said.err


def test_a_cluster_without_an_ollama_is_refused(root: Path) -> None:
    said = typed("list-images", "--site", str(root), "--hosts", "scout-prod")
    assert said.status == 1
    assert "next: inv list-images --hosts phi" in said.err
