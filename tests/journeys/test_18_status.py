"""At 2 a.m.: one command says how the site is, and what is wrong with it in plain words, whatever it is.

One site, well at first. Each story breaks one thing, looks, and mends it again.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from lab.lab import Lab
from scout_ollama import results
from tests.journeys.conftest import Operator, Said, kubectl

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

ONE, TWO, THREE = HOSTS = ("phi-gpu-1", "phi-gpu-2", "phi-gpu-3")
URL = "https://ollama.phi.example.edu"
MANIFEST = "/var/lib/ollama/manifests/registry.ollama.ai/library/tiny/latest"


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """An operator whose cluster is as the inventory says."""
    directory = tmp_path_factory.mktemp("status")
    subprocess.run(["cp", "-a", lab.site, directory / "site"], check=True)
    operator = Operator(directory / "site", directory / "home", "laptop-1")
    said = operator.deploy()
    assert said.status == 0, said.err
    return operator


def read(operator: Operator, *words: str) -> tuple[int, dict[str, Any]]:
    """The exit status and the document of one reading, which is what the schema says."""
    said = operator.inv("status", "--json", *words)
    assert said.out, said.err
    document: dict[str, Any] = json.loads(said.out)
    jsonschema.validate(document, results.schema_of("status"))
    return said.status, document


def phi(document: dict[str, Any]) -> dict[str, Any]:
    (cluster,) = [cluster for cluster in document["clusters"] if cluster["cluster"] == "phi"]
    return dict(cluster)


def told(document: dict[str, Any], state: str = "broken") -> list[tuple[list[str], str]]:
    return [(problem["where"], problem["what"]) for problem in document["problems"] if problem["state"] == state]


def well_again(lab: Lab, operator: Operator) -> None:
    lab.host(ONE).wait_for(lambda: phi(read(operator)[1])["state"] == "ok")


@contextmanager
def without_k3s(lab: Lab, host: str) -> Iterator[None]:
    lab.host(host).run(["systemctl", "stop", "k3s"])
    try:
        yield
    finally:
        lab.host(host).run(["systemctl", "start", "k3s"])
        kubectl(lab, "wait", "--for=condition=Ready", f"node/{host}", "--timeout=60s")


def serves(operator: Operator, days: int) -> Said:
    """Another certificate, that is good for so many days."""
    pair = operator.authority.issue(["ollama.phi.example.edu"], valid=timedelta(days=days))
    pair.write(operator.site / "secrets/phi.crt", operator.site / "secrets/phi.key")
    said = operator.inv("rotate-tls", "--hosts", "phi", "--reason", "a test", "--yes")
    assert said.status == 0, said.err
    return said


def test_a_site_that_is_well(site: Operator) -> None:
    status, document = read(site)
    assert status == 0
    assert told(document) == []
    cluster = phi(document)
    assert cluster["state"] == "ok", document["problems"]
    assert [node["host"] for node in cluster["nodes"]] == list(HOSTS)
    assert {node["ollama"]["text"] for node in cluster["nodes"]} == {"0.24.0"}
    assert {(node["gpus_allocatable"], node["gpus_used"]) for node in cluster["nodes"]} == {(1, 1)}
    assert {node["endpoint"]["text"] for node in cluster["nodes"]} == {"answers"}
    assert cluster["endpoint"]["answers"]["text"] == "answers, 1 model"
    assert cluster["last_run"]["text"].startswith("deploy-ollama done ")
    (tiny,) = [model for model in cluster["models"] if model["wanted"]]
    assert (tiny["model"], list(tiny["nodes"])) == ("tiny:latest", list(HOSTS))
    works = {found["cluster"]: found["scout"]["works"]["text"] for found in document["clusters"] if found["scout"]}
    assert works == {"scout-preprod": "answers", "scout-prod": "answers"}


def test_the_same_for_people_and_on_a_page(site: Operator, tmp_path: Path) -> None:
    page = tmp_path / "status.html"
    said = site.inv("status", "--html", str(page))
    assert said.status == 0, said.err
    assert f"✓ {URL} answers, 1 model" in said.out
    assert all(f"✓ {host}  ✓ v1" in said.out for host in HOSTS), said.out
    html = page.read_text()
    assert "default-src &#39;none&#39;" in html
    assert all(name in html for name in (*HOSTS, "scout-prod", URL, "tiny:latest"))
    said = site.inv("status", "--html", str(tmp_path / "absent/status.html"))
    assert said.status == 1
    assert "status.html cannot be written" in said.err


def test_a_host_that_is_down_is_one_thing_and_the_rest_of_it_unknown(lab: Lab, site: Operator) -> None:
    lab.host(THREE).cut()
    try:
        status, document = read(site)
        said = site.inv("status")
    finally:
        lab.host(THREE).restore()
    assert status == said.status == 1
    assert told(document) == [([THREE], "does not answer")]
    node = phi(document)["nodes"][2]
    assert {node[part]["state"] for part in ("k3s", "gpus", "ollama", "memory", "store", "endpoint")} == {"unknown"}
    assert {other["state"] for other in phi(document)["models"][0]["nodes"].values()} == {"ok", "unknown"}
    assert f"{THREE}: ✗ does not answer" in said.out
    well_again(lab, site)


def test_the_first_server_is_down_and_the_others_tell_of_the_cluster(lab: Lab, site: Operator) -> None:
    lab.host(ONE).freeze()
    try:
        status, document = read(site, "--hosts", "phi")
    finally:
        lab.host(ONE).thaw()
    assert status == 1
    assert told(document)[0] == ([ONE], "does not answer")
    assert phi(document)["lock"]["state"] == "unknown"
    well_again(lab, site)


def test_ollama_is_gone(lab: Lab, site: Operator) -> None:
    kubectl(lab, "delete", "daemonset", "ollama", "-n", "ollama", "--wait=true")
    kubectl(lab, "wait", "--for=delete", "pods", "--all", "-n", "ollama", "--timeout=60s")
    status, document = read(site)
    assert status == 1
    assert (list(HOSTS), "Ollama is not there: its node has no pod of it") in told(document)
    (problem,) = [problem for problem in document["problems"] if problem["what"].startswith("Ollama is not there")]
    said = site.inv(*problem["next"].split()[1:], "--yes")
    assert said.status == 0, said.err
    well_again(lab, site)


def test_k3s_is_stopped_on_a_node(lab: Lab, site: Operator) -> None:
    with without_k3s(lab, TWO):
        status, document = read(site)
    assert status == 1
    assert told(document) == [([TWO], "K3s does not run")]
    (problem,) = [problem for problem in document["problems"] if problem["state"] == "broken"]
    assert problem["next"].endswith("'sudo systemctl start k3s; sudo journalctl -u k3s -n 50 --no-pager'")
    well_again(lab, site)


def test_a_model_is_missing_on_one_node(lab: Lab, site: Operator) -> None:
    lab.host(TWO).run(["mv", MANIFEST, "/root/aside"])
    status, document = read(site)
    assert status == 1
    assert told(document) == [([TWO], "it does not have tiny:latest")]
    said = site.inv("status")
    assert f"✗ tiny:latest ({TWO} absent)" in said.out
    lab.host(TWO).run(["mv", "/root/aside", MANIFEST])
    well_again(lab, site)


def test_a_gpu_is_lost(lab: Lab, site: Operator) -> None:
    lab.host(TWO).run(["tee", "/etc/lab/gpu-fault"], input="no-driver")
    try:
        status, document = read(site)
    finally:
        lab.host(TWO).run(["tee", "/etc/lab/gpu-fault"], input="")
    assert status == 1
    assert ([TWO], "its GPUs do not answer") in told(document)
    well_again(lab, site)


def test_the_certificate_is_about_to_expire(lab: Lab, site: Operator) -> None:
    serves(site, days=20)
    status, document = read(site)
    assert (status, phi(document)["endpoint"]["certificate"]["state"]) == (0, "warn")
    serves(site, days=5)
    status, document = read(site)
    assert status == 1
    ((where, what),) = told(document)
    assert where == ["phi"]
    assert what.startswith("its certificate expires in 4 days, on ")
    serves(site, days=90)
    well_again(lab, site)


def test_the_inventory_wants_something_else(site: Operator) -> None:
    site.edit("phi", lambda found: found["ollama"].update(version="0.24.1"))
    status, document = read(site)
    site.edit("phi", lambda found: found["ollama"].pop("version"))
    assert status == 0
    assert (list(HOSTS), "its Ollama is 0.24.0, the inventory wants 0.24.1") in told(document, "warn")


def test_somebody_has_the_lock(lab: Lab, site: Operator) -> None:
    other = Operator(site.site, site.site.parent / "other", "laptop-2")
    long = ("--timeout", "600", "--", "sleep", "604")
    with other.typing("exec", "--hosts", "phi:gpu-1", "--sudo", "--yes", "--reason", "thinking", *long):
        lab.host(ONE).wait_for(lambda: "sleep 604" in lab.host(ONE).run(["ps", "-eo", "args"]).stdout)
        status, document = read(site)
    assert status == 0
    (what,) = (what for where, what in told(document, "warn") if where == ["phi"])
    assert "@laptop-2: inv exec " in what
    assert "(thinking), since " in what


def test_who_watches_sees_a_host_go_and_come_until_ctrl_c(lab: Lab, site: Operator) -> None:
    terminal = site.at_terminal("status", "--hosts", "phi", "--watch")
    terminal.shows(f"✓ {THREE}")
    lab.host(THREE).power_off()
    terminal.shows(f"✗ {THREE}")
    lab.host(THREE).power_on()
    lab.host(THREE).wait_for_ssh()
    terminal.seen = ""
    terminal.shows(f"✓ {THREE}")
    terminal.types("\x03")
    assert terminal.ends() == 0, terminal.seen
    assert "Traceback" not in terminal.seen
