"""Whether access control holds, judged from what hosts saw and what a cluster's objects say; nothing is asked here."""

from __future__ import annotations

import io
import json
import os
import subprocess
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lab.certificates import Authority
from scout_ollama import selection
from scout_ollama.access.answer import parsed
from scout_ollama.access.command import try_access
from scout_ollama.access.exposure import Exposure
from scout_ollama.access.judging import CHANGING, Judge, unreachable
from scout_ollama.access.matrix import Matrix
from scout_ollama.access.row import Row
from scout_ollama.certificates import expiry_of
from scout_ollama.errors import Trouble
from scout_ollama.facts import ABSENT, Section, Sections, facts_script, parse_sections
from scout_ollama.inventory import Host, Ollama, OllamaCluster, ScoutCluster, Site
from scout_ollama.manifests import EXPOSED_PATHS, KubeObject, ollama_objects
from scout_ollama.remote import RecordingRemote
from tests.samples import site_with_certificate

ROOT = Path(__file__).parent.parent
NODES = {"192.0.2.11": "phi-gpu-1", "192.0.2.12": "phi-gpu-2", "192.0.2.13": "phi-gpu-3"}
PLACES = ("", *(f"@{address}" for address in NODES))
VERSION = '{"version":"0.24.0"}'
DEPLOY = "inv deploy-ollama --hosts phi"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The shipped site, with a certificate for its endpoint."""
    return site_with_certificate(tmp_path_factory.mktemp("site") / "hosts")


@pytest.fixture(scope="module")
def phi(site: Site) -> OllamaCluster:
    cluster = site.clusters["phi"]
    assert isinstance(cluster, OllamaCluster)
    return cluster


@pytest.fixture(scope="module")
def scout(site: Site) -> Host:
    return site.clusters["scout-prod"].hosts["scout-prod-1"]


@pytest.fixture(scope="module")
def stranger(site: Site) -> Host:
    return site.clusters["staging"].hosts["staging-1"]


def answer(status: int, body: str = "", kind: str = "text/plain; charset=utf-8") -> Section:
    """What an HTTP answer looks like in the script's output."""
    return Section(0, f"{body}\nanswer {status} 0.001234 {kind}")


def no_answer(curl: int, connected: str = "0.000000") -> Section:
    return Section(curl, f"\nanswer 000 {connected} \ncurl: ({curl}) why")


OLLAMA = answer(200, VERSION, "application/json; charset=utf-8")
FORBIDDEN, NOT_FOUND = answer(403, "Forbidden"), answer(404, "404 page not found\n")
REFUSED, SILENT = no_answer(7), no_answer(28)


def closed() -> Sections:
    """What any host sees of what is to be closed to everybody."""
    return Sections(
        {f"http{place}": NOT_FOUND for place in PLACES}
        | {f"port@{address}": REFUSED for address in NODES}
        | dict.fromkeys(CHANGING, NOT_FOUND)
    )


def as_stranger(**changed: Section) -> Sections:
    """What a host without business there sees when all is well, but for what a test changes."""
    return Sections({**closed(), **{f"https{place}": FORBIDDEN for place in PLACES}, **changed})


def as_scout(phi: OllamaCluster, **changed: Section) -> Sections:
    """The same for a host of a Scout that uses the cluster."""
    certificate = Section(0, phi.ollama.tls.certificate.read_text())
    open_to_it = {f"https{place}": OLLAMA for place in PLACES}
    open_to_it |= {f"certificate{place}": certificate for place in PLACES}
    open_to_it |= {f"version{place}": Section(0, VERSION) for place in PLACES[1:]} | {"tags": Section(0, "{}")}
    return Sections({**closed(), **open_to_it, **changed})


def judge(phi: OllamaCluster, *objects: KubeObject, days: float = 89.5) -> Judge:
    """A judge so many days before the certificate's end."""
    expiry = expiry_of(phi.ollama.tls.certificate.read_text())
    assert expiry
    return Judge(phi, NODES, Exposure(objects), expiry - timedelta(days=days))


def wrong(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row.verdict != "ok"]


def only(rows: list[Row]) -> Row:
    (row,) = wrong(rows)
    return row


