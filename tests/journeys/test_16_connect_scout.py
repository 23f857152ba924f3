"""A Scout that used the Ollama beside it yesterday uses the shared one today, and can go back.

The story is told twice: to the stand-in for Open WebUI, and to the real one where ``--open-webui`` asks for it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.lab import Lab
from lab.scout import EMBEDDED_URL, PASSWORD, OpenWebUi, Scout
from lab.topology import ClusterSpec, HostSpec, gpu_hosts
from tests.journeys import conftest
from tests.journeys.conftest import Operator, Said, assert_addresses_are_the_inventorys, assert_nothing_left

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]  # the real one takes half a minute for each start

URL = "https://ollama.phi.example.edu"
JUPYTER_URL = "http://ollama.scout-analytics:11434"
HAND_MADE = "http://scout-preprod-1:9"
KEY = "sk-made-by-hand-0123456789"
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "hello"}], "stream": False}


def topology(*, real: bool) -> tuple[ClusterSpec, ...]:
    """A shared Ollama of one node, what feeds it, and two Scouts."""
    scouts = [
        ClusterSpec(name, "scout", (HostSpec(f"{name}-1"),), air_gapped=True, ollama_cluster="phi", open_webui=real)
        for name in ("scout-prod", "scout-preprod")
    ]
    phi = ClusterSpec("phi", "ollama", gpu_hosts("phi", 1), air_gapped=True, staging="staging", models=("tiny:latest",))
    return (phi, ClusterSpec("staging", "staging", (HostSpec("staging-1"),)), *scouts)


@pytest.fixture(
    scope="module",
    params=["stand-in", pytest.param("0.11.0", marks=pytest.mark.open_webui)],
)
def version(request: pytest.FixtureRequest) -> str:
    """Which Open WebUI: the stand-in, or the real one of a version."""
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="module")
def lab(version: str) -> Iterator[Lab]:
    """A site whose shared Ollama serves, and whose Scouts use one of their own."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("the lab's hosts are made by root on Linux; run the tests as root there")
    real = version != "stand-in"
    with Lab.running(f"connect-{os.getpid()}", topology(real=real)) as running:
        yield running
        assert_nothing_left(running)


@pytest.fixture(scope="module")
def wanted(version: str) -> OpenWebUi:
    """How Scout's deploy made Open WebUI: the stand-in with two replicas on one database."""
    return OpenWebUi(replicas=2) if version == "stand-in" else OpenWebUi(version=version)


@pytest.fixture(scope="module")
def scout(lab: Lab, version: str, wanted: OpenWebUi, tmp_path_factory: pytest.TempPathFactory) -> Scout:
    """A Scout in use: presets, a default model, a connection that somebody made by hand, and a switch left behind."""
    said = Operator(lab.site, tmp_path_factory.mktemp("home")).deploy()
    assert said.status == 0, said.err
    made = Scout(lab.host("scout-prod-1"))
    made.install(wanted, real=version != "stand-in")
    preset = {"name": "Explorer", "meta": {}, "params": {}, "access_grants": []}
    made.ask("/api/v1/models/create", {**preset, "id": "explorer", "base_model_id": "tiny:latest"})
    made.ask("/api/v1/models/create", {**preset, "id": "tiny:latest", "base_model_id": None})
    models: dict[str, Any] = {"DEFAULT_MODELS": "explorer", "DEFAULT_PINNED_MODELS": None, "MODEL_ORDER_LIST": []}
    made.ask("/api/v1/configs/models", {**models, "DEFAULT_MODEL_METADATA": {}, "DEFAULT_MODEL_PARAMS": {}})
    configs = {
        "0": {"enable": True, "tags": [{"name": "old"}]},
        "1": {"enable": False, "key": KEY, "prefix_id": "other"},
    }
    made.ask("/ollama/config/update", connection([EMBEDDED_URL, HAND_MADE], configs))
    assert chats(made)
    metadata = {"name": "hub", "namespace": "scout-analytics", "labels": {"component": "hub"}}
    values = f"singleuser: {{extraEnv: {{OLLAMA_URL: '{JUPYTER_URL}'}}}}"
    made.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"values.yaml": values}})
    return made


