"""The end of a deploy: who is awaited, who is asked, and what is told about the rest; hosts answer from a script."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from scout_ollama import asking, manifests, proving, rollout, watching
from scout_ollama.errors import Trouble
from scout_ollama.facts import ClusterFacts
from scout_ollama.fleet import Fleet
from scout_ollama.inventory import OllamaCluster, ScoutCluster, Site
from scout_ollama.job import Job, NoServerLeft
from scout_ollama.manifests import KubeObject
from scout_ollama.proposal import Proved
from scout_ollama.remote import Call, RecordingRemote, RemoteError
from scout_ollama.survey import Survey
from tests.samples import host_facts, site_with_certificate

ROOT = Path(__file__).parent.parent
GPU_HOSTS = ["phi-gpu-1", "phi-gpu-2", "phi-gpu-3"]
URL = "https://ollama.phi.example.edu"
OWNER = [{"kind": "DaemonSet", "name": "ollama", "uid": "ds"}]
FOUND = 'level=INFO source=types.go:42 msg="inference compute" id=GPU-1 library=CUDA compute=9.0 name=CUDA0\n'
PROCESSOR = 'level=INFO source=types.go:60 msg="inference compute" id=cpu library=cpu compute="" name=cpu\n'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The shipped site, with a certificate for its endpoint."""
    return site_with_certificate(tmp_path_factory.mktemp("site") / "hosts")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for: what is not there at the second look is not coming."""
    monkeypatch.setattr(proving, "ENDPOINT_SECONDS", 0)
    monkeypatch.setattr(proving, "POLL_SECONDS", 0)
    monkeypatch.setattr(watching, "UNANSWERED_SECONDS", 0)
    monkeypatch.setattr(rollout, "STUCK_SECONDS", 0)
    monkeypatch.setattr(proving, "watch", functools.partial(watching.watch, poll_seconds=0))


def phi(site: Site) -> OllamaCluster:
    cluster = site.clusters["phi"]
    assert isinstance(cluster, OllamaCluster)
    return cluster


def site_with(site: Site, *clusters: OllamaCluster | ScoutCluster) -> Site:
    """The site with some of its clusters replaced."""
    return Site(site.root, {**site.clusters, **{cluster.name: cluster for cluster in clusters}})


def admitting(site: Site, *networks: str) -> Site:
    """The site, its shared cluster with another allow-list."""
    cluster = phi(site)
    ollama = cluster.ollama.model_copy(update={"allowed_clients": [ip_network(network) for network in networks]})
    return site_with(site, cluster.model_copy(update={"ollama": ollama}))


def daemonset() -> list[KubeObject]:
    labels = {"controller-revision-hash": "new"}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "ollama", "uid": "ds", "generation": 1},
            "spec": {"template": {"spec": {}}},
            "status": {"observedGeneration": 1},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {"name": "ollama-new", "labels": labels, "ownerReferences": OWNER},
            "revision": 1,
        },
    ]


def pod(node: str, **status: Any) -> KubeObject:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": "ollama",
            "name": f"ollama-on-{node}",
            "labels": {"controller-revision-hash": "new"},
            "ownerReferences": OWNER,
            "creationTimestamp": "2026-01-02T00:00:00Z",
        },
        "spec": {"nodeName": node},
        "status": status or {"podIP": f"10.42.0.{node[-1]}", "conditions": [{"type": "Ready", "status": "True"}]},
    }


def said(**sections: str) -> str:
    """The output of a facts script: its sections, each a success."""
    return "".join(
        f"{name} 0\n" + "".join(f"  {line}\n" for line in text.splitlines()) for name, text in sections.items()
    )


def hosts_of(proved: Proved) -> list[str]:
    """The hosts of which something was proved, in order."""
    return list(dict.fromkeys(host for host, _ in proved.lines))


@dataclass
class Hosts:
    """What the hosts of a site say. ``down`` hosts cannot be reached; ``says`` overrides a script's answer."""

    site: Site
    cluster: OllamaCluster | ScoutCluster
    pods: list[KubeObject] = field(default_factory=lambda: [pod(name) for name in GPU_HOSTS])
    events: list[KubeObject] = field(default_factory=list)
    down: set[str] = field(default_factory=set)
    says: dict[str, Callable[[str], str]] = field(default_factory=dict)
    calls: list[tuple[str, Call]] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)
    gpus: int = 1

    def asked(self, script: str) -> list[str]:
        """The hosts that were asked by a script, in order."""
        return [host for host, call in self.calls if call.script == script]

    def prove(self, troubles: dict[str, Trouble] | None = None) -> Proved:
        facts = {name: host_facts() for name in self.cluster.hosts}
        survey = Survey(facts, ClusterFacts(nodes=(), live={}, would_be={}, owned={}), {})
        with Fleet(
            self.site, lambda _, host: RecordingRemote(host, functools.partial(self._answer, host.name))
        ) as fleet:
            job = Job(self.site, self.cluster, fleet, lambda host, line: self.told.append((host, line)))
            wanted = manifests.ollama_objects(self.site, self.cluster)
            return proving.prove(job, wanted, survey, troubles or {})

    def _answer(self, host: str, call: Call) -> str:
        if host in self.down:
            raise RemoteError("does not answer", host=host)
        self.calls.append((host, call))
        answers: dict[str, Callable[[str], str]] = {
            "rollout-state": self._rollout_state,
            "pod-logs": self._pod_logs,
            "ask-pod": self._ask_pod,
            "ask-endpoint": self._ask_endpoint,
            "log-heads": self._log_heads,
        }
        return {**answers, **self.says}[call.script](host)

    def _rollout_state(self, _: str) -> str:
        return json.dumps({"kind": "List", "items": [*daemonset(), *self.pods, *self.events]})

    def _pod_logs(self, _: str) -> str:
        return "time=12:00 level=INFO\nError: listen tcp: address already in use\n"

    def _log_heads(self, _: str) -> str:
        asked = next(call for _, call in reversed(self.calls) if call.script == "log-heads")
        return said(**dict.fromkeys(asked.args, FOUND * self.gpus or PROCESSOR))

    def _ask_pod(self, _: str) -> str:
        return said(version='{"version":"0.24.0"}')

    def _ask_endpoint(self, _: str) -> str:
        asked = next(call for _, call in reversed(self.calls) if call.script == "ask-endpoint")
        certificate = (self.site.root / "secrets" / "phi.crt").read_text()
        nodes = {f"version@{address}": '{"version":"0.24.0"}' for address in asked.args[1:]}
        nodes |= {f"certificate@{address}": certificate for address in asked.args[1:]}
        return said(tags='{"models":[]}', **nodes)