def deployed(site: Site, phi: OllamaCluster) -> list[KubeObject]:
    """The cluster's objects after a deploy: ours, Traefik's Service and a pod."""
    container = {"image": "docker.io/ollama/ollama:0.24.0", "ports": [{"containerPort": 11434}]}
    pod = obj("Pod", named("ollama-1", **SELECTOR), {"containers": [container]})
    pod["metadata"]["ownerReferences"] = [{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "ollama"}]
    return [*ollama_objects(site, phi), traefik("Local"), pod]


def traefik(policy: str) -> KubeObject:
    spec = {"type": "LoadBalancer", "externalTrafficPolicy": policy, "ports": [{"port": 80}, {"port": 443}]}
    return obj("Service", {"name": "traefik", "namespace": "kube-system"}, {**spec, "selector": {"app": "traefik"}})


def named(name: str, **labels: str) -> dict[str, Any]:
    return {"name": name, "namespace": "ollama", "labels": labels}


def obj(kind: str, metadata: dict[str, Any], spec: dict[str, Any], api: str = "v1") -> KubeObject:
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


def changed(objects: list[KubeObject], kind: str, change: Any) -> list[KubeObject]:
    """The objects, ours of one kind changed."""
    copies: list[KubeObject] = json.loads(json.dumps(objects))
    for copy in copies:
        if copy["kind"] == kind and copy["metadata"]["namespace"] == "ollama":
            change(copy)
    return copies


# -- one answer


@pytest.mark.parametrize(
    ("section", "outcome", "seen"),
    [
        (OLLAMA, "answered", "Ollama answers (HTTP 200)"),
        (answer(200, "It works!"), "answered", "HTTP 200"),
        (answer(200, '{"version": 3}'), "answered", "HTTP 200"),
        (FORBIDDEN, "answered", "HTTP 403"),
        (REFUSED, "refused", "no connection"),
        (SILENT, "silent", "timed out"),
        (no_answer(28, "0.000345"), "hung", "connected, but no answer"),
        (no_answer(52, "0.000345"), "closed", "connection closed"),
        (no_answer(49), "failed", "curl failed (49)"),
        (no_answer(6), "unresolved", "the name does not resolve"),
        (Section(127, "sh: 1: curl: not found"), "untried", "not tried: curl is not installed"),
        (ABSENT, "untried", "not tried"),
    ],
)
def test_what_curl_said_is_told_in_words(section: Section, outcome: str, seen: str) -> None:
    told = parsed(section)
    assert (told.outcome, told.seen) == (outcome, seen)


def test_a_body_cannot_pass_for_the_answer() -> None:
    assert parsed(answer(403, "answer 200 0.1 application/json")).status == 403


# -- a Scout that uses the cluster


def test_a_scout_for_which_everything_holds(phi: OllamaCluster, scout: Host) -> None:
    rows = list(judge(phi).of_scout(scout, as_scout(phi)))
    assert wrong(rows) == []
    assert [row for row in rows if row.cause] == []
    assert [row.tried for row in rows] == ["https"] * 4 + ["http"] * 4 + ["changing models by"] * 6 + ["port 11434"] * 3
    assert {row.seen for row in rows if row.tried == "https"} == {"Ollama, certificate for 89 days"}


@pytest.mark.parametrize(("days", "warned"), [(31, False), (29, True)])
def test_a_certificate_that_ends_soon_is_a_warning(phi: OllamaCluster, scout: Host, days: int, warned: bool) -> None:
    rows = list(judge(phi, days=days).of_scout(scout, as_scout(phi)))
    assert wrong(rows) == []
    assert {bool(row.cause) for row in rows if row.tried == "https"} == {warned}


def test_a_certificate_that_has_ended_is_a_fault(phi: OllamaCluster, scout: Host) -> None:
    seen = as_scout(phi, tags=Section(60, "curl: (60) SSL certificate problem: certificate has expired"))
    rows = wrong(list(judge(phi, days=-1).of_scout(scout, seen)))
    assert {(row.seen, row.verdict) for row in rows} == {("certificate has expired", "fault")}
    assert DEPLOY in rows[0].next


