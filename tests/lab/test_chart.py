"""The lab's chart of the GPU operator, as the file that NVIDIA releases is, and as one that is not."""

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import chart, rootfs


def read(packed: bytes) -> dict[str, Any]:
    """The YAML files at the top of a packed chart, by path."""
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as tar:
        files = {m.name: file.read() for m in tar.getmembers() if (file := tar.extractfile(m))}
    return {name: yaml.safe_load(data) for name, data in files.items() if name.count("/") == 1}


def test_is_the_same_every_time() -> None:
    assert chart.pack() == chart.pack()
    assert chart.pack() != chart.pack("v26.7.0")


def test_has_its_name_as_its_only_folder_and_its_version_in_it() -> None:
    with tarfile.open(fileobj=io.BytesIO(chart.pack()), mode="r:gz") as tar:
        names = tar.getnames()
    assert names[0] == "gpu-operator/Chart.yaml"
    assert {name.partition("/")[0] for name in names} == {"gpu-operator"}
    assert "gpu-operator/crds/nvidia.com_clusterpolicies.yaml" in names
    made = read(chart.pack("v26.7.0"))["gpu-operator/Chart.yaml"]
    assert (made["name"], made["version"], made["appVersion"]) == ("gpu-operator", "v26.7.0", "v26.7.0")


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"name": "other"}, ("other", "v25.10.1", "v25.10.1")),
        ({"chart_version": "v25.3.0"}, ("gpu-operator", "v25.3.0", "v25.10.1")),
        (
            {"chart_version": "v1.0.0-devel", "app_version": "main-latest"},
            ("gpu-operator", "v1.0.0-devel", "main-latest"),
        ),
    ],
)
def test_can_be_another_than_its_file_says(wrong: dict[str, str], expected: tuple[str, str, str]) -> None:
    files = read(chart.pack("v25.10.1", **wrong))  # type: ignore[arg-type]  # no flag among them
    made = files[f"{expected[0]}/Chart.yaml"]
    assert (made["name"], made["version"], made["appVersion"]) == expected


def test_can_be_truncated() -> None:
    with pytest.raises(EOFError):
        read(chart.pack(truncated=True))


def test_the_newer_version_s_defaults_differ() -> None:
    older, newer = (read(chart.pack(version))["gpu-operator/values.yaml"] for version in chart.VERSIONS)
    assert older["operator"]["initContainer"]["version"] == "13.0.1-base-ubi9"
    assert "initContainer" not in newer["operator"]
    assert (older["ccManager"]["enabled"], newer["ccManager"]["enabled"]) == (False, True)
    monitors = [values["dcgmExporter"]["serviceMonitor"]["enabled"] for values in (older, newer)]
    assert monitors == [False, True]


def test_names_the_images_that_an_air_gap_needs() -> None:
    assert set(chart.images("v25.10.1")) >= {
        "nvcr.io/nvidia/gpu-operator:v25.10.1",
        "nvcr.io/nvidia/k8s/container-toolkit:v1.18.1",
        "nvcr.io/nvidia/k8s-device-plugin:v0.18.1",
        "nvcr.io/nvidia/k8s/dcgm-exporter:4.4.2-4.7.0-distroless",
        "nvcr.io/nvidia/cloud-native/k8s-mig-manager:v0.13.1",
        "nvcr.io/nvidia/cuda:13.0.1-base-ubi9",
        "registry.k8s.io/nfd/node-feature-discovery:v0.18.2",
    }
    assert "nvcr.io/nvidia/cloud-native/k8s-cc-manager:v0.4.3" in chart.images("v26.7.0")


def test_is_written_with_its_digest(tmp_path: Path) -> None:
    chart.write(tmp_path)
    check = ["sha256sum", "--check", "--strict", "charts.lock"]
    done = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "gpu-operator-v25.10.1.tgz: OK\n"
    digest = hashlib.sha256(chart.pack()).hexdigest()
    assert (tmp_path / "charts.lock").read_text() == f"{digest}  gpu-operator-v25.10.1.tgz\n"


@pytest.mark.parametrize("version", chart.VERSIONS)
@pytest.mark.lab
def test_is_rendered_by_a_real_helm(namespaces: None, tmp_path: Path, version: str) -> None:  # noqa: ARG001
    (tmp_path / "chart.tgz").write_bytes(chart.pack(version))
    helm = [str(rootfs.directory() / "opt/lab/bin/helm"), "template", "gpu-operator", "chart.tgz", "-n", "gpu-operator"]
    done = subprocess.run(helm, cwd=tmp_path, capture_output=True, text=True, check=True)
    objects = {(o["kind"], o["metadata"]["name"]): o for o in yaml.safe_load_all(done.stdout) if o}
    (container,) = objects["Deployment", "gpu-operator"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"nvcr.io/nvidia/gpu-operator:{version}"
    policy = objects["ClusterPolicy", "cluster-policy"]["spec"]
    assert policy["validator"]["version"] == version
    assert policy["driver"]["enabled"] is True  # the real chart's default, which a host with a driver has to undo
