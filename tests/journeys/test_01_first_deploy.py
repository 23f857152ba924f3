"""From hosts with K3s and nothing else to a shared Ollama that Scouts use: the order of a first day."""

from __future__ import annotations

import json
import re

import pytest

from lab.lab import Lab
from tests.journeys.conftest import Operator, from_scout, kubectl

pytestmark = pytest.mark.lab

URL = "https://ollama.phi.example.edu"


def status_of(lab: Lab, *curl: str, host: str = "scout-prod-1") -> str:
    return from_scout(lab, "--output", "/dev/null", "--write-out", "%{http_code}", *curl, host=host, check=False)


def test_1_the_plan_shows_everything_and_changes_nothing(lab: Lab, operator: Operator) -> None:
    before = kubectl(lab, "get", "all,secrets,ingresses,networkpolicies", "-A", "-o", "name")
    said = operator.deploy("--plan")
    assert said.status == 2, said.err
    assert "create /etc/rancher/k3s/registries.yaml" in said.err
    assert "pull docker.io/ollama/ollama:0.24.0" in said.err
    assert re.search(r"^staging-1 +pull tiny:latest$", said.err, re.MULTILINE), said.err
    assert re.search(r"^phi-gpu-1 +copy about \d+ kB, publish 1 model  \(and on", said.err, re.MULTILINE), said.err
    assert "+ chart gpu-operator v25.10.1" in said.err
    assert "+ spec.template.spec.containers[name=ollama].image: docker.io/ollama/ollama:0.24.0" in said.err
    assert kubectl(lab, "get", "all,secrets,ingresses,networkpolicies", "-A", "-o", "name") == before
    assert not (lab.host("phi-gpu-1").root / "etc/rancher/k3s/registries.yaml").exists()


def test_2_without_a_terminal_and_without_yes_it_refuses(operator: Operator) -> None:
    said = operator.inv("deploy-ollama", "--hosts", "phi")
    assert said.status == 1
    assert "nothing was changed" in said.err
    assert "--yes" in said.err


def test_3_the_first_deploy_ends_with_its_proof(operator: Operator) -> None:
    said = operator.deploy("--yes", "--json")
    assert said.status == 0, said.err
    result = json.loads(said.out)["phi"]
    assert result["made"]
    assert result["troubles"] == []
    lines = {(entry["host"], entry["line"]) for entry in result["proved"]}
    assert {host for host, _ in lines} == {"phi-gpu-1", "phi-gpu-2", "phi-gpu-3", "scout-preprod-1"}
    assert ("phi-gpu-3", "Ollama lists and opens 1 model as published") in lines


def test_4_the_second_deploy_has_nothing_to_do_and_proves_the_same(operator: Operator) -> None:
    said = operator.deploy("--yes", "--json")
    assert said.status == 0, said.err
    assert "phi: nothing to do" in said.err
    result = json.loads(said.out)["phi"]
    assert (result["changes"], result["made"]) == ([], False)
    assert len(result["proved"]) == 3 * 3 + 1
    assert operator.deploy("--plan").status == 0


def test_5_a_scout_gets_the_models_over_tls(lab: Lab) -> None:
    models = json.loads(from_scout(lab, "--fail", f"{URL}/api/tags"))["models"]
    assert [model["name"] for model in models] == ["tiny:latest"]


def test_6_a_scout_gets_an_answer_from_a_model(lab: Lab) -> None:
    question = json.dumps({"model": "tiny:latest", "messages": [{"role": "user", "content": "hello"}], "stream": False})
    answer = json.loads(from_scout(lab, "--fail", "--json", question, f"{URL}/api/chat"))
    assert answer["message"]["content"]


@pytest.mark.parametrize("path", ["pull", "push", "create", "copy", "delete", "blobs/sha256:" + "0" * 64])
def test_7_a_scout_cannot_change_the_models(lab: Lab, path: str) -> None:
    assert status_of(lab, "--request", "POST", f"{URL}/api/{path}") == "404"


def test_8_profiles_of_the_process_are_not_exposed(lab: Lab) -> None:
    assert status_of(lab, f"{URL}/debug/pprof/heap") == "404"


def test_9_who_is_not_on_the_list_gets_nothing(lab: Lab) -> None:
    assert status_of(lab, f"{URL}/api/tags", host="staging-1") == "403"
    assert status_of(lab, f"http://{lab.host('phi-gpu-1').address}:11434/api/tags") == "000"
    assert status_of(lab, "http://ollama.phi.example.edu/api/tags") in ("000", "404")


def test_10_the_store_is_read_only_for_ollama(lab: Lab) -> None:
    where = "jsonpath={.items[0].status.podIP} {.items[0].spec.nodeName}"
    address, node = kubectl(lab, "get", "pods", "-n", "ollama", "-o", where).split()
    delete = ["curl", "--silent", "--request", "DELETE", "--json", '{"model": "tiny:latest"}']
    lab.host(node).run([*delete, f"http://{address}:11434/api/delete"])
    tags = lab.host(node).run(["curl", "--silent", "--fail", f"http://{address}:11434/api/tags"]).stdout
    assert [model["name"] for model in json.loads(tags)["models"]] == ["tiny:latest"]


def test_11_a_new_version_replaces_one_pod_at_a_time(lab: Lab, operator: Operator) -> None:
    operator.edit("phi", lambda phi: phi["ollama"].update(version="0.24.1"))
    said = operator.deploy()
    assert said.status == 0, said.err
    assert "image: docker.io/ollama/ollama:0.24.0 → docker.io/ollama/ollama:0.24.1" in said.err
    assert json.loads(from_scout(lab, "--fail", f"{URL}/api/version"))["version"] == "0.24.1"


def test_12_and_back_again(lab: Lab, operator: Operator) -> None:
    assert operator.deploy().status == 0
    assert json.loads(from_scout(lab, "--fail", f"{URL}/api/version"))["version"] == "0.24.0"


def test_13_what_was_changed_by_hand_is_a_conflict_that_names_its_owner(lab: Lab, operator: Operator) -> None:
    kubectl(lab, "set", "env", "-n", "ollama", "daemonset/ollama", "OLLAMA_KEEP_ALIVE=5m")
    said = operator.deploy()
    assert said.status == 1
    assert "another manager owns fields" in said.err
    assert "is owned by kubectl-set" in said.err
    kubectl(lab, "rollout", "undo", "-n", "ollama", "daemonset/ollama", check=False)


def test_14_an_object_that_is_no_longer_wanted_is_shown_and_removed(lab: Lab, operator: Operator) -> None:
    labels = {"app.kubernetes.io/managed-by": "scout-ollama"}
    old = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "old", "namespace": "ollama", "labels": labels}}
    old["spec"] = {"ports": [{"port": 80}]}
    kubectl(lab, "apply", "--server-side", "--field-manager=scout-ollama", "-f", "-", stdin=json.dumps(old))
    assert "- Service ollama/old" in operator.deploy("--plan").err
    assert operator.deploy().status == 0
    assert "service/old" not in kubectl(lab, "get", "services", "-n", "ollama", "-o", "name")