def test_another_certificate_on_one_node_is_a_fault_there(phi: OllamaCluster, scout: Host, tmp_path: Path) -> None:
    other = Authority.create(tmp_path).issue(["ollama.phi.example.edu"]).certificate.decode()
    row = only(list(judge(phi).of_scout(scout, as_scout(phi, **{"certificate@192.0.2.12": Section(0, other)}))))
    assert (row.where, row.seen, row.verdict) == ("on phi-gpu-2", "another certificate", "fault")
    assert "Traefik serves its own default" in row.cause


def test_a_certificate_that_the_authority_does_not_verify_is_a_fault(phi: OllamaCluster, scout: Host) -> None:
    refused = Section(60, "curl: (60) SSL certificate problem: unable to get local issuer certificate")
    row = only(list(judge(phi).of_scout(scout, as_scout(phi, tags=refused))))
    assert (row.where, row.seen, row.verdict) == ("by name", "certificate not verified", "fault")
    assert "unable to get local issuer" in row.cause


def test_an_endpoint_that_answers_once_and_then_not_is_no_matter_of_its_certificate(
    phi: OllamaCluster, scout: Host
) -> None:
    late = Section(28, "curl: (28) Operation timed out after 20001 milliseconds with 0 bytes received")
    row = only(list(judge(phi).of_scout(scout, as_scout(phi, **{"version@192.0.2.12": late}))))
    assert (row.where, row.seen, row.verdict) == ("on phi-gpu-2", "Ollama, not every time", "fault")
    assert "timed out" in row.cause


@pytest.mark.parametrize(
    ("section", "cause"),
    [
        (REFUSED, "a firewall is between"),
        (SILENT, "a firewall is between"),
        (no_answer(6), "knows no address"),
        (NOT_FOUND, "no route"),
        (answer(503, "no available server\n"), "no Ollama is ready"),
        (answer(200, "It works!"), "something else serves the name"),
    ],
)
def test_an_endpoint_that_a_scout_does_not_get_is_a_fault_with_its_cause(
    phi: OllamaCluster, scout: Host, section: Section, cause: str
) -> None:
    row = only(list(judge(phi).of_scout(scout, as_scout(phi, https=section))))
    assert (row.tried, row.where, row.verdict) == ("https", "by name", "fault")
    assert cause in row.cause
    assert row.next


def test_a_scout_that_the_inventory_does_not_admit_is_told_so(phi: OllamaCluster, scout: Host) -> None:
    shut = as_scout(phi, **{f"https{place}": FORBIDDEN for place in PLACES})
    rows = wrong(list(judge(admitting(phi, "198.51.100.0/24")).of_scout(scout, shut)))
    assert {(row.verdict, row.cause) for row in rows} == {("fault", "ollama.allowed_clients does not admit 192.0.2.33")}


def test_a_scout_that_the_live_allow_list_lacks_is_told_so(site: Site, phi: OllamaCluster, scout: Host) -> None:
    def narrow(middleware: KubeObject) -> None:
        middleware["spec"]["ipAllowList"]["sourceRange"] = ["192.0.2.99/32"]

    live = changed(deployed(site, phi), "Middleware", narrow)
    row = only(list(judge(phi, *live).of_scout(scout, as_scout(phi, https=FORBIDDEN))))
    assert row.cause == "the allow-list of Ingress ollama/ollama lacks 192.0.2.32/28"
    assert row.next == DEPLOY


def test_a_scout_without_curl_cannot_tell(phi: OllamaCluster, scout: Host) -> None:
    missing = Section(127, "sh: 1: curl: not found")
    names = [name for name in as_scout(phi) if not name.startswith("certificate")]
    rows = list(judge(phi).of_scout(scout, as_scout(phi, **dict.fromkeys(names, missing))))
    assert {row.verdict for row in rows} == {"could not tell"}
    assert "install -y curl" in rows[0].next


# -- a host that has no business there


