"""A Scout with an Ollama of its own, in an air gap and without GPUs: the same manifests, reached from inside alone."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from lab.lab import Lab
from lab.scout import OpenWebUi, Scout
from lab.topology import ClusterSpec, HostSpec
from tests.journeys.conftest import Operator, Said

pytestmark = pytest.mark.lab

HOST = "scout-dev-1"
OPEN_WEBUI = "scout-analytics"
URL = "http://ollama.ollama:11434"
BUSYBOX = "docker.io/rancher/mirrored-library-busybox:1.37.0"  # on every K3s node, from its air-gap archive
TOPOLOGY = (
    ClusterSpec("staging", "staging", (HostSpec("staging-1"),)),
    ClusterSpec("scout-dev", "scout", (HostSpec(HOST, ("server", "gpu")),), air_gapped=True, staging="staging"),
)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A staging host and a Scout host that shall run Ollama on its CPU."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("the lab's hosts are made by root on Linux; run the tests as root there")
    with Lab.running(f"scout-{os.getpid()}", TOPOLOGY) as running:
        yield running


@pytest.fixture
def operator(operator: Operator) -> Operator:
    """An operator whose inventory has this Scout, a shared cluster, and Scouts in the other modes."""
    own = {"cpu_only": True, "models": ["tiny:latest"]}
    operator.edit("scout-dev", lambda scout: scout.update(ollama_mode="deploy", ollama=own))
    shared = {
        "hostname": "ollama.phi.example.edu",
        "tls": {"certificate": "secrets/phi.crt", "key": "secrets/phi.key"},
        "allowed_clients": ["192.0.2.32/28"],
    }
    gpu_host = {"address": "192.0.2.11", "roles": ["server", "gpu"], "gpus": 1}
    add(operator, "phi", "ollama", gpu_host, ollama=shared)
    add(operator, "scout-prod", "scout", server("192.0.2.33"), ollama_mode="external", ollama_cluster="phi")
    elsewhere = "https://ollama.elsewhere.example.edu"
    add(operator, "scout-guest", "scout", server("192.0.2.34"), ollama_mode="external", ollama_url=elsewhere)
    add(operator, "scout-quiet", "scout", server("192.0.2.35"))
    return operator


def server(address: str) -> dict[str, Any]:
    return {"address": address, "roles": ["server"]}


def add(operator: Operator, name: str, kind: str, host: Mapping[str, Any], **more: object) -> None:
    """Write one more file of the inventory; nobody is at the address."""
    cluster = {"kind": kind, "environment": "phi", "hosts": {f"{name}-1": dict(host)}, **more}
    (operator.site / f"{name}.yaml").write_text(yaml.safe_dump(cluster, sort_keys=False))


def deploy(operator: Operator, *words: str) -> Said:
    return operator.inv("deploy-ollama", "--hosts", "scout-dev", *words)


def kubectl(lab: Lab, *words: str, stdin: str = "") -> str:
    return lab.host(HOST).run(["k3s", "kubectl", *words], input=stdin).stdout


def items(lab: Lab, kinds: str, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(kubectl(lab, "get", kinds, *words, "--output=json"))["items"]
    return found


@pytest.fixture(scope="module")
def clients(lab: Lab) -> None:
    """Pods that ask Ollama again and again: one where Open WebUI lives, one elsewhere, one beside Ollama."""
    ask = f"curl --silent --show-error --fail --max-time 3 {URL}/api/tags 2>&1 || echo no answer"
    script = f"trap 'exit 0' TERM; while :; do {ask}; echo; sleep 1 & wait $!; done"
    container = {"name": "client", "image": BUSYBOX, "command": ["sh", "-c", script]}
    objects: list[dict[str, Any]] = []
    for namespace in (OPEN_WEBUI, "elsewhere", "ollama"):
        metadata = {"name": "client", "namespace": namespace}
        objects.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}})
    for namespace in (OPEN_WEBUI, "elsewhere"):
        objects.insert(0, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    kubectl(lab, "apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(objects))


def log_of_client(lab: Lab, namespace: str, *, until: str, times: int) -> str:
    """What the client in a namespace got, once it got that so many times."""
    log = ""

    def has_it() -> bool:
        nonlocal log
        log = lab.host(HOST).run(["k3s", "kubectl", "logs", "--namespace", namespace, "client"], check=False).stdout
        return log.count(until) >= times

    lab.host(HOST).wait_for(has_it)
    return log


def reaches(lab: Lab, namespace: str, pod: str, url: str) -> bool:
    """Whether an HTTPS server can be reached from the network of a pod, whatever it answers."""
    uids = {made["metadata"]["name"]: made["metadata"]["uid"] for made in items(lab, "pods", "--namespace", namespace)}
    uid = next(uid for name, uid in uids.items() if name.startswith(pod))
    curl = ["curl", "--silent", "--insecure", "--max-time", "5", "--output", "/dev/null", url]
    network = f"cni-{uid.replace('-', '')[:11]}"
    return lab.host(HOST).run(["ip", "netns", "exec", network, *curl], check=False).returncode == 0


def test_1_the_plan_has_the_same_objects_but_no_endpoint(operator: Operator) -> None:
    said = deploy(operator, "--plan")
    assert said.status == 2, said.err
    assert "create Namespace ollama, DaemonSet ollama/ollama, Service ollama/ollama, NetworkPolicy ollama/ollama" in (
        said.err
    )
    assert not any(kind in said.err for kind in ("Ingress ", "Middleware ", "Secret ", "HelmChartConfig "))
    assert not any(word in said.err for word in ("nvidia.com/gpu", "runtimeClassName"))


def test_2_the_deploy_ends_with_its_proof(operator: Operator) -> None:
    said = deploy(operator, "--yes", "--json")
    assert said.status == 0, said.err
    result = json.loads(said.out)["scout-dev"]
    assert result["made"]
    assert {entry["host"] for entry in result["proved"]} == {HOST}
    assert result["proved"][-1]["line"] == "Ollama lists and opens 1 model as published"


def test_3_the_second_deploy_has_nothing_to_do(operator: Operator) -> None:
    assert deploy(operator, "--plan").status == 0
    said = deploy(operator, "--yes", "--json")
    assert said.status == 0, said.err
    result = json.loads(said.out)["scout-dev"]
    assert (result["changes"], result["made"], len(result["proved"])) == ([], False, 2)


def test_3b_its_status_is_that_of_a_scout_and_of_an_ollama(operator: Operator) -> None:
    said = operator.inv("status", "--hosts", "scout-dev", "--json")
    assert said.status == 0, said.out
    (scout,) = json.loads(said.out)["clusters"]
    assert (scout["scout"]["wanted_url"], scout["scout"]["works"]["text"]) == (URL, "its own answers")
    assert scout["nodes"][0]["ollama"]["text"] == "0.24.0"
    assert {model["model"]: model["nodes"][HOST]["state"] for model in scout["models"]} == {"tiny:latest": "ok"}


def test_4_the_image_came_through_harbor(lab: Lab) -> None:
    pulled = lab.host("staging-1").run(["journalctl", "-u", "docker-registry"])
    assert "dockerhub-proxy/ollama/ollama" in pulled.stdout
    registries = yaml.safe_load((lab.host(HOST).root / "etc/rancher/k3s/registries.yaml").read_text())
    assert registries["mirrors"]["docker.io"]["endpoint"] == ["https://harbor.staging.example.edu"]


def test_5_nothing_is_exposed(lab: Lab) -> None:
    ours = "--selector=app.kubernetes.io/managed-by=scout-ollama"
    assert items(lab, "ingresses,middlewares.traefik.io,helmchartconfigs.helm.cattle.io", "--all-namespaces") == []
    assert [service["spec"]["type"] for service in items(lab, "services", "--all-namespaces", ours)] == ["ClusterIP"]
    address = lab.host(HOST).address
    for url in (f"http://{address}:11434/api/tags", f"http://{address}/api/tags", f"https://{address}/api/tags"):
        asked = ["curl", "--silent", "--insecure", "--max-time", "5", "--write-out", "%{http_code}", url]
        status = lab.host("staging-1").run([*asked, "--output", "/dev/null"], check=False).stdout
        assert status in ("000", "404"), url


@pytest.mark.usefixtures("clients")
def test_6_open_webuis_namespace_reaches_it_by_the_name_that_scout_gives_it(lab: Lab, operator: Operator) -> None:
    rows = json.loads(operator.inv("list-hosts", "--hosts", "scout-dev", "--json").out)
    assert URL in json.dumps(rows)
    log_of_client(lab, OPEN_WEBUI, until='"name":"tiny:latest"', times=1)


@pytest.mark.usefixtures("clients")
@pytest.mark.parametrize("namespace", ["elsewhere", "ollama"])
def test_7_no_other_pod_reaches_it(lab: Lab, namespace: str) -> None:
    log = log_of_client(lab, namespace, until="no answer", times=3)
    assert "tiny:latest" not in log
    assert "Could not resolve" not in log


@pytest.mark.usefixtures("clients")
def test_8_ollama_itself_reaches_nothing(lab: Lab) -> None:
    harbor = f"https://{lab.host('staging-1').address}/"
    assert reaches(lab, OPEN_WEBUI, "client", harbor)
    assert not reaches(lab, "ollama", "ollama-", harbor)


@pytest.mark.parametrize(
    ("scout", "owner", "next"),
    [
        ("scout-prod", "phi", "inv deploy-ollama --hosts phi"),
        ("scout-guest", "https://ollama.elsewhere.example.edu", "ollama_mode"),
        ("scout-quiet", "ollama_mode is disabled", "ollama_mode"),
    ],
)
def test_9_a_scout_without_an_ollama_of_its_own_is_refused(
    operator: Operator, scout: str, owner: str, next: str
) -> None:
    said = operator.inv("deploy-ollama", "--hosts", scout, "--yes")
    assert said.status == 1, said.err
    assert scout in said.err.splitlines()[0]
    assert re.search(rf"^  why: .*{re.escape(owner)}", said.err, re.MULTILINE), said.err
    assert re.search(rf"^  next: .*{re.escape(next)}", said.err, re.MULTILINE), said.err


def test_10_open_webui_is_connected_to_it_in_the_same_run_that_deploys_it(lab: Lab, operator: Operator) -> None:
    """It used the one beside it; that is retired, and kept."""
    assert operator.inv("remove-ollama", "--hosts", "scout-dev", "--yes").status == 0
    scout = Scout(lab.host(HOST))
    scout.install(OpenWebUi())
    said = operator.inv("connect-scout", "--hosts", "scout-dev", "--deploy", "--yes")
    assert said.status == 0, said.err
    assert "DaemonSet ollama/ollama" in said.err
    assert f"a chat with tiny:latest was answered, and {URL} saw it" in said.err
    assert scout.ask("/ollama/config")["OLLAMA_BASE_URLS"] == [URL]
    assert scout.kubectl("get", "deployment", "ollama", "-o", "jsonpath={.spec.replicas}") == "0"
    again = operator.inv("connect-scout", "--hosts", "scout-dev", "--yes")
    assert "scout-dev: nothing to do, proved" in again.err


def test_11_its_volume_goes_by_a_command_of_its_own(lab: Lab, operator: Operator) -> None:
    said = operator.inv("remove-embedded-ollama", "--hosts", "scout-dev", "--yes")
    assert said.status == 0, said.err
    kubectl(lab, "wait", "pvc/ollama", "-n", OPEN_WEBUI, "--for=delete", "--timeout=40s")
    said = operator.inv("disconnect-scout", "--hosts", "scout-dev", "--yes")
    assert said.status == 1
    assert "deployment/ollama has no volume any more" in said.err


def without_ollama(scout: dict[str, Any]) -> None:
    """Its inventory once its own Ollama is not wanted any more."""
    scout["ollama_mode"] = "disabled"
    scout["hosts"][HOST]["roles"] = ["server"]


def test_12_one_that_does_without_is_told_that_its_own_is_left_until_it_is_removed(
    lab: Lab, operator: Operator
) -> None:
    operator.edit("scout-dev", without_ollama)
    early = operator.inv("remove-ollama", "--hosts", "scout-dev", "--plan")
    assert "scout-dev: Open WebUI chats by this Ollama, and cannot any more" in early.err
    assert f"why: it is connected to {URL}" in early.err
    said = operator.inv("connect-scout", "--hosts", "scout-dev", "--yes")
    assert said.status == 0, said.err
    assert "scout-dev has an Ollama of its own as well: DaemonSet ollama/ollama" in said.err
    assert f"scout-dev: documents are still embedded by {URL}" in said.err
    assert "next: inv remove-ollama --hosts scout-dev" in said.err
    said = operator.inv("check", "--hosts", "scout-dev")
    assert "it has an Ollama of its own as well: DaemonSet ollama/ollama" in said.out
    said = operator.inv("remove-ollama", "--hosts", "scout-dev", "--yes")
    assert said.status == 0, said.err
    assert "no object of Ollama is left" in said.err
    assert "chats by this Ollama" not in said.err
    assert "scout-dev: Open WebUI embeds documents by this Ollama, and cannot any more" in said.err
    assert items(lab, "daemonsets", "--namespace=ollama") == []
    again = operator.inv("connect-scout", "--hosts", "scout-dev", "--yes")
    assert again.status == 0, again.err
    assert "has an Ollama of its own" not in again.err
    assert "scout-dev: nothing to do" in operator.inv("remove-ollama", "--hosts", "scout-dev", "--yes").err
