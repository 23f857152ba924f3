"""What is rendered for each cluster: equal to what was reviewed, valid for Kubernetes, and fit for an air gap."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from scout_ollama import manifests, rendering
from scout_ollama.errors import Trouble
from scout_ollama.inventory import OllamaCluster, ScoutCluster, Site, load_site
from scout_ollama.manifests import KubeObject, key_of

ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "golden"
KUBERNETES = "1.36"
# Kinds of K3s and Traefik: no schema is published with Kubernetes, so their fields are compared with the goldens only.
CUSTOM_KINDS = {"HelmChart", "HelmChartConfig", "Middleware"}


@pytest.fixture(scope="module")
def shipped() -> Site:
    return load_site(ROOT / "hosts")


def rendered(site: Site, name: str) -> list[KubeObject]:
    cluster = site.clusters[name]
    assert isinstance(cluster, OllamaCluster | ScoutCluster)
    return manifests.ollama_objects(site, cluster, with_secrets=False)


def site_with(tmp_path: Path, name: str, **ollama: Any) -> Site:
    """The shipped site, with one cluster's ollama settings changed."""
    for file in (ROOT / "hosts").glob("*.yaml"):
        (tmp_path / file.name).write_text(file.read_text())
    path = tmp_path / f"{name}.yaml"
    document = yaml.safe_load(path.read_text())
    document.setdefault("ollama", {}).update(ollama)
    if document["kind"] == "scout":
        document["ollama_mode"] = "deploy"
        del document["ollama_cluster"]
        for host in document["hosts"].values():
            host["roles"] = ["server", "gpu"]
    path.write_text(yaml.safe_dump(document))
    return load_site(tmp_path)


def pod_of(objects: list[KubeObject]) -> dict[str, Any]:
    daemonset = next(obj for obj in objects if obj["kind"] == "DaemonSet")
    pod: dict[str, Any] = daemonset["spec"]["template"]["spec"]
    return pod


def environment_of(objects: list[KubeObject]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in pod_of(objects)["containers"][0]["env"]}


@pytest.mark.parametrize("name", ["phi", "nonphi"])
def test_a_shipped_cluster_renders_as_reviewed(shipped: Site, name: str) -> None:
    """After a wanted change: inv render --hosts NAME > tests/golden/NAME.yaml, and review the difference."""
    assert rendering.rendered(shipped, [shipped.clusters[name]]) == (GOLDEN / f"{name}.yaml").read_text()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("phi", {}),
        ("nonphi", {}),
        ("phi", {"source": "nfs"}),
        ("nonphi", {"cpu_only": True, "runtime_class": None, "min_gpu_memory_gib": None}),
        ("nonphi", {"memory_gib": 96, "context_length": 8192, "num_parallel": 2, "max_loaded_models": 1}),
        ("scout-dev", {"cpu_only": True}),
    ],
)
def test_every_object_is_valid_for_kubernetes(tmp_path: Path, name: str, settings: dict[str, Any]) -> None:
    site = site_with(tmp_path, name, **settings)
    objects = rendering.objects(site, site.clusters[name])
    assert len(objects) > 3
    for obj in objects:
        if obj["kind"] not in CUSTOM_KINDS:
            kubernetes_validate.validate(obj, KUBERNETES, strict=True)