@pytest.mark.parametrize("section", [FORBIDDEN, NOT_FOUND, REFUSED, SILENT, no_answer(35, "0.001"), no_answer(6)])
def test_a_stranger_who_gets_nothing(phi: OllamaCluster, stranger: Host, section: Section) -> None:
    seen = as_stranger(**{f"https{place}": section for place in PLACES}, **dict.fromkeys(CHANGING, section))
    assert wrong(list(judge(phi).of_stranger(stranger, seen))) == []


def test_a_stranger_to_whom_a_firewall_keeps_silent(phi: OllamaCluster, stranger: Host) -> None:
    rows = list(judge(phi).of_stranger(stranger, Sections(dict.fromkeys(as_stranger(), SILENT))))
    assert {(row.seen, row.verdict) for row in rows} == {("timed out", "ok")}


@pytest.mark.parametrize("section", [OLLAMA, answer(502, "Bad Gateway"), answer(503, "no available server\n")])
def test_a_stranger_who_is_let_through_is_a_hole_also_when_no_ollama_is_there(
    phi: OllamaCluster, stranger: Host, section: Section
) -> None:
    row = only(list(judge(phi).of_stranger(stranger, as_stranger(**{"https@192.0.2.12": section}))))
    assert (row.where, row.verdict) == ("on phi-gpu-2", "hole")


NO_PROOF = [answer(200, "It works!"), answer(500), no_answer(28, "0.001"), no_answer(49), ABSENT]


@pytest.mark.parametrize("section", NO_PROOF)
def test_what_is_neither_an_answer_nor_a_refusal_is_not_taken_for_a_proof(
    phi: OllamaCluster, stranger: Host, section: Section
) -> None:
    row = only(list(judge(phi).of_stranger(stranger, as_stranger(https=section))))
    assert (row.where, row.verdict) == ("by name", "could not tell")
    assert row.next


def admitting(phi: OllamaCluster, *networks: str) -> OllamaCluster:
    ollama = phi.ollama.model_copy(update={"allowed_clients": [ip_network(network) for network in networks]})
    return phi.model_copy(update={"ollama": ollama})


def cause_of_open(phi: OllamaCluster, stranger: Host, objects: list[KubeObject]) -> Row:
    return only(list(judge(phi, *objects).of_stranger(stranger, as_stranger(https=OLLAMA))))


def test_the_cause_is_an_allow_list_that_is_wider_than_the_inventory(
    site: Site, phi: OllamaCluster, stranger: Host
) -> None:
    def widen(middleware: KubeObject) -> None:
        middleware["spec"]["ipAllowList"]["sourceRange"].append("0.0.0.0/0")

    row = cause_of_open(phi, stranger, changed(deployed(site, phi), "Middleware", widen))
    assert "Ingress ollama/ollama also admits 0.0.0.0/0" in row.cause
    assert "firewall" in row.cause
    assert row.next == DEPLOY


def test_the_cause_is_an_ingress_without_the_allow_list(site: Site, phi: OllamaCluster, stranger: Host) -> None:
    def forget(ingress: KubeObject) -> None:
        del ingress["metadata"]["annotations"]["traefik.ingress.kubernetes.io/router.middlewares"]

    row = cause_of_open(phi, stranger, changed(deployed(site, phi), "Ingress", forget))
    assert "Ingress ollama/ollama has no allow-list" in row.cause
    assert row.next == DEPLOY


def test_the_cause_is_an_ingress_of_somebody_else(site: Site, phi: OllamaCluster, stranger: Host) -> None:
    backend = {"service": {"name": "ollama", "port": {"number": 11434}}}
    other = obj(
        "Ingress", {"name": "quick", "namespace": "ollama"}, {"defaultBackend": backend}, "networking.k8s.io/v1"
    )
    row = cause_of_open(phi, stranger, [*deployed(site, phi), other])
    assert "Ingress ollama/quick has no allow-list" in row.cause
    assert "describe ingress -n ollama quick" in row.next


def test_the_cause_is_the_inventory_itself(site: Site, phi: OllamaCluster, stranger: Host) -> None:
    wide = admitting(phi, "0.0.0.0/0")
    row = cause_of_open(wide, stranger, deployed(site, wide))
    assert "ollama.allowed_clients admits 0.0.0.0/0, and staging-1 is 203.0.113.11" in row.cause
    assert row.next == "edit phi.yaml: ollama.allowed_clients"