@pytest.fixture
def hosts(site: Site) -> Hosts:
    return Hosts(site, phi(site))


# -- all is well


def test_each_pod_is_asked_on_its_own_host_and_the_endpoint_from_one_scout(hosts: Hosts) -> None:
    proved = hosts.prove()
    assert proved.troubles == []
    assert hosts_of(proved) == [*GPU_HOSTS, "scout-preprod-1"]
    assert sorted(hosts.asked("ask-pod")) == GPU_HOSTS
    pods = {host: call.args for host, call in hosts.calls if call.script == "ask-pod"}
    assert pods["phi-gpu-2"] == ("10.42.0.2:11434",)
    (endpoint,) = [call for _, call in hosts.calls if call.script == "ask-endpoint"]
    assert endpoint.args == ("ollama.phi.example.edu", "192.0.2.11", "192.0.2.12", "192.0.2.13")
    assert endpoint.stdin == (hosts.site.root / "secrets" / "ca.crt").read_bytes()


def test_nothing_that_a_proof_does_changes_a_host(hosts: Hosts) -> None:
    hosts.prove()
    assert {call.kind for _, call in hosts.calls} == {"read"}


def test_an_ollama_of_a_scouts_own_has_no_endpoint_to_ask(site: Site) -> None:
    document = {"kind": "scout", "environment": "non-phi", "ollama_mode": "deploy", "ollama": {"models": ["tiny"]}}
    host = {"address": "198.51.100.33", "roles": ["server", "gpu"], "gpus": 1}
    own = ScoutCluster.model_validate({"name": "scout-dev", "hosts": {"scout-dev-1": host}, **document})
    hosts = Hosts(site, own, [pod("scout-dev-1")])
    proved = hosts.prove()
    assert proved.troubles == []
    assert hosts_of(proved) == ["scout-dev-1"]
    assert hosts.asked("ask-endpoint") == []