@pytest.fixture
def operator(
    lab: Lab,
    scout: Scout,  # noqa: ARG001  asked for by name
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Operator]:
    """An operator with a copy of the inventory to edit, who has time: two starts of each replica are awaited."""
    monkeypatch.setattr(conftest, "SECONDS", 840)
    operator = Operator(Path(shutil.copytree(lab.site, tmp_path / "site")), tmp_path / "home")
    yield operator
    assert_addresses_are_the_inventorys(lab, operator)
    for file in [*operator.home.rglob("*"), lab.host("scout-prod-1").root / "var/lib/scout-ollama/audit.jsonl"]:
        if file.is_file():
            assert_no_secret(file.read_text(), str(file))


def assert_no_secret(text: str, where: str) -> None:
    for secret in (PASSWORD, KEY, "eyJ"):
        assert secret not in text, where


def connection(urls: list[str], configs: dict[str, Any]) -> dict[str, Any]:
    return {"ENABLE_OLLAMA_API": True, "OLLAMA_BASE_URLS": urls, "OLLAMA_API_CONFIGS": configs}


def chats(scout: Scout, model: str = "tiny:latest") -> bool:
    """Whether somebody who chats is answered."""
    answer = scout.ask("/ollama/api/chat/0", {**CHAT, "model": model})
    return bool((answer.get("message") or {}).get("role"))


def connect(operator: Operator, *words: str, hosts: str = "scout-prod") -> Said:
    said = operator.inv("connect-scout", "--hosts", hosts, *(words or ("--yes",)))
    assert_no_secret(said.out + said.err, "what it says")
    return said


def disconnect(operator: Operator) -> Said:
    return operator.inv("disconnect-scout", "--hosts", "scout-prod", "--yes")


def status_of(operator: Operator) -> dict[str, Any]:
    """What ``inv status`` says about how the Scout uses Ollama."""
    document = json.loads(operator.inv("status", "--hosts", "scout-prod", "--json").out)
    (cluster,) = document["clusters"]
    return dict(cluster["scout"])


def checked(operator: Operator) -> dict[str, Any]:
    """What ``inv check`` says about Open WebUI."""
    verdicts = json.loads(operator.inv("check", "--hosts", "scout-prod", "--json").out)
    (verdict,) = (verdict for verdict in verdicts if verdict["check"] == "open-webui")
    return dict(verdict)


def environment(scout: Scout) -> dict[str, Any]:
    found = json.loads(scout.kubectl("get", "statefulset", "open-webui", "-o", "json"))
    container = found["spec"]["template"]["spec"]["containers"][0]
    return {entry["name"]: entry.get("value") for entry in container["env"]}


def embedded_pods(scout: Scout) -> str:
    return scout.kubectl("get", "deployment", "ollama", "-o", "jsonpath={.spec.replicas}")


def assert_as_it_was(scout: Scout) -> None:
    """The connection of yesterday, and it works."""
    assert scout.ask("/ollama/config")["OLLAMA_BASE_URLS"] == [EMBEDDED_URL, HAND_MADE]
    assert embedded_pods(scout) == "1"
    assert chats(scout)