def test_the_cause_is_a_traefik_that_sees_nodes(site: Site, phi: OllamaCluster, stranger: Host) -> None:
    objects = [
        traefik("Cluster") if o["metadata"]["name"] == "traefik" and o["kind"] == "Service" else o
        for o in deployed(site, phi)
    ]
    row = cause_of_open(phi, stranger, objects)
    assert "externalTrafficPolicy Local" in row.cause
    assert row.next == DEPLOY


def test_when_the_objects_are_right_the_cause_is_the_network(site: Site, phi: OllamaCluster, stranger: Host) -> None:
    assert "NAT" in cause_of_open(phi, stranger, deployed(site, phi)).cause


# -- what is closed to everybody


@pytest.mark.parametrize("section", [NOT_FOUND, REFUSED, SILENT, answer(308), answer(200, "It works!")])
def test_port_80_may_do_anything_but_lead_to_ollama(phi: OllamaCluster, scout: Host, section: Section) -> None:
    assert wrong(list(judge(phi).of_scout(scout, as_scout(phi, http=section)))) == []


def test_ollama_without_tls_is_a_hole(site: Site, phi: OllamaCluster, scout: Host) -> None:
    def both(ingress: KubeObject) -> None:
        ingress["metadata"]["annotations"]["traefik.ingress.kubernetes.io/router.entrypoints"] = "web, websecure"

    objects = changed(deployed(site, phi), "Ingress", both)
    row = only(list(judge(phi, *objects).of_scout(scout, as_scout(phi, http=OLLAMA))))
    assert (row.tried, row.where, row.verdict) == ("http", "by name", "hole")
    assert (row.cause, row.next) == ("Ingress ollama/ollama also serves Traefik's entrypoint web", DEPLOY)


def test_ollama_on_its_own_port_is_a_hole_of_that_node(phi: OllamaCluster, stranger: Host) -> None:
    row = only(list(judge(phi).of_stranger(stranger, as_stranger(**{"port@192.0.2.12": OLLAMA}))))
    assert (row.where, row.verdict) == ("on phi-gpu-2", "hole")
    assert "192.0.2.12" in row.next
    assert "ss -ltnp" in row.next


@pytest.mark.parametrize("section", [no_answer(28, "0.001"), no_answer(52, "0.001"), answer(404), answer(200, "hi")])
def test_whoever_accepts_connections_on_that_port_is_no_proof(
    phi: OllamaCluster, stranger: Host, section: Section
) -> None:
    row = only(list(judge(phi).of_stranger(stranger, as_stranger(**{"port@192.0.2.12": section}))))
    assert (row.where, row.verdict) == ("on phi-gpu-2", "could not tell")


@pytest.mark.parametrize("status", [200, 307, 400, 500, 503])
def test_a_path_that_changes_models_and_is_let_through_is_a_hole(phi: OllamaCluster, scout: Host, status: int) -> None:
    row = only(list(judge(phi).of_scout(scout, as_scout(phi, pull=answer(status, "", "application/json")))))
    assert (row.where, row.seen, row.verdict) == ("/api/pull", f"let through (HTTP {status})", "hole")


def test_ollamas_own_not_found_is_not_taken_for_the_ingresss(phi: OllamaCluster, scout: Host) -> None:
    """Ollama says 404 in JSON of a blob that it lacks, the ingress in text of a path that it does not know."""
    own = answer(404, "", "application/json; charset=utf-8")
    assert only(list(judge(phi).of_scout(scout, as_scout(phi, blobs=own)))).where == "/api/blobs"


@pytest.mark.parametrize("name", ["http", "port@192.0.2.12", "pull"])
@pytest.mark.parametrize("section", [no_answer(28, "0.001"), no_answer(49), ABSENT])
def test_a_try_that_failed_is_not_taken_for_a_refusal(
    phi: OllamaCluster, stranger: Host, name: str, section: Section
) -> None:
    assert only(list(judge(phi).of_stranger(stranger, as_stranger(**{name: section})))).verdict == "could not tell"