def test_every_object_carries_our_label_and_has_its_own_key(shipped: Site) -> None:
    objects = rendering.objects(shipped, shipped.clusters["phi"])
    assert all(obj["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "scout-ollama" for obj in objects)
    assert len({key_of(obj) for obj in objects}) == len(objects)


def test_models_are_served_read_only_from_a_directory_that_must_exist(shipped: Site) -> None:
    pod = pod_of(rendered(shipped, "phi"))
    volume = next(volume for volume in pod["volumes"] if volume["name"] == "models")
    mount = next(mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "models")
    assert volume["hostPath"] == {"path": "/var/lib/ollama", "type": "Directory"}
    assert mount["readOnly"] is True


def test_serving_from_the_share_uses_its_path_and_sees_a_late_mount(tmp_path: Path) -> None:
    site = site_with(tmp_path, "phi", source="nfs")
    pod = pod_of(rendered(site, "phi"))
    staging = site.staging_of(site.clusters["phi"])
    assert staging is not None
    assert pod["volumes"][0]["hostPath"]["path"] == staging.ollama_nfs_path
    assert pod["containers"][0]["volumeMounts"][0]["mountPropagation"] == "HostToContainer"


def test_ollama_neither_prunes_nor_phones_home(shipped: Site) -> None:
    environment = environment_of(rendered(shipped, "phi"))
    assert environment["OLLAMA_NOPRUNE"] == "1"
    assert environment["OLLAMA_NO_CLOUD"] == "1"
    assert environment["OLLAMA_KEEP_ALIVE"] == "-1"


def test_home_is_writable_though_the_store_is_not(shipped: Site) -> None:
    pod = pod_of(rendered(shipped, "phi"))
    home = environment_of(rendered(shipped, "phi"))["HOME"]
    mount = next(mount for mount in pod["containers"][0]["volumeMounts"] if mount["mountPath"] == home)
    assert {"name": mount["name"], "emptyDir": {}} in pod["volumes"]


@pytest.mark.parametrize("probe", ["startupProbe", "livenessProbe", "readinessProbe"])
def test_no_probe_depends_on_a_model_or_on_storage(shipped: Site, probe: str) -> None:
    container = pod_of(rendered(shipped, "phi"))["containers"][0]
    assert container[probe]["httpGet"] == {"path": "/api/version", "port": "http"}


def test_an_80_gb_card_passes_a_wish_for_80_gb_and_a_40_gb_card_does_not(shipped: Site) -> None:
    """GPU feature discovery reports 81559 MiB for an 80 GB H100 and 40960 for a 40 GB A100."""
    terms = pod_of(rendered(shipped, "phi"))["affinity"]["nodeAffinity"]
    expressions = terms["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"][0]["matchExpressions"]
    memory = next(e for e in expressions if e["key"] == "nvidia.com/gpu.memory")
    assert memory["operator"] == "Gt"
    assert 40960 < int(memory["values"][0]) < 81559


@pytest.mark.parametrize(("gib", "reported"), [(80, 81559), (48, 46068), (40, 40960), (24, 23034), (16, 15360)])
def test_every_card_passes_a_wish_for_the_size_it_is_sold_with(gib: int, reported: int) -> None:
    assert manifests.least_gpu_memory_mib(gib) <= reported


def test_a_cpu_only_cluster_asks_for_no_gpu(tmp_path: Path) -> None:
    pod = pod_of(rendered(site_with(tmp_path, "nonphi", cpu_only=True), "nonphi"))
    assert "runtimeClassName" not in pod
    assert "tolerations" not in pod
    assert "limits" not in pod["containers"][0]["resources"]


def test_gpu_hosts_that_differ_in_their_gpus_are_refused(tmp_path: Path) -> None:
    two_gpus = ("192.0.2.12, roles: [server, gpu], gpus: 1", "192.0.2.12, roles: [server, gpu], gpus: 2")
    for file in (ROOT / "hosts").glob("*.yaml"):
        (tmp_path / file.name).write_text(file.read_text().replace(*two_gpus))
    with pytest.raises(Trouble, match="different numbers of GPUs"):
        rendered(load_site(tmp_path), "phi")


def test_only_paths_that_change_nothing_are_exposed(shipped: Site) -> None:
    ingress = next(obj for obj in rendered(shipped, "phi") if obj["kind"] == "Ingress")
    (rule,) = ingress["spec"]["rules"]
    exposed = {(path["pathType"], path["path"]) for path in rule["http"]["paths"]}
    for forbidden in ("pull", "push", "create", "copy", "delete", "blobs"):
        assert ("Exact", f"/api/{forbidden}") not in exposed
    assert {path for kind, path in exposed if kind == "Prefix"} == {"/v1"}


def test_the_endpoint_speaks_tls_only_and_to_the_allowed_clients_only(shipped: Site) -> None:
    objects = rendered(shipped, "phi")
    ingress = next(obj for obj in objects if obj["kind"] == "Ingress")
    middleware = next(obj for obj in objects if obj["kind"] == "Middleware")
    annotations = ingress["metadata"]["annotations"]
    assert annotations["traefik.ingress.kubernetes.io/router.entrypoints"] == "websecure"
    expected = f"{middleware['metadata']['namespace']}-{middleware['metadata']['name']}@kubernetescrd"
    assert annotations["traefik.ingress.kubernetes.io/router.middlewares"] == expected
    assert middleware["spec"]["ipAllowList"]["sourceRange"] == ["192.0.2.32/28"]


def test_in_a_scout_cluster_only_open_webui_gets_in_and_nothing_is_exposed(tmp_path: Path) -> None:
    objects = rendered(site_with(tmp_path, "scout-dev", cpu_only=True), "scout-dev")
    kinds = {obj["kind"] for obj in objects}
    assert kinds == {"Namespace", "DaemonSet", "Service", "NetworkPolicy"}
    policy = next(obj for obj in objects if obj["kind"] == "NetworkPolicy")
    (source,) = policy["spec"]["ingress"][0]["from"]
    assert source == {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "scout-analytics"}}}


def test_in_an_air_gap_ollama_may_reach_nothing(shipped: Site) -> None:
    policies = {
        name: next(obj for obj in rendered(shipped, name) if obj["kind"] == "NetworkPolicy")
        for name in ("phi", "nonphi")
    }
    assert policies["phi"]["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in policies["phi"]["spec"]
    assert policies["nonphi"]["spec"]["policyTypes"] == ["Ingress"]


def test_in_an_air_gap_no_object_names_an_address_that_the_inventory_does_not(shipped: Site) -> None:
    text = manifests.to_yaml(rendered(shipped, "phi"))
    assert not re.search(r"https?://", text)
    hosts = set(re.findall(r"[a-z0-9.-]+\.example\.edu", text))
    assert hosts == {"ollama.phi.example.edu"}


def test_rendering_for_eyes_reads_no_secret(shipped: Site) -> None:
    secret = next(obj for obj in rendered(shipped, "phi") if obj["kind"] == "Secret")
    assert set(secret["data"].values()) == {"KHJlZGFjdGVkKQ=="}


def test_a_value_cannot_change_the_shape_of_an_object(shipped: Site) -> None:
    cluster = shipped.clusters["nonphi"]
    assert isinstance(cluster, OllamaCluster)
    hostile = 'x"\n            - name: EVIL\n              value: "1'
    unchecked = cluster.model_copy(update={"ollama": cluster.ollama.model_copy(update={"keep_alive": hostile})})
    environment = environment_of(manifests.ollama_objects(shipped, unchecked, with_secrets=False))
    assert environment["OLLAMA_KEEP_ALIVE"] == hostile
    assert "EVIL" not in environment
