"""What is made of a reading: each fault and each drift in plain words, once, and where it belongs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from lab.certificates import Authority
from scout_ollama.errors import Trouble
from scout_ollama.facts import Section, Space
from scout_ollama.manifests import DRAINED
from scout_ollama.models import locked
from scout_ollama.open_webui.looking import Looked
from scout_ollama.open_webui.workload import NotThere
from scout_ollama.status.document import Problem, State
from scout_ollama.store import ModelName
from tests.status import readings
from tests.status.readings import ASKER, NODES, OTHER, Reading, answer

ONE, TWO, THREE = NODES
REFUSED = Section(7, "curl: (7) Failed to connect to 10.42.0.9 port 11434")


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    return readings.well(tmp_path / "site")


def only(reading: Reading) -> Problem:
    """The one thing that is told."""
    (problem,) = reading.judged().problems
    return problem


def test_a_site_that_is_well_has_nothing_to_tell(reading: Reading) -> None:
    status = reading.judged()
    assert status.problems == []
    assert status.state == "ok"
    phi = status.clusters[0]
    assert {cell.state for cluster in status.clusters for _, cell in cluster.cells} == {"ok"}
    assert (phi.nodes[0].k3s.text, phi.last_run.text) == (
        "v1.36.3+k3s1",
        "deploy-ollama done 12 min ago by ada",
    )
    assert phi.endpoint
    assert phi.endpoint.answers.text == "answers, 0 models"
    assert phi.endpoint.certificate.text == "89 days"
    assert phi.nodes[0].memory
    assert phi.nodes[0].memory.text == "1 model, 21.5 GB"
    assert (phi.nodes[0].gpus_used, phi.nodes[0].gpus_allocatable) == (1, 1)


def stops(reading: Reading, host: str) -> None:
    reading.change(host, k3s=Section(3, "inactive"), api=Section(1, "refused"), objects=None)


def other_version(reading: Reading) -> None:
    reading.say(TWO, version=answer({"version": "0.23.1"}))


def no_gpus_given(reading: Reading) -> None:
    reading.edit(lambda node: node["status"]["allocatable"].clear(), TWO)


def not_ready(reading: Reading) -> None:
    condition = {"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting node status."}
    reading.edit(lambda node: node["status"].update(conditions=[condition]), TWO)


def is_drained(reading: Reading) -> None:
    reading.edit(lambda node: node["metadata"]["labels"].update({DRAINED: "true"}), TWO)
    reading.edit(lambda node: node["metadata"]["annotations"].update({DRAINED: "ada: fan 3 is loud"}), TWO)
    reading.objects.remove(next(o for o in reading.objects if o["metadata"]["name"] == f"ollama-{TWO}"))
    reading.change(*NODES, objects=tuple(reading.objects))
    del reading.ollamas[TWO]


def without_pod(reading: Reading) -> None:
    rest = tuple(obj for obj in reading.objects if obj["metadata"]["name"] != f"ollama-{TWO}")
    reading.change(*NODES, objects=rest)
    del reading.ollamas[TWO]


def crashing(reading: Reading) -> None:
    waiting = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    reading.edit(lambda pod: pod["status"].update(containerStatuses=[waiting]), f"ollama-{TWO}", "Pod")
    del reading.ollamas[TWO]


def partly(reading: Reading) -> None:
    loaded = {"name": "gemma4-31b-long:latest", "digest": "a" * 64, "size": 100, "size_vram": 60}
    reading.say(TWO, ps=answer({"models": [loaded]}))


@pytest.mark.parametrize(
    ("cause", "state", "what", "why", "then"),
    [
        (lambda r: stops(r, TWO), "broken", "K3s does not run", "its service is inactive", "systemctl start k3s"),
        (
            lambda r: r.change(TWO, api=Section(1, "a\nThe connection was refused"), objects=None),
            "broken",
            "its Kubernetes API does not answer",
            "The connection was refused",
            "journalctl -u k3s",
        ),
        (not_ready, "broken", "its node is not ready", "Kubelet stopped posting", "describe node phi-gpu-2"),
        (
            lambda r: r.edit(lambda node: node["spec"].update(unschedulable=True), TWO),
            "warn",
            "its node is cordoned",
            "",
            "uncordon phi-gpu-2",
        ),
        (
            lambda r: r.change(TWO, gpus=Section(9, "NVIDIA-SMI has failed"), gpu_memory=()),
            "broken",
            "its GPUs do not answer",
            "NVIDIA-SMI has failed",
            "nvidia-smi",
        ),
        (
            lambda r: r.change(TWO, gpus=Section(124, ""), gpu_memory=()),
            "broken",
            "its GPUs do not answer",
            "did not end in time",
            "nvidia-smi",
        ),
        (
            lambda r: r.change(TWO, gpus=Section(127, ""), gpu_memory=()),
            "broken",
            "its GPUs do not answer",
            "not installed",
            "nvidia-smi",
        ),
        (lambda r: r.change(TWO, gpu_memory=()), "broken", "the driver shows 0 of its 1 GPU", "", "nvidia-smi -L"),
        (no_gpus_given, "broken", "Kubernetes can give out 0 of its 1 GPU", "operator", "inv install-gpu-operator"),
        (other_version, "warn", "its Ollama is 0.23.1, the inventory wants 0.24.0", "", "inv deploy-ollama"),
        (lambda r: r.say(TWO, version=REFUSED), "broken", "its Ollama does not answer", "curl: (7)", "restart-ollama"),
        (without_pod, "broken", "Ollama is not there", "", "inv deploy-ollama --hosts phi"),
        (crashing, "broken", "its Ollama pod is not ready: CrashLoopBackOff", "", "describe pods -n ollama"),
        (is_drained, "warn", "drained: it serves nobody", "ada: fan 3 is loud", "inv undrain-host --hosts phi-gpu-2"),
        (
            lambda r: r.say(TWO, ps=answer({"models": []})),
            "warn",
            "not in memory, though the inventory preloads it: gemma4-31b-long:latest",
            "",
            "inv restart-ollama",
        ),
        (partly, "warn", "not wholly in the memory of GPUs", "", "nvidia-smi"),
        (lambda r: r.change(TWO, store=None), "broken", "/var/lib/ollama is not there", "", "findmnt"),
        (lambda r: r.change(TWO, store=Space(90, 1000)), "warn", "has 90 B free of 1.0 kB", "", "prune-models"),
        (lambda r: r.change(TWO, store=Space(40, 1000)), "broken", "has 40 B free of 1.0 kB", "kubelet", "df -h"),
    ],
)
def test_a_fault_of_one_node_is_told_once_and_there(
    reading: Reading, cause: Callable[[Reading], None], state: State, what: str, why: str, then: str
) -> None:
    cause(reading)
    problem = only(reading)
    assert (problem.state, problem.where) == (state, [TWO])
    assert what in problem.what
    assert why in problem.why
    assert then in problem.next
    assert reading.judged().state == state


def test_of_a_host_that_does_not_answer_everything_is_unknown_and_one_thing_told(reading: Reading) -> None:
    reading.lose(THREE)
    problem = only(reading)
    assert (problem.state, problem.where, problem.what) == ("broken", [THREE], "does not answer")
    node = reading.judged().clusters[0].nodes[2]
    assert [cell.state for cell in node.cells] == ["broken", *["unknown"] * 6]
    assert {cell.why for cell in node.cells[1:]} <= {
        f"{THREE} does not answer",
        f"its Ollama does not answer on {THREE}",
    }


def test_what_the_first_server_keeps_is_unknown_while_it_is_away_and_the_cluster_is_read_from_another(
    reading: Reading,
) -> None:
    reading.lose(ONE)
    status = reading.judged()
    phi = status.clusters[0]
    assert [problem.where for problem in status.problems] == [[ONE]]
    assert (phi.lock.state, phi.last_run.state) == ("unknown", "unknown")
    assert phi.nodes[1].k3s.state == "ok"


def test_what_several_hosts_have_in_common_is_told_once(reading: Reading) -> None:
    for name in NODES:
        stops(reading, name)
        reading.say(name, version=REFUSED, tags=REFUSED, ps=REFUSED)
    problem = only(reading)
    assert (problem.what, problem.where) == ("K3s does not run", list(NODES))


def test_a_model_that_a_node_lacks(reading: Reading) -> None:
    tags = answer({"models": [{"name": "qwen3-embedding:8b", "digest": "a" * 64}]})
    reading.say(TWO, tags=tags)
    told = [(problem.where, problem.what, problem.next) for problem in reading.judged().problems]
    assert ([TWO], "it does not have gemma4-31b-long:latest", "inv pull-models --hosts phi") in told
    assert len(told) == 3


def test_a_model_that_nobody_wants_is_a_row_and_no_problem(reading: Reading) -> None:
    tags = readings.ollama(reading.site)["tags"].text.replace(
        '{"models": [', '{"models": [{"name": "stray:latest", "digest": "' + "b" * 64 + '"}, '
    )
    reading.say(TWO, tags=Section(0, tags))
    status = reading.judged()
    assert status.problems == []
    stray = status.clusters[0].models[-1]
    assert (stray.model, stray.wanted) == ("stray:latest", False)
    assert {host: cell.text for host, cell in stray.nodes.items()} == {ONE: "-", TWO: "bbbbbbb", THREE: "-"}


def test_nodes_that_have_different_versions_of_a_model(reading: Reading) -> None:
    reading.say(TWO, tags=Section(0, readings.ollama(reading.site)["tags"].text.replace("a" * 64, "b" * 64, 1)))
    problem = only(reading)
    assert (problem.state, problem.what) == ("warn", "the nodes have different versions of qwen3-embedding:8b")


def test_a_model_that_is_not_what_models_lock_has(reading: Reading) -> None:
    locked.write(reading.site, "phi", {ModelName.parse("qwen3-embedding:8b"): "c" * 64})
    problem = only(reading)
    assert (problem.what, problem.where) == ("qwen3-embedding:8b is not the version that models.lock has", list(NODES))


def served(reading: Reading, valid: timedelta, *, in_the_file: bool = True) -> None:
    """The endpoint serves a certificate that is good for so long."""
    secrets = reading.site.root / "secrets"
    pair = Authority(secrets).issue(["ollama.phi.example.edu"], valid=valid)
    if in_the_file:
        pair.write(secrets / "phi.crt", secrets / "phi.key")
    sees = readings.endpoint(pair.certificate.decode())
    reading.endpoints = {ASKER: sees, OTHER: readings.endpoint(pair.certificate.decode())}


@pytest.mark.parametrize(
    ("days", "state", "what"),
    [
        (31, None, ""),
        (29, "warn", "its certificate expires in 28 days, on "),
        (6, "broken", "its certificate expires in 5 days, on "),
    ],
)
def test_a_certificate_that_expires_soon(reading: Reading, days: int, state: State | None, what: str) -> None:
    served(reading, timedelta(days=days))
    told = reading.judged().problems
    assert [(problem.state, problem.where) for problem in told] == ([(state, ["phi"])] if state else [])
    assert all(problem.what.startswith(what) and "inv rotate-tls" in problem.next for problem in told)


def test_a_certificate_that_has_expired_is_told_once_and_what_follows_of_it_for_the_scouts(reading: Reading) -> None:
    served(reading, timedelta(days=-2))
    refused = Section(60, "curl: (60) certificate has expired")
    reading.see({name: refused for name in reading.endpoints[ASKER] if not name.startswith("certificate")})
    told = [(problem.where, problem.what[:30]) for problem in reading.judged().problems]
    assert told == [
        (["phi"], "its certificate expired on 202"),
        (["scout-preprod", "scout-prod"], "https://ollama.phi.example.edu"),
    ]


def test_another_certificate_than_the_inventorys(reading: Reading) -> None:
    served(reading, timedelta(days=89), in_the_file=False)
    problem = only(reading)
    assert problem.state == "warn"
    assert problem.what.startswith("it serves another certificate than ")
    assert problem.why == f"on {', '.join(NODES)}"


def test_a_node_on_which_the_endpoint_does_not_answer(reading: Reading) -> None:
    reading.see({"version@192.0.2.12": Section(22, "curl: (22) The requested URL returned error: 503")}, ASKER)
    problem = only(reading)
    assert (problem.state, problem.where) == ("broken", [TWO])
    assert problem.what == "https://ollama.phi.example.edu does not answer on it"
    assert "error: 503" in problem.why


def test_a_scout_that_the_endpoint_does_not_answer(reading: Reading) -> None:
    reading.see({"tags": Section(22, "curl: (22) The requested URL returned error: 403")}, OTHER)
    problem = only(reading)
    assert (problem.where, problem.what) == (
        ["scout-prod"],
        "https://ollama.phi.example.edu does not answer this Scout",
    )
    assert problem.next == "inv check-access --hosts phi"


def test_without_a_scout_that_answers_nobody_can_tell_of_the_endpoint(reading: Reading) -> None:
    reading.lose(ASKER)
    reading.lose(OTHER)
    status = reading.judged()
    assert [problem.where for problem in status.problems] == [[ASKER, OTHER]]
    endpoint = status.clusters[0].endpoint
    assert endpoint
    assert (endpoint.answers.state, endpoint.certificate.state, endpoint.asked_from) == ("unknown", "unknown", None)


def test_a_lock_that_is_held_is_told_with_who_and_why(reading: Reading) -> None:
    reading.change(ONE, kept=readings.held(reading.now))
    problem = only(reading)
    assert (problem.state, problem.where) == ("warn", ["phi"])
    assert problem.what.startswith("locked by ada@laptop-1: inv deploy-ollama --hosts phi, since ")
    assert problem.why == ""
    reading.change(ONE, kept=readings.held(reading.now, silent_seconds=90))
    assert only(reading).why == "no sign of life for 90 s: it may hang"


@pytest.mark.parametrize(
    ("result", "what"),
    [("failed", "the last run failed: ada@"), ("interrupted", "the last run was interrupted: ada@")],
)
def test_a_last_run_that_ended_badly(reading: Reading, result: str, what: str) -> None:
    kept = readings.kept(reading.now, result=result, troubles=("phi-gpu-2: no space",))
    reading.change(ONE, kept=kept)
    problem = only(reading)
    assert problem.what.startswith(what)
    assert (problem.state, problem.why, problem.next) == ("warn", "phi-gpu-2: no space", "inv audit --hosts phi")


def test_a_run_that_was_cut_off_and_is_not_audited_yet(reading: Reading) -> None:
    reading.change(ONE, kept=readings.held(reading.now, alive=False))
    assert only(reading).what.startswith("the last run was cut off: ada@laptop-1")
    assert [run.result for run in reading.judged().clusters[0].runs] == ["done", "cut off"]


def test_a_part_of_the_site_tells_of_that_part(reading: Reading) -> None:
    stops(reading, TWO)
    assert reading.judged("phi:gpu-1").problems == []
    assert [node.host for node in reading.judged("phi:gpu-1").clusters[0].nodes] == [ONE]


# -- what Open WebUI says itself


@pytest.mark.parametrize(
    ("looked", "state", "text", "url"),
    [
        (
            Looked("0.11.0", ("https://ollama.phi.example.edu",)),
            "ok",
            "0.11.0, as wanted",
            "https://ollama.phi.example.edu",
        ),
        (
            Looked("0.11.0", ("http://ollama:11434",), ("~ connection: http://ollama:11434 → https://…",)),
            *("broken", "another Ollama", "http://ollama:11434"),
        ),
        (
            Looked("0.11.0", ("https://ollama.phi.example.edu",), silent="HTTP 500"),
            *("broken", "no answer", "https://ollama.phi.example.edu"),
        ),
        (NotThere("there is no Open WebUI in namespace scout-analytics"), "warn", "not there", None),
        (Trouble("Open WebUI does not take the password"), "broken", "cannot be asked", None),
    ],
)
def test_what_open_webui_says_itself_is_shown(
    looked: Looked | Trouble, state: str, text: str, url: str | None, reading: Reading
) -> None:
    reading.open_webuis["scout-prod-1"] = looked
    (cluster,) = [found for found in reading.judged().clusters if found.cluster == "scout-prod"]
    assert cluster.scout
    assert cluster.scout.open_webui
    assert (cluster.scout.open_webui.state, cluster.scout.open_webui.text) == (state, text)
    assert cluster.scout.effective_url == url