def test_a_scout_that_gets_no_connection_cannot_tell_what_is_refused(phi: OllamaCluster, scout: Host) -> None:
    row = only(list(judge(phi).of_scout(scout, as_scout(phi, pull=REFUSED))))
    assert (row.where, row.verdict) == ("/api/pull", "could not tell")


@pytest.mark.parametrize("name", CHANGING)
def test_no_path_that_changes_models_is_among_the_exposed(name: str) -> None:
    assert not any(
        f"/api/{name}" == path if kind == "Exact" else f"/api/{name}".startswith(path) for kind, path in EXPOSED_PATHS
    )


# -- the cluster's objects


def test_what_a_deploy_makes_is_not_a_way_past_the_ingress(site: Site, phi: OllamaCluster) -> None:
    rows = list(judge(phi, *deployed(site, phi)).of_cluster())
    assert [(row.tried, row.verdict) for row in rows] == [("ways past the ingress", "ok"), ("MCP servers", "ok")]


SELECTOR = {"app.kubernetes.io/name": "ollama"}
RELAY = {"image": "alpine/socat", "ports": [{"containerPort": 80, "hostPort": 11434}]}


@pytest.mark.parametrize(
    ("added", "seen"),
    [
        (
            obj("Service", named("a"), {"type": "NodePort", "selector": SELECTOR, "ports": [{"port": 80}]}),
            "Service ollama/a",
        ),
        (
            obj("Service", named("a"), {"type": "LoadBalancer", "ports": [{"port": 80, "targetPort": 11434}]}),
            "Service ollama/a",
        ),
        (obj("Service", named("a"), {"externalIPs": ["192.0.2.11"], "ports": [{"port": 11434}]}), "Service ollama/a"),
        (
            obj("Pod", named("a"), {"hostNetwork": True, "containers": [{"image": "ollama/ollama:0.24.0"}]}),
            "Pod ollama/a",
        ),
        (obj("Pod", named("a"), {"containers": [RELAY]}), "Pod ollama/a"),
    ],
)
def test_a_way_past_the_ingress_is_named(site: Site, phi: OllamaCluster, added: KubeObject, seen: str) -> None:
    row = only(list(judge(phi, *deployed(site, phi), added).of_cluster()))
    assert (row.seen, row.verdict) == (seen, "hole")
    open_port = only(
        list(judge(phi, *deployed(site, phi), added).of_stranger(SOMEBODY, as_stranger(**{"port@192.0.2.11": OLLAMA})))
    )
    assert seen in open_port.cause


SOMEBODY = Host(name="staging-1", cluster="staging", address="203.0.113.11", roles=frozenset({"server"}))


@pytest.mark.parametrize(
    "added",
    [
        obj("Service", named("a"), {"type": "NodePort", "selector": {"app": "grafana"}, "ports": [{"port": 80}]}),
        obj("Service", named("a"), {"type": "ClusterIP", "selector": SELECTOR, "ports": [{"port": 11434}]}),
        obj("Pod", named("a"), {"hostNetwork": True, "containers": [{"image": "nvcr.io/nvidia/k8s/dcgm-exporter:4"}]}),
    ],
)
def test_what_does_not_expose_ollama_is_left_in_peace(site: Site, phi: OllamaCluster, added: KubeObject) -> None:
    assert wrong(list(judge(phi, *deployed(site, phi), added).of_cluster())) == []


@pytest.mark.parametrize(
    ("name", "image", "found"),
    [
        ("trino-mcp", "registry.example.edu/tools:1", True),
        ("tools", "ghcr.io/tuannvm/mcp-trino:1", True),
        ("tools", "ghcr.io/open-webui/mcpo:main", True),
        ("MCP", "x", True),
        ("mcpherson", "x", False),
        ("tools", "registry.example.edu/armcpu:1", False),
    ],
)
def test_an_mcp_server_is_known_by_its_name_or_its_image(
    phi: OllamaCluster, name: str, image: str, found: bool
) -> None:
    added = obj("Deployment", named(name), {"template": {"spec": {"containers": [{"image": image}]}}}, "apps/v1")
    assert bool(wrong(list(judge(phi, added).of_cluster()))) is found