# -- by its GPUs


def test_an_ollama_that_answers_by_the_processor_is_trouble(hosts: Hosts) -> None:
    hosts.gpus = 0
    proved = hosts.prove()
    assert [trouble.host for trouble in proved.troubles] == GPU_HOSTS
    assert proved.troubles[0].what == "its Ollama found 0 of its 1 GPUs"
    assert "by the processor" in proved.troubles[0].why


def test_a_log_that_does_not_tell_any_more_is_no_trouble(hosts: Hosts) -> None:
    hosts.says["log-heads"] = lambda _: said(**{f"ollama/ollama-on-{host}": "200 GET /api/tags" for host in GPU_HOSTS})
    assert hosts.prove().troubles == []
    assert ("phi-gpu-2", "its log no longer says which GPUs its Ollama found when it started") in hosts.told


# -- from which Scout


def test_where_the_first_scout_cannot_be_reached_the_next_is_asked(hosts: Hosts) -> None:
    hosts.down = {"scout-preprod-1"}
    proved = hosts.prove()
    assert proved.troubles == []
    assert hosts.asked("ask-endpoint") == ["scout-prod-1"]


def test_where_no_scout_can_be_reached_each_is_told_and_nothing_is_claimed(hosts: Hosts) -> None:
    hosts.down = {"scout-preprod-1", "scout-prod-1"}
    proved = hosts.prove()
    (trouble,) = proved.troubles
    assert trouble.what == f"{URL}: could not tell whether it works"
    assert "scout-preprod-1: does not answer" in trouble.why
    assert "scout-prod-1: does not answer" in trouble.why
    assert hosts_of(proved) == GPU_HOSTS


def test_where_no_scout_is_admitted_nobody_is_asked_and_it_is_told(site: Site) -> None:
    closed = admitting(site)
    hosts = Hosts(closed, phi(closed))
    (trouble,) = hosts.prove().troubles
    assert "could not tell" in trouble.what
    assert "no Scout of this site" in trouble.why
    assert "allowed_clients" in trouble.next
    assert hosts.asked("ask-endpoint") == []


@pytest.mark.parametrize(
    ("networks", "admitted"),
    [
        (["192.0.2.32/28"], ["scout-preprod-1", "scout-prod-1"]),
        (["2001:db8::/32", "192.0.2.33/32"], ["scout-prod-1"]),
        (["198.51.100.0/24"], []),
        ([], []),
    ],
)
def test_the_allow_list_admits_by_address(site: Site, networks: list[str], admitted: list[str]) -> None:
    opened = admitting(site, *networks)
    assert [host.name for host in asking.authorised_scouts(opened, phi(opened))] == admitted


def test_a_scout_with_a_dns_name_may_be_admitted_only_the_endpoint_can_tell(site: Site) -> None:
    scout = site.clusters["scout-prod"]
    assert isinstance(scout, ScoutCluster)
    named = {name: host.model_copy(update={"address": "prod.example.edu"}) for name, host in scout.hosts.items()}
    elsewhere = admitting(site_with(site, scout.model_copy(update={"hosts": named})), "198.51.100.0/24")
    assert [host.name for host in asking.authorised_scouts(elsewhere, phi(elsewhere))] == ["scout-prod-1"]


# -- what does not hold


def test_an_endpoint_that_takes_a_moment_is_asked_again(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proving, "ENDPOINT_SECONDS", 60)
    answers = iter(["tags 22\n  curl: (22) The requested URL returned error: 404\n"])
    hosts.says["ask-endpoint"] = lambda host: next(answers, "") or hosts._ask_endpoint(host)
    assert hosts.prove().troubles == []
    assert hosts.asked("ask-endpoint") == ["scout-preprod-1", "scout-preprod-1"]


def test_an_endpoint_that_never_answers_is_told_and_no_other_scout_is_asked(hosts: Hosts) -> None:
    hosts.says["ask-endpoint"] = lambda _: "tags 22\n  curl: (22) The requested URL returned error: 403\n"
    proved = hosts.prove()
    assert proved.troubles[0].host == "scout-preprod-1"
    assert "403" in proved.troubles[0].why
    assert set(hosts.asked("ask-endpoint")) == {"scout-preprod-1"}
    assert hosts_of(proved) == GPU_HOSTS


