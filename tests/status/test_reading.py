"""How a site is read: two questions a host at most, a host that is down is asked once and nobody waits for it again."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lab.scout import OpenWebUi, objects_of
from scout_ollama.errors import Trouble
from scout_ollama.fleet import Fleet
from scout_ollama.inventory import Host, Site
from scout_ollama.manifests import KubeObject
from scout_ollama.open_webui import looking
from scout_ollama.open_webui.looking import Looked
from scout_ollama.open_webui.session import Session
from scout_ollama.remote import Reader, Script
from scout_ollama.remote.protocol import Result
from scout_ollama.status import facts
from scout_ollama.status.facts import SiteFacts
from tests import samples
from tests.status import readings

ASKER, OTHER = "scout-preprod-1", "scout-prod-1"


@dataclass
class Hosts:
    """Every host of a site; those in ``down`` do not answer, the Kubernetes of those in ``without_api`` does not.

    On those in ``scouts`` runs Open WebUI. ``asked`` has what each was asked, ``given`` the seconds for the first.
    """

    down: set[str] = field(default_factory=set)
    without_api: set[str] = field(default_factory=set)
    scouts: set[str] = field(default_factory=set)
    asked: dict[str, list[tuple[str, ...]]] = field(default_factory=lambda: defaultdict(list))
    given: dict[str, float] = field(default_factory=dict)

    def connect(self, _: Site, host: Host) -> Any:
        return Remote(self, host)

    def read(self, site: Site, selector: str) -> SiteFacts:
        with Fleet(site, self.connect) as fleet:
            return facts.read(site, site.select(selector), fleet, defaultdict(Session))

    def second(self, host: str) -> tuple[str, ...]:
        """What a host was asked in the second round; nothing, if it was not."""
        assert len(self.asked[host]) <= 2
        return next(iter(self.asked[host][1:]), ())


@dataclass
class Remote:
    """One host that says what a real one would."""

    hosts: Hosts
    host: Host

    def read(self, script: Script, *args: str, timeout: float = 60, **_: Any) -> Result:
        self.hosts.given.setdefault(self.host.name, timeout)
        self.hosts.asked[self.host.name].append((script.name, *args))
        if self.host.name in self.hosts.down:
            raise Trouble("does not answer", host=self.host.name)
        said = "\n".join(self._said(script.name, args))
        return Result(self.host.name, 0, said + "\n", "", 0.1)

    def connect_ahead(self) -> None: ...

    def close(self) -> None: ...

    def _said(self, script: str, args: Sequence[str]) -> list[str]:
        if script != "status-host":
            return ["version 0", '  {"version": "0.24.0"}', "tags 0", '  {"models": []}']
        said = ["k3s 0", "  active", "store 0", "  nfs 10 5 5 50% /mnt", "gpus 0", "  1, 81559"]
        *_, kinds, _ = args
        if self.host.name in self.hosts.without_api:
            return [*said, "api 1", "  The connection was refused"]
        if self.host.name in self.hosts.scouts:
            said += ["open-webui 0", "  " + _listed(_scout())]
        nodes = [readings.node(name) for name in readings.NODES]
        items = [*nodes, *(readings.pod(name) for name in readings.NODES)]
        for obj in nodes:
            address = {"type": "InternalIP", "address": f"10.9.0.{obj['metadata']['name'][-1]}"}
            obj["status"]["addresses"] = [address]
        return [*said, "api 0", "  ok" if kinds == "ready" else "  " + _listed(items)] if kinds else said


def _scout() -> list[KubeObject]:
    made = (obj for obj in objects_of(OpenWebUi()) if obj["kind"] != "Namespace")
    return [{**obj, "metadata": {**obj["metadata"], "uid": "u", "generation": 1}} for obj in made]


def _listed(items: Sequence[Any]) -> str:
    return json.dumps({"kind": "List", "items": items})


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return samples.site_with_certificate(tmp_path / "site")


def test_pods_are_asked_at_their_address_and_nodes_where_they_serve(site: Site) -> None:
    hosts = Hosts()
    read = hosts.read(site, "phi,scout-prod,scout-preprod")
    assert hosts.second("phi-gpu-1") == ("status-pod", "10.42.0.9:11434")
    addresses = ("10.9.0.1", "10.9.0.2", "10.9.0.3")
    assert hosts.second(ASKER) == ("ask-endpoint", "ollama.phi.example.edu", *addresses)
    assert hosts.second(OTHER) == ("ask-endpoint", "ollama.phi.example.edu")
    assert set(read.ollamas) == set(readings.NODES)
    assert read.hosts["phi-gpu-1"].gpu_memory == ((1 << 20, 81559 << 20),)


def test_what_open_webui_says_itself_is_asked_in_the_second_round(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = Looked("0.11.0", ("https://ollama.phi.example.edu",))
    asked: list[str] = []

    def look(remote: Reader, **_: object) -> Looked:
        asked.append(remote.host.name)
        return looked

    monkeypatch.setattr(looking, "look", look)
    read = Hosts(scouts={OTHER}).read(site, "phi,scout-prod,scout-preprod")
    assert asked == [OTHER]
    assert read.open_webuis[OTHER] == looked
    assert set(read.endpoints) == {ASKER, OTHER}
    assert "cannot be asked" in str(read.open_webuis[ASKER])


def test_an_api_that_hangs_is_waited_for_as_long_as_kubectl_does_so_that_its_host_is_not_lost(site: Site) -> None:
    hosts = Hosts()
    hosts.read(site, "phi,scout-prod")
    assert hosts.given[OTHER] > 20 >= hosts.given["phi-gpu-1"]


def test_an_open_webui_that_does_not_answer_is_no_trouble_of_its_host(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(*_: object, **__: object) -> Looked:
        raise Trouble("Open WebUI lets nobody sign in for a while")

    monkeypatch.setattr(looking, "look", look)
    read = Hosts(scouts={OTHER}).read(site, "scout-prod")
    assert not read.troubles
    assert "lets nobody sign in" in str(read.open_webuis[OTHER])


def test_a_host_that_is_down_is_asked_once_and_nobody_else_waits_for_it(site: Site) -> None:
    hosts = Hosts(down={"phi-gpu-1"})
    read = hosts.read(site, "phi,scout-prod,scout-preprod")
    assert len(hosts.asked["phi-gpu-1"]) == 1
    assert hosts.second(ASKER) == ("ask-endpoint", "ollama.phi.example.edu", "10.9.0.2", "10.9.0.3")
    assert list(read.troubles) == ["phi-gpu-1"]
    assert "phi-gpu-1" not in read.hosts


@pytest.mark.parametrize("hosts", [Hosts(down={"phi-gpu-1"}), Hosts(without_api={"phi-gpu-1"})])
def test_objects_come_from_the_next_server_if_the_first_has_none(site: Site, hosts: Hosts) -> None:
    read = hosts.read(site, "phi")
    assert [args[-2] for _, *args in hosts.asked["phi-gpu-2"][:2]] == ["ready", "nodes,pods"]
    assert [args[-2] for name, *args in hosts.asked["phi-gpu-3"] if name == "status-host"] == ["ready"]
    assert read.objects_of(site.clusters["phi"])
    assert "phi-gpu-2" in read.ollamas


def test_the_next_scout_asks_every_node_if_the_first_is_away(site: Site) -> None:
    hosts = Hosts(down={ASKER})
    hosts.read(site, "phi")
    assert hosts.second(OTHER)[2:] == ("10.9.0.1", "10.9.0.2", "10.9.0.3")


def test_for_one_host_its_clusters_first_server_and_a_scout_are_read_as_well(site: Site) -> None:
    hosts = Hosts()
    hosts.read(site, "phi:gpu-2")
    assert set(hosts.asked) == {"phi-gpu-1", "phi-gpu-2", ASKER, OTHER}


def test_a_scout_by_itself_asks_its_endpoint_by_name(site: Site) -> None:
    hosts = Hosts()
    hosts.read(site, "scout-prod")
    assert set(hosts.asked) == {OTHER}
    assert hosts.second(OTHER) == ("ask-endpoint", "ollama.phi.example.edu")