def test_an_mcp_server_is_known_by_a_label_and_named_once(phi: OllamaCluster) -> None:
    spec: dict[str, Any] = {"template": {"metadata": {"labels": {"app": "mcp"}}, "spec": {"containers": []}}}
    pod = obj("Pod", named("tools-5d9-x2x", app="mcp"), {"containers": []})
    pod["metadata"]["ownerReferences"] = [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "tools-5d9"}]
    row = only(list(judge(phi, obj("Deployment", named("tools"), spec, "apps/v1"), pod).of_cluster()))
    assert (row.seen, row.verdict) == ("Deployment ollama/tools", "fault")


# -- the matrix


def test_a_row_for_a_program_is_in_one_piece() -> None:
    row = Row("staging-1", "https", "on phi-gpu-1", "refused", "HTTP 403", "ok")
    assert row.as_json() == {
        "host": "staging-1",
        "tried": "https on phi-gpu-1",
        "expected": "refused",
        "seen": "HTTP 403",
        "verdict": "ok",
        "cause": "",
        "next": "",
    }


def printed(matrix: Matrix, width: int = 80) -> list[str]:
    screen = io.StringIO()
    Console(file=screen, width=width).print(matrix.table())
    return [" ".join(line.split()) for line in screen.getvalue().splitlines()]


def test_hosts_that_saw_the_same_are_one_block_and_nodes_one_line(phi: OllamaCluster, scout: Host) -> None:
    other = scout.model_copy(update={"name": "scout-prod-2"})
    rows = [row for host in (scout, other) for row in judge(phi).of_scout(host, as_scout(phi))]
    matrix = Matrix(rows, {host.name: "uses phi" for host in (scout, other)}, len(NODES))
    lines = printed(matrix, width=120)
    assert lines[0] == "scout-prod-1, scout-prod-2: uses phi"
    assert lines[1] == "https by name, on 3 nodes verified TLS Ollama, certificate for 89 days ok"
    assert matrix.holds
    assert str(matrix.problems("phi")) == "phi: access control holds"


def test_a_node_that_differs_has_a_line_of_its_own(phi: OllamaCluster, stranger: Host) -> None:
    rows = list(judge(phi).of_stranger(stranger, as_stranger(**{"https@192.0.2.12": OLLAMA})))
    lines = printed(Matrix(rows, {}, len(NODES)), width=120)
    assert lines[1:3] == [
        "https by name, on phi-gpu-1, phi-gpu-3 refused HTTP 403 ok",
        "https on phi-gpu-2 refused Ollama answers (HTTP 200) hole",
    ]


def test_holes_are_told_first_and_warnings_last(phi: OllamaCluster, scout: Host, stranger: Host) -> None:
    rows = [*judge(phi, days=9).of_scout(scout, as_scout(phi, https=REFUSED))]
    rows += judge(phi).of_stranger(stranger, as_stranger(**{"port@192.0.2.12": OLLAMA}))
    told = str(Matrix(rows, {}, len(NODES)).problems("phi"))
    order = ["staging-1: hole: ", "scout-prod-1: fault: ", "scout-prod-1: warning: ", "phi: access control has holes"]
    assert sorted(order, key=told.index) == order


def test_it_fits_80_columns_and_no_command_is_broken(phi: OllamaCluster, stranger: Host) -> None:
    rows = list(judge(phi).of_stranger(stranger, as_stranger(**{"port@192.0.2.12": OLLAMA})))
    matrix = Matrix(rows, {}, len(NODES))
    screen = io.StringIO()
    Console(file=screen, width=80).print(matrix.table())
    assert max(map(len, screen.getvalue().splitlines())) <= 80
    told = str(matrix.problems("phi")).splitlines()
    assert told[0] == "staging-1: hole: port 11434 on phi-gpu-2: Ollama answers (HTTP 200), expected: no connection"
    assert told[-2].startswith("  next: ssh ")
    assert told[-1] == "phi: access control has holes; when mended: inv check-access --hosts phi"


def test_what_a_host_says_cannot_drive_the_terminal() -> None:
    row = unreachable("staging-1", "every way", Trouble("says \x1b[2J", why="\x1b]0;x\x07", next="ping"))
    matrix = Matrix([row], {}, 1)
    assert "\x1b" not in "".join(printed(matrix)) + str(matrix.problems("phi"))