def test_a_node_that_is_not_ready_is_told_with_its_events_and_its_last_log_lines(hosts: Hosts) -> None:
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 40s"}
    hosts.pods[1] = pod("phi-gpu-2", containerStatuses=[{"state": {"waiting": waiting}}])
    hosts.events = [
        {
            "apiVersion": "v1",
            "kind": "Event",
            "type": "Warning",
            "metadata": {"name": "e"},
            "involvedObject": {"name": "ollama-on-phi-gpu-2"},
            "reason": "BackOff",
            "message": "Back-off restarting failed container",
            "lastTimestamp": "2026-01-02T00:00:00Z",
        }
    ]
    proved = hosts.prove()
    (trouble,) = proved.troubles
    assert trouble.host == "phi-gpu-2"
    assert trouble.what.endswith("not ready: CrashLoopBackOff")
    assert "BackOff: Back-off restarting failed container" in trouble.why
    assert "log: Error: listen tcp: address already in use" in trouble.why
    assert "describe pods -n ollama" in trouble.next
    (logs,) = [call for _, call in hosts.calls if call.script == "pod-logs"]
    assert logs.args[:2] == ("ollama", "ollama-on-phi-gpu-2")


def test_the_nodes_that_are_ready_are_proved_though_another_is_not(hosts: Hosts) -> None:
    hosts.pods.pop()
    proved = hosts.prove()
    assert [trouble.host for trouble in proved.troubles] == ["phi-gpu-3"]
    assert hosts_of(proved) == ["phi-gpu-1", "phi-gpu-2", "scout-preprod-1"]
    (endpoint,) = [call for _, call in hosts.calls if call.script == "ask-endpoint"]
    assert endpoint.args[1:] == ("192.0.2.11", "192.0.2.12")


def test_where_no_node_is_ready_nothing_is_proved(hosts: Hosts) -> None:
    hosts.pods.clear()
    proved = hosts.prove()
    assert proved.lines == []
    assert [trouble.host for trouble in proved.troubles] == GPU_HOSTS
    assert hosts.asked("ask-endpoint") == []


def test_a_host_with_trouble_from_before_is_neither_awaited_nor_asked(hosts: Hosts) -> None:
    hosts.down = {"phi-gpu-1"}
    proved = hosts.prove(troubles={"phi-gpu-1": Trouble("does not answer", host="phi-gpu-1")})
    assert proved.troubles == []
    assert hosts_of(proved) == ["phi-gpu-2", "phi-gpu-3", "scout-preprod-1"]


def test_a_host_that_goes_away_before_its_pod_is_asked_is_told(hosts: Hosts) -> None:
    hosts.down = {"phi-gpu-3"}
    proved = hosts.prove()
    assert [str(trouble) for trouble in proved.troubles] == ["phi-gpu-3: does not answer"]
    assert "phi-gpu-3" not in hosts_of(proved)


def test_a_pod_of_another_version_is_told_and_its_host_is_not_proved(hosts: Hosts) -> None:
    def answer(host: str) -> str:
        return said(version='{"version":"0.1.0"}') if host == "phi-gpu-1" else hosts._ask_pod(host)

    hosts.says["ask-pod"] = answer
    proved = hosts.prove()
    assert {trouble.host for trouble in proved.troubles} == {"phi-gpu-1"}
    assert "phi-gpu-1" not in hosts_of(proved)


def test_a_cluster_that_nobody_answers_for_any_more_is_trouble_and_no_bug(hosts: Hosts) -> None:
    hosts.down = set(GPU_HOSTS)
    with pytest.raises(NoServerLeft) as caught:
        hosts.prove()
    assert "phi-gpu-1: does not answer" in str(caught.value.troubles["phi-gpu-1"])


def test_what_a_person_is_told_meanwhile_names_the_host_and_then_what_was_proved(hosts: Hosts) -> None:
    proved = hosts.prove()
    assert sorted(hosts.told[:3]) == [(name, f"ollama-on-{name}: ready") for name in GPU_HOSTS]
    assert hosts.told[3:] == proved.lines