class TestTheStory:
    """One after the other."""

    def test_0_who_looks_sees_that_it_uses_another(self, operator: Operator) -> None:
        status = status_of(operator)
        assert status["open_webui"]["state"] == "broken"
        assert status["open_webui"]["what"] == "Open WebUI uses another Ollama"
        assert f"connection: {EMBEDDED_URL} → {URL}" in status["open_webui"]["why"]
        assert status["open_webui"]["next"] == "inv connect-scout --hosts scout-prod --plan"
        assert status["effective_url"] == f"{EMBEDDED_URL}, {HAND_MADE}"
        verdict = checked(operator)
        assert (verdict["status"], verdict["what"]) == ("fail", "it uses another Ollama")

    def test_1_the_plan_shows_every_change_and_makes_none(self, operator: Operator, scout: Scout) -> None:
        said = connect(operator, "--plan")
        assert said.status == 2, said.err
        assert f"~ connection: {EMBEDDED_URL} → {URL}" in said.err
        assert f"~ embeddings (tiny:latest): {EMBEDDED_URL} → {URL}" in said.err
        assert f"~ OLLAMA_BASE_URLS (set by helm): {EMBEDDED_URL} → {URL};{HAND_MADE}" in said.err
        assert "the authority of ollama.phi.example.edu" in said.err
        assert "~ replicas: 1 → 0; volume ollama (30Gi) stays" in said.err
        assert f"ollama_mode: external, ollama_url: {URL}; in the chart's values: ollama.enabled: false" in said.err
        assert f"Secret scout-analytics/hub has {JUPYTER_URL}, which no connection of Open WebUI changes" in said.err
        assert_as_it_was(scout)
        records = "/var/lib/scout-ollama/open-webui"
        assert scout.host.run(["test", "-e", records], check=False).returncode == 1

    def test_2_it_is_switched_and_proved(self, operator: Operator, scout: Scout, wanted: OpenWebUi) -> None:
        said = connect(operator)
        assert said.status == 0, said.err
        everywhere = "its replica" if wanted.replicas == 1 else f"all {wanted.replicas} replicas"
        assert f"its saved configuration is what was wanted, on {everywhere}" in said.err
        assert f"a chat with tiny:latest was answered, and {URL} saw it" in said.err
        assert "to undo it: inv disconnect-scout --hosts scout-prod" in said.err
        saved = scout.ask("/ollama/config")
        assert saved["OLLAMA_BASE_URLS"] == [URL, HAND_MADE]
        assert saved["OLLAMA_API_CONFIGS"]["0"] == {"enable": True, "connection_type": "external"}
        assert saved["OLLAMA_API_CONFIGS"]["1"] == {"enable": False, "key": KEY, "prefix_id": "other"}
        assert scout.ask("/api/v1/retrieval/embedding")["ollama_config"]["url"] == URL
        assert environment(scout)["OLLAMA_BASE_URLS"] == f"{URL};{HAND_MADE}"
        assert embedded_pods(scout) == "0"

    def test_3_the_record_is_for_nobody_else_and_without_keys(self, scout: Scout) -> None:
        record = "/var/lib/scout-ollama/open-webui/1.json"
        assert scout.host.run(["stat", "-c", "%a %U", record]).stdout == "600 root\n"
        text = scout.host.run(["cat", record]).stdout
        assert_no_secret(text, record)
        assert json.loads(text)["connection"]["OLLAMA_BASE_URLS"] == [EMBEDDED_URL, HAND_MADE]

    def test_4_the_second_run_has_nothing_to_do(self, operator: Operator) -> None:
        said = connect(operator)
        assert said.status == 0, said.err
        assert "scout-prod: nothing to do, proved" in said.err

    def test_4_who_looks_sees_that_it_works(self, operator: Operator, wanted: OpenWebUi) -> None:
        status = status_of(operator)
        assert (status["open_webui"]["state"], status["works"]["state"]) == ("ok", "ok")
        assert status["open_webui"]["text"] == f"{wanted.version}, as wanted"
        assert status["effective_url"] == f"{URL}, {HAND_MADE}"
        assert checked(operator)["status"] == "pass"

    def test_5_every_pod_is_restarted_and_nothing_changes(self, scout: Scout, wanted: OpenWebUi) -> None:
        scout.kubectl("delete", "pods", "--all", "--wait=true")
        scout.wait_until_ready(wanted)
        assert scout.ask("/ollama/config")["OLLAMA_BASE_URLS"] == [URL, HAND_MADE]
        assert chats(scout)
        assert chats(scout, "explorer")

    def test_6_the_volume_is_named_with_its_size_and_stays(self, operator: Operator, scout: Scout) -> None:
        said = operator.inv("remove-embedded-ollama", "--hosts", "scout-prod", "--plan")
        assert said.status == 2, said.err
        assert "- PersistentVolumeClaim scout-analytics/ollama: 30Gi asked for, " in said.err
        assert "kB stored on scout-prod-1" in said.err
        assert "ollama" in scout.kubectl("get", "pvc", "-o", "name")

    def test_7_it_is_switched_back(self, operator: Operator, scout: Scout, wanted: OpenWebUi) -> None:
        said = disconnect(operator)
        assert said.status == 0, said.err
        assert_as_it_was(scout)
        saved = scout.ask("/ollama/config")
        assert saved["OLLAMA_API_CONFIGS"]["1"] == {"enable": False, "key": KEY, "prefix_id": "other"}
        assert scout.ask("/api/v1/retrieval/embedding")["ollama_config"]["url"] == EMBEDDED_URL
        now = environment(scout)
        assert now["OLLAMA_BASE_URLS"] == now["RAG_OLLAMA_BASE_URL"] == EMBEDDED_URL
        assert "AIOHTTP_CLIENT_SSL_CERT_FILE" not in now
        again = disconnect(operator)
        assert again.status == 0
        assert "there is nothing to bring back" in again.err
        scout.wait_until_ready(wanted)

    def test_8_its_volume_is_not_removed_while_it_is_in_use(self, operator: Operator) -> None:
        said = operator.inv("remove-embedded-ollama", "--hosts", "scout-prod", "--yes")
        assert said.status == 1
        assert "deployment/ollama of scout-prod is in use: its volume was left alone" in said.err