# -- asking


@pytest.mark.parametrize("as_scout", [True, False])
def test_a_host_is_asked_by_one_script_that_only_reads(phi: OllamaCluster, scout: Host, as_scout: bool) -> None:
    remote = RecordingRemote(scout)
    try_access(remote, phi, list(NODES), as_scout=as_scout)
    (call,) = remote.calls
    assert (call.kind, call.script, call.sudo) == ("read", "try-access", False)
    assert call.args == ("ollama.phi.example.edu", *NODES)
    assert call.stdin.startswith(b"-----BEGIN CERTIFICATE-----")


@pytest.fixture
def curl(tmp_path: Path) -> Path:
    """A command ``curl`` that writes down how it was called, a line each time, and gets no connection."""
    command = tmp_path / "curl"
    command.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >>{tmp_path}/asked\necho "curl: (7) refused" >&2\nexit 7\n')
    command.chmod(0o755)
    return tmp_path / "asked"


def run(curl: Path, *scripts: str) -> Sections:
    text = facts_script("together", "endpoint", *scripts).text
    environment = {**os.environ, "PATH": f"{curl.parent}:{os.environ['PATH']}"}
    argv = ["sh", "-c", text, "try-access", "ollama.phi.example.edu", *NODES]
    done = subprocess.run(argv, input="", capture_output=True, env=environment, text=True, check=True)
    assert done.stderr == ""
    return parse_sections(done.stdout)


def test_the_script_reports_each_try_in_order(curl: Path, phi: OllamaCluster, stranger: Host) -> None:
    sections = run(curl, "try-access")
    assert set(sections) == set(as_stranger())
    assert sections["pull"] == Section(7, "curl: (7) refused")
    assert wrong(list(judge(phi).of_stranger(stranger, sections))) == []


def test_no_try_names_a_model_or_brings_a_blob(curl: Path) -> None:
    run(curl, "try-access")
    calls = curl.read_text().splitlines()
    to = {name: next(call for call in calls if f"/api/{name}" in call) for name in CHANGING}
    assert all("--data {} " in to[name] for name in CHANGING if name != "blobs")
    assert "--head " in to["blobs"]
    assert all("/api/version" in call for call in calls if call not in to.values())


def test_a_scout_also_asks_for_what_it_is_to_get(curl: Path, phi: OllamaCluster) -> None:
    assert set(as_scout(phi)) <= set(run(curl, "ask-endpoint", "try-access"))


# -- who is checked


def test_a_shared_cluster_is_checked_as_a_whole(site: Site) -> None:
    assert [cluster.name for cluster in selection.shared_clusters(site, "ollama", "check-access")] == ["nonphi", "phi"]
    with pytest.raises(Trouble) as refused:
        selection.shared_clusters(site, "phi:gpu-1", "check-access")
    assert refused.value.next == "inv check-access --hosts phi"


@pytest.mark.parametrize(
    ("selector", "why", "next"),
    [
        ("scout-prod", "scout-prod uses the Ollama of phi", "inv check-access --hosts phi"),
        ("staging", "only a shared Ollama has one", "inv list-hosts --hosts ollama"),
    ],
)
def test_what_has_no_endpoint_is_refused_with_what_has(site: Site, selector: str, why: str, next: str) -> None:
    with pytest.raises(Trouble) as refused:
        selection.shared_clusters(site, selector, "check-access")
    assert (refused.value.why, refused.value.next) == (why, next)


def test_a_scout_with_an_ollama_of_its_own_has_no_endpoint(site: Site) -> None:
    scout = site.clusters["scout-dev"]
    assert isinstance(scout, ScoutCluster)
    own = scout.model_copy(update={"ollama_mode": "deploy", "ollama": Ollama()})
    with pytest.raises(Trouble) as refused:
        selection.shared_clusters(Site(site.root, {**site.clusters, "scout-dev": own}), "scout-dev", "check-access")
    assert refused.value.why == "the Ollama of scout-dev is reached inside its cluster only"
