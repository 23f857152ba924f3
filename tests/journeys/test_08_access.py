"""Who can reach a shared Ollama: everything holds after a deploy, and each hole that is made is found and named.

Holes are made past the product, as somebody in a hurry would. Each test undoes its own, and all holds again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from lab.lab import Lab
from tests.journeys.conftest import Operator, Said, from_scout, kubectl

pytestmark = pytest.mark.lab

NODE = "phi-gpu-2"
SCOUTS = ("scout-preprod-1", "scout-prod-1")
STRANGER = "staging-1"
HOSTNAME = "ollama.phi.example.edu"
URL = f"https://{HOSTNAME}"
DEPLOY = "inv deploy-ollama --hosts phi"

RELAY = """
import http.server, sys, urllib.request
class Relay(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = urllib.request.urlopen(f"http://{sys.argv[1]}:11434{self.path}", timeout=10).read()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("0.0.0.0", 11434), Relay).serve_forever()
"""


@pytest.fixture(autouse=True, scope="module")
def deployed(lab: Lab) -> None:
    """Everything here happens to a cluster that serves."""
    said = Operator(lab.site).deploy()
    assert said.status == 0, said.err


@pytest.fixture(autouse=True)
def as_before(lab: Lab) -> Iterator[None]:
    """Whatever a test did and undid, all holds afterwards, once the ingress has taken it over."""
    yield
    lab.host(STRANGER).wait_for(lambda: check(Operator(lab.site)).status == 0)


def check(operator: Operator, *words: str) -> Said:
    return operator.inv("check-access", "--hosts", "phi", *words)


def rows(operator: Operator, status: int) -> list[dict[str, str]]:
    """The rows as JSON, of a check that ends with this status."""
    said = check(operator, "--json")
    assert said.status == status, said.out + said.err
    found: list[dict[str, str]] = json.loads(said.out)
    return found


def wrong(operator: Operator) -> list[dict[str, str]]:
    """What does not hold."""
    return [row for row in rows(operator, 1) if row["verdict"] != "ok"]


def assert_named(found: list[dict[str, str]], *, cause: str, next: str) -> None:
    """Each of the rows has this cause and this next command."""
    assert found
    for row in found:
        assert cause in row["cause"], row
        assert next in row["next"], row


def status_of(lab: Lab, url: str, host: str = STRANGER) -> str:
    """The status that a host gets, 000 for none."""
    asked = ("--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", "3", url)
    return from_scout(lab, *asked, host=host, check=False)


@contextmanager
def patched(lab: Lab, *what: str, patch: Mapping[str, Any], undo: Mapping[str, Any]) -> Iterator[None]:
    """One of the objects, changed by hand."""

    def apply(change: Mapping[str, Any]) -> None:
        kubectl(lab, "patch", *what, "--type=merge", f"--patch={json.dumps(change)}")

    apply(patch)
    try:
        yield
    finally:
        apply(undo)


@contextmanager
def object_too(lab: Lab, kind: str, name: str, spec: Mapping[str, Any], api: str = "v1") -> Iterator[None]:
    """One more object beside Ollama's."""
    metadata = {"name": name, "namespace": "ollama"}
    made = {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": dict(spec)}
    kubectl(lab, "create", "--filename=-", stdin=json.dumps(made))
    try:
        yield
    finally:
        kubectl(lab, "delete", "--namespace=ollama", kind.lower(), name)


# -- as it should be


def test_everything_holds_after_a_deploy(operator: Operator) -> None:
    found = rows(operator, 0)
    assert {row["verdict"] for row in found} == {"ok"}
    assert {row["host"] for row in found} == {*SCOUTS, STRANGER, "phi"}
    seen = {(row["host"], row["tried"]): row["seen"] for row in found}
    for place in ("by name", "on phi-gpu-1", "on phi-gpu-2", "on phi-gpu-3"):
        assert re.fullmatch(r"Ollama, certificate for \d+ days", seen["scout-prod-1", f"https {place}"])
        assert seen[STRANGER, f"https {place}"] == "HTTP 403"


def test_it_fits_a_terminal_and_changes_nothing(lab: Lab, operator: Operator) -> None:
    everything = (
        "get",
        "all,secrets,ingresses,middlewares.traefik.io",
        "-A",
        "-o",
        "jsonpath={.items[*].metadata.uid}",
    )
    store = ("sh", "-c", "find /var/lib/ollama | sort")
    before = kubectl(lab, *everything), lab.host(NODE).run(store).stdout
    said = check(operator)
    assert (kubectl(lab, *everything), lab.host(NODE).run(store).stdout) == before
    assert said.err == ""
    assert max(map(len, said.out.splitlines())) <= 80
    assert said.out.startswith("scout-preprod-1, scout-prod-1: uses phi\n")
    assert said.out.endswith("phi: access control holds\n")


def test_a_firewall_that_keeps_silent_holds_as_well(lab: Lab, operator: Operator) -> None:
    nodes = [lab.host(f"phi-gpu-{number}") for number in (1, 2, 3)]
    rule = f"ip saddr {lab.host(STRANGER).address} tcp dport {{ 80, 443, 11434 }} drop"
    hook = "{ type filter hook prerouting priority -300; }"
    rules = f"add table firewall\nadd chain firewall input {hook}\nadd rule firewall input {rule}\n"
    for node in nodes:
        node.run(["nft", "--file", "-"], input=rules)
    try:
        found = [row for row in rows(operator, 0) if row["host"] == STRANGER]
        assert {row["seen"] for row in found} == {"timed out"}
    finally:
        for node in nodes:
            node.run(["nft", "delete", "table", "firewall"], check=False)


# -- holes


def test_an_allow_list_that_admits_everybody(lab: Lab, operator: Operator) -> None:
    allow = ("middlewares.traefik.io", "ollama-allowed-clients", "--namespace=ollama")
    ranges = json.loads(kubectl(lab, "get", *allow, "-o", "jsonpath={.spec.ipAllowList.sourceRange}"))
    widened, before = ({"spec": {"ipAllowList": {"sourceRange": list}}} for list in (["0.0.0.0/0"], ranges))
    with patched(lab, *allow, patch=widened, undo=before):
        lab.host(STRANGER).wait_for(lambda: status_of(lab, f"{URL}/api/tags") == "200")
        found = wrong(operator)
        assert {(row["host"], row["verdict"]) for row in found} == {(STRANGER, "hole")}
        assert [row["tried"] for row in found] == ["https by name", *(f"https on phi-gpu-{n}" for n in (1, 2, 3))]
        assert_named(found, cause="also admits 0.0.0.0/0", next=DEPLOY)


def test_a_scout_that_moved_away_and_is_still_on_the_allow_list(lab: Lab, operator: Operator) -> None:
    def moved(scout: dict[str, Any]) -> None:
        scout["ollama_mode"] = "disabled"
        del scout["ollama_cluster"]

    operator.edit("scout-prod", moved)
    found = wrong(operator)
    assert {(row["host"], row["verdict"]) for row in found} == {("scout-prod-1", "hole")}
    assert_named(found, cause=f"scout-prod-1 is {lab.host('scout-prod-1').address}", next="ollama.allowed_clients")


def test_an_ingress_that_also_serves_plain_http(lab: Lab, operator: Operator) -> None:
    router = "traefik.ingress.kubernetes.io/router."
    open_too, before = (
        {"metadata": {"annotations": {f"{router}entrypoints": points, f"{router}tls": tls}}}
        for points, tls in (("web,websecure", "false"), ("websecure", "true"))
    )
    with patched(lab, "ingress", "ollama", "--namespace=ollama", patch=open_too, undo=before):
        plain = f"http://{HOSTNAME}/api/tags"
        lab.host(STRANGER).wait_for(lambda: status_of(lab, plain, "scout-prod-1") == "200")
        found = wrong(operator)
        assert {(row["host"], row["verdict"]) for row in found} == {(scout, "hole") for scout in SCOUTS}
        assert_named(found, cause="Ingress ollama/ollama also serves Traefik's entrypoint web", next=DEPLOY)


def test_a_process_that_relays_ollamas_port(lab: Lab, operator: Operator) -> None:
    node = lab.host(NODE)
    where = f'jsonpath={{.items[?(@.spec.nodeName=="{NODE}")].status.podIP}}'
    pod = kubectl(lab, "get", "pods", "--namespace=ollama", "-o", where)
    start = 'python3 -c "$1" "$2" >/dev/null 2>&1 & echo $!'
    relay = node.run(["sh", "-c", start, "relay", RELAY, pod]).stdout.strip()
    try:
        node.wait_for(lambda: status_of(lab, f"http://{node.address}:11434/api/version") == "200")
        found = wrong(operator)
        assert {(row["tried"], row["verdict"]) for row in found} == {(f"port 11434 on {NODE}", "hole")}
        assert {row["host"] for row in found} == {*SCOUTS, STRANGER}
        assert_named(found, cause="a process of the node", next="ss -ltnp")
    finally:
        node.run(["kill", relay])


def test_a_service_that_leads_past_the_ingress(lab: Lab, operator: Operator) -> None:
    labels = {"app.kubernetes.io/name": "ollama"}
    spec = {"type": "NodePort", "selector": labels, "ports": [{"port": 80, "targetPort": "http"}]}
    with object_too(lab, "Service", "quick", spec):
        (row,) = wrong(operator)
        assert (row["host"], row["verdict"], row["seen"]) == ("phi", "hole", "Service ollama/quick")
        assert_named([row], cause="without TLS", next="describe service -n ollama quick")


def test_an_ingress_for_a_path_that_changes_models(lab: Lab, operator: Operator) -> None:
    backend = {"service": {"name": "ollama", "port": {"name": "http"}}}
    path = {"path": "/api/pull", "pathType": "Exact", "backend": backend}
    spec = {"ingressClassName": "traefik", "rules": [{"host": HOSTNAME, "http": {"paths": [path]}}]}
    with object_too(lab, "Ingress", "pull", spec, api="networking.k8s.io/v1"):
        lab.host(STRANGER).wait_for(lambda: status_of(lab, f"{URL}/api/pull") != "404")
        found = wrong(operator)
        assert {row["host"] for row in found} == {*SCOUTS, STRANGER}
        assert {(row["tried"], row["seen"], row["verdict"]) for row in found} == {
            ("changing models by /api/pull", "let through (HTTP 400)", "hole")
        }
        assert_named(found, cause="Ingress ollama/pull", next="describe ingress -n ollama pull")


# -- faults


def test_an_mcp_server(lab: Lab, operator: Operator) -> None:
    labels = {"app": "trino-mcp"}
    containers = [{"name": "server", "image": "registry.example.edu/trino-mcp:1"}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    with object_too(lab, "Deployment", "tools", spec, api="apps/v1"):
        (row,) = wrong(operator)
        assert (row["tried"], row["verdict"], row["seen"]) == ("MCP servers", "fault", "Deployment ollama/tools")
        assert_named([row], cause="belong on Scout", next="describe deployment -n ollama tools")


def test_a_traefik_that_does_not_see_its_clients(lab: Lab, operator: Operator) -> None:
    hidden, seen = ({"spec": {"externalTrafficPolicy": policy}} for policy in ("Cluster", "Local"))
    with patched(lab, "service", "traefik", "--namespace=kube-system", patch=hidden, undo=seen):
        lab.host(STRANGER).wait_for(lambda: status_of(lab, f"{URL}/api/tags", "scout-prod-1") == "403")
        found = wrong(operator)
        assert {(row["host"], row["seen"], row["verdict"]) for row in found} == {
            (scout, "HTTP 403", "fault") for scout in SCOUTS
        }
        assert_named(found, cause="externalTrafficPolicy", next=DEPLOY)


def test_a_certificate_that_is_not_the_given_one(operator: Operator) -> None:
    pair = operator.authority.issue([HOSTNAME])
    pair.write(operator.site / "secrets/phi.crt", operator.site / "secrets/phi.key")
    found = wrong(operator)
    assert {(row["host"], row["seen"], row["verdict"]) for row in found} == {
        (scout, "another certificate", "fault") for scout in SCOUTS
    }
    assert_named(found, cause="secrets/phi.crt", next=DEPLOY)


def test_a_certificate_near_its_end_is_a_warning(lab: Lab, operator: Operator) -> None:
    pair = operator.authority.issue([HOSTNAME], valid=timedelta(days=20))
    pair.write(operator.site / "secrets/phi.crt", operator.site / "secrets/phi.key")
    assert operator.deploy().status == 0
    try:
        said = check(operator)
        assert said.status == 0, said.out
        assert re.search(r"warning: https by name, on 3 nodes: Ollama, certificate for 19 days", said.out)
        assert re.search(rf"^  next: renew it.*{DEPLOY}", said.out, re.MULTILINE), said.out
    finally:
        assert Operator(lab.site).deploy().status == 0


# -- what cannot be told


def test_a_scout_host_that_is_cut_off(lab: Lab, operator: Operator) -> None:
    lab.host("scout-prod-1").cut()
    try:
        found = rows(operator, 1)
    finally:
        lab.host("scout-prod-1").restore()
    (row,) = [row for row in found if row["verdict"] != "ok"]
    assert (row["host"], row["verdict"], row["seen"]) == ("scout-prod-1", "could not tell", "does not answer")
    assert_named([row], cause="no answer from", next="ping")
    assert {row["host"] for row in found if row["verdict"] == "ok"} == {"scout-preprod-1", STRANGER, "phi"}


def test_a_cluster_of_which_no_server_answers_is_tried_all_the_same(lab: Lab, operator: Operator) -> None:
    operator.edit("phi", lambda phi: [host.update(ssh={"port": 9}) for host in phi["hosts"].values()])
    found = wrong(operator)
    assert [(row["host"], row["tried"], row["verdict"]) for row in found] == [("phi", "its objects", "could not tell")]
    assert lab.host(NODE).name in found[0]["cause"]