@pytest.fixture
def stand_in(version: str) -> None:
    """What need not be tried with the real one."""
    if version != "stand-in":
        pytest.skip("tried with the stand-in alone")


@pytest.mark.usefixtures("stand_in")
class TestBadLuck:
    """In each the connection of yesterday works in the end."""

    def test_a_wrong_password_stops_one_scout_and_not_the_other(
        self, operator: Operator, scout: Scout, lab: Lab, wanted: OpenWebUi
    ) -> None:
        other = Scout(lab.host("scout-preprod-1"))
        other.install(replace(wanted, replicas=1, kind="Deployment"))
        secret = {"stringData": {"BOOTSTRAP_PASSWORD": "another"}}
        scout.kubectl("patch", "secret", "open-webui-secrets", "-p", json.dumps(secret))
        said = operator.inv("connect-scout", "--yes")
        assert said.status == 1
        assert "scout-prod-1: Open WebUI does not take the password of scout-deploy@scout-deploy.local" in said.err
        assert "BOOTSTRAP_PASSWORD of Secret open-webui-secrets" in said.err
        assert "scout-preprod: done" in said.err
        assert other.ask("/ollama/config")["OLLAMA_BASE_URLS"] == [URL]
        secret = {"stringData": {"BOOTSTRAP_PASSWORD": PASSWORD}}
        scout.kubectl("patch", "secret", "open-webui-secrets", "-p", json.dumps(secret))
        assert_as_it_was(scout)

    def test_a_model_that_a_preset_needs_is_named_with_its_remedy(self, operator: Operator, scout: Scout) -> None:
        preset = {"id": "long", "base_model_id": "gemma4-31b-long:latest", "name": "Long", "meta": {}, "params": {}}
        scout.ask("/api/v1/models/create", preset)
        said = connect(operator)
        assert said.status == 1
        assert f"{URL} lacks models that scout-prod uses" in said.err
        assert "gemma4-31b-long:latest, used as preset long" in said.err
        assert "add gemma4-31b-long:latest to ollama.models of phi.yaml, inv pull-models --hosts phi" in said.err
        scout.ask("/api/v1/models/create", {**preset, "is_active": False})
        assert_as_it_was(scout)

    def test_an_ollama_that_is_down_beforehand(self, operator: Operator, scout: Scout, lab: Lab) -> None:
        lab.host("phi-gpu-1").freeze()
        try:
            said = connect(operator)
        finally:
            lab.host("phi-gpu-1").thaw()
        assert said.status == 1
        assert f"{URL} does not answer" in said.err
        assert "inv check-access --hosts phi" in said.err
        assert_as_it_was(scout)

    @pytest.mark.parametrize(
        ("sign", "told"),
        [
            ("keep what is there now", "its connection was left as it is"),
            ("a chat with tiny:latest was answered", "inv disconnect-scout --hosts scout-prod"),
        ],
        ids=["before-the-switch", "just-after-it"],
    )
    def test_an_ollama_that_goes_in_the_middle(
        self, sign: str, told: str, operator: Operator, scout: Scout, lab: Lab, wanted: OpenWebUi
    ) -> None:
        gpu = lab.host("phi-gpu-1")
        with operator.typing("connect-scout", "--hosts", "scout-prod", "--yes") as process:
            assert process.stderr is not None
            said = ""
            for line in process.stderr:
                said += line
                if sign in line and line.startswith("scout-prod-1 "):
                    gpu.freeze()
            process.wait()
        gpu.thaw()
        assert process.returncode == 1
        assert told in said
        assert embedded_pods(scout) == "1"
        assert disconnect(operator).status == 0
        scout.wait_until_ready(wanted)
        assert_as_it_was(scout)

    def test_a_certificate_that_nobody_knows(self, operator: Operator, scout: Scout) -> None:
        operator.edit("phi", lambda phi: phi["ollama"]["tls"].pop("ca"))
        said = connect(operator)
        assert said.status == 1
        assert "certificate" in said.err
        assert_as_it_was(scout)

    def test_a_proxy_in_the_way_is_told_not_to_be(self, operator: Operator, scout: Scout, wanted: OpenWebUi) -> None:
        proxy = {"HTTPS_PROXY": "http://scout-preprod-1:3128", "NO_PROXY": ".svc,10.0.0.0/8"}
        scout.install(replace(wanted, environment=proxy))
        said = connect(operator)
        assert said.status == 0, said.err
        assert environment(scout)["no_proxy"] == ".svc,10.0.0.0/8,ollama.phi.example.edu"
        assert disconnect(operator).status == 0
        assert "no_proxy" not in environment(scout)
        scout.install(wanted)
        assert_as_it_was(scout)

    def test_turned_off_it_keeps_its_connections(self, operator: Operator, scout: Scout, wanted: OpenWebUi) -> None:
        said = connect(operator, "--disabled", "--yes")
        assert said.status == 0, said.err
        assert "edit scout-prod.yaml: ollama_mode: disabled, to make it last" in said.err
        saved = scout.ask("/ollama/config")
        assert (saved["ENABLE_OLLAMA_API"], saved["OLLAMA_BASE_URLS"]) == (False, [EMBEDDED_URL, HAND_MADE])
        assert disconnect(operator).status == 0
        scout.wait_until_ready(wanted)
        assert_as_it_was(scout)

    def test_flags_exclude_each_other(self, operator: Operator) -> None:
        said = connect(operator, "--disabled", "--external", "--plan")
        assert said.status == 1
        assert "--external and --disabled exclude each other" in said.err

    @pytest.mark.parametrize(
        ("changed", "told"),
        [
            ({"version": "0.9.6"}, "Open WebUI 0.9.6 is too old to be connected from here"),
            ({"environment": {"ENABLE_PERSISTENT_CONFIG": "False"}}, "Open WebUI has ENABLE_PERSISTENT_CONFIG=False"),
        ],
        ids=["too-old", "saves-nothing"],
    )
    def test_one_that_cannot_be_changed_for_good(
        self, changed: dict[str, Any], told: str, operator: Operator, scout: Scout, wanted: OpenWebUi
    ) -> None:
        scout.install(replace(wanted, **changed))
        said = connect(operator)
        assert said.status == 1
        assert told in said.err
        scout.install(wanted)
        assert_as_it_was(scout)

    def test_nobody_may_sign_in_for_a_while(self, operator: Operator, scout: Scout, wanted: OpenWebUi) -> None:
        for _ in range(16):
            scout.ask("/api/v1/auths/signin", {"email": "scout-deploy@scout-deploy.local", "password": "x"}, token="")
        said = connect(operator)
        assert said.status == 1
        assert "Open WebUI lets nobody sign in for a while" in said.err
        assert "wait three minutes" in said.err
        scout.kubectl("delete", "pods", "-l", "app.kubernetes.io/name=open-webui")
        scout.wait_until_ready(wanted)
        assert_as_it_was(scout)

    def test_one_that_does_not_start(self, operator: Operator, scout: Scout, wanted: OpenWebUi) -> None:
        scout.host.run(["tee", "/etc/lab/open-webui"], input="unready\n")
        scout.kubectl("delete", "pods", "-l", "app.kubernetes.io/name=open-webui")
        scout.wait_for_rollout("statefulset/open-webui")
        said = connect(operator)
        assert said.status == 1
        assert "Open WebUI does not answer in open-webui-0" in said.err
        scout.host.run(["tee", "/etc/lab/open-webui"])
        scout.kubectl("delete", "pods", "-l", "app.kubernetes.io/name=open-webui")
        scout.wait_until_ready(wanted)
        assert_as_it_was(scout)
