"""One run of bringing models, stage by stage, as its hosts would see it: what is known beforehand, what only then."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import yaml

from scout_ollama.changes import Stage, settled
from scout_ollama.errors import Trouble
from scout_ollama.facts import Space
from scout_ollama.fleet import Fleet
from scout_ollama.inventory import Host, Site, load_site
from scout_ollama.job import Job
from scout_ollama.models.sets import ModelSet
from scout_ollama.models.stages import Bringing, stages_for
from scout_ollama.models.stored import BlobFile, Stored
from scout_ollama.remote import RecordingRemote, RemoteError, Result
from scout_ollama.remote.recording import Call
from scout_ollama.store import ModelName, blob_file
from tests.models.stores import NODES, SMALL, TINY, digest, manifest, store, without
from tests.test_manifests import ROOT

A, B = manifest("a"), manifest("b")
NOBODY = '{"kind": "List", "items": []}'


def printed(now: Stored) -> str:
    """What ``model-store.sh`` prints of a store."""

    def encoded(text: bytes) -> str:
        return base64.b64encode(text).decode()

    sections = {
        "sets": [f"{number} {encoded(kept.dump())}" for number, kept in now.sets.items()],
        "answers": ["ext2/ext3"],
        "directories": [],
        "space": [f"nfs:/share {now.space.total} 0 {now.space.free} 0% /mnt"] if now.space else [],
        "manifests": [f"{encoded(str(n.manifest_path).encode())} {encoded(t)}" for n, t in now.manifests.items()],
        "blobs": [f"{blob_file(d)} {file.size} {file.stamp}" for d, file in now.blobs.items()],
        "verified": [
            f"{blob_file(d)} {now.blobs[d].size} {now.blobs[d].stamp} {'ok' if right else 'bad'}"
            for d, right in now.verified.items()
            if d in now.blobs
        ],
    }
    if now.flaw:
        return "sets 0\nanswers 0\ndirectories 1\n"
    return "".join(f"{name} 0\n" + "".join(f"  {line}\n" for line in lines) for name, lines in sections.items())


@dataclass
class Hosts:
    """The stores by host; a test changes them while the run goes on. What is not here cannot be reached."""

    stores: dict[str, Stored] = field(default_factory=dict)
    registry: dict[ModelName, bytes] = field(default_factory=dict)

    def answer(self, host: Host, call: Call) -> Result | str:
        match call.script:
            case "model-store" if host.name in self.stores:
                return printed(self.stores[host.name])
            case "model-store":
                raise RemoteError("cannot be reached", host=host.name)
            case "registry-manifests":
                return self._manifests(call.stdin.decode())
            case "rollout-state":
                return NOBODY
        raise AssertionError(call)

    def _manifests(self, asked: str) -> str:
        known = {f"{n.host} {n.namespace}/{n.model} {n.tag}": text for n, text in self.registry.items()}
        lines = (line.split(" ", 1) for line in asked.splitlines())
        return "".join(f"{n} 0\n  {known[name].decode()}\n" if name in known else f"{n} 22\n" for n, name in lines)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """The shipped site, whose cluster wants two models."""
    for file in (ROOT / "hosts").glob("*.yaml"):
        (tmp_path / file.name).write_text(file.read_text())
    document = yaml.safe_load((tmp_path / "phi.yaml").read_text())
    document["ollama"].update(models=["tiny:latest", "small:latest"], scout_models=[])
    (tmp_path / "phi.yaml").write_text(yaml.safe_dump(document))
    return load_site(tmp_path)


@contextmanager
def bringing(site: Site, hosts: Hosts) -> Iterator[Bringing]:
    with Fleet(site, connect=lambda _, host: RecordingRemote(host, lambda call: hosts.answer(host, call))) as fleet:
        yield stages_for(Job(site, site.clusters["phi"], fleet, lambda *_: None), {})


def titles(stages: list[Stage]) -> list[tuple[str, str | None, str]]:
    """What is made; how copying is made ready and tidied up is its own business."""
    around = ("make ready", "take keys back")
    told = [stage for stage in stages if stage.name not in around]
    return [(stage.name, change.host, change.title) for stage in told for change in stage.changes]


def test_what_is_to_be_pulled_is_shown_and_the_rest_is_settled_when_it_is_there(site: Site) -> None:
    empty = store({})
    hosts = Hosts({"staging-1": store({TINY: A}), **dict.fromkeys(NODES, empty)}, {SMALL: B})
    with bringing(site, hosts) as run:
        planned = run.stages()
        assert titles(planned) == [
            ("pull", "staging-1", "pull small:latest"),
            *(("copy and publish", node, "copy about 2.0 kB, publish 2 models") for node in NODES),
        ]
        stages = settled(planned)
        assert next(stages).name == "pull"
        pulled = store({TINY: A, SMALL: B})
        hosts.stores["staging-1"] = replace(pulled, verified=dict.fromkeys(store({TINY: A}).blobs, True))
        assert titles([next(stages)]) == [("verify", "staging-1", "verify 2 blobs, 1.0 kB")]
        hosts.stores["staging-1"] = pulled
        assert titles(list(stages)) == [
            *(("copy", node, "copy 5 blobs, 2.0 kB") for node in NODES),
            *(("publish", node, "publish set 1 of 2 models") for node in NODES),
        ]
        assert run.published == ModelSet({TINY: A, SMALL: B})


def test_when_everything_is_as_it_should_be_there_is_nothing_to_do(site: Site) -> None:
    published = ModelSet({TINY: A, SMALL: B})
    node = store(published.manifests, sets={1: published})
    hosts = Hosts({"staging-1": store(published.manifests), **dict.fromkeys(NODES, node)})
    with bringing(site, hosts) as run:
        assert titles(run.stages()) == []


def test_a_node_that_cannot_be_reached_is_left_alone_and_the_others_go_on(site: Site) -> None:
    hosts = Hosts({"staging-1": store({TINY: A, SMALL: B}), **dict.fromkeys(NODES[:2], store({}))})
    with bringing(site, hosts) as run:
        assert set(run.found.troubles) == {"phi-gpu-3"}
        assert {host for _, host, _ in titles(run.stages())} == set(NODES[:2])


def test_a_node_that_is_lost_while_models_are_pulled_is_told_and_the_others_go_on(site: Site) -> None:
    hosts = Hosts({"staging-1": store({TINY: A}), **dict.fromkeys(NODES, store({}))}, {SMALL: B})
    with bringing(site, hosts) as run:
        planned = run.stages()
        hosts.stores["staging-1"] = store({TINY: A, SMALL: B})
        del hosts.stores["phi-gpu-2"]
        hosts.stores["phi-gpu-3"] = Stored(flaw="gone")
        made = [stage for stage in settled(planned) if stage.changes]
        (left,) = (stage for stage in made if stage.name == "left alone")
        assert [change.host for change in left.changes] == ["phi-gpu-2", "phi-gpu-3"]
        for change, told in zip(left.changes, ("cannot be reached", "the model store"), strict=True):
            with pytest.raises(Trouble, match=told):
                change.make(RecordingRemote(site.clusters["phi"].hosts["phi-gpu-1"]))
        assert {host for name, host, _ in titles(made) if name in ("copy", "publish")} == {"phi-gpu-1"}


def test_a_blob_that_vanishes_from_staging_keeps_its_model_as_it_was(site: Site) -> None:
    before = ModelSet({TINY: A, SMALL: B})
    node = store(before.manifests, sets={1: before})
    hosts = Hosts({"staging-1": store({TINY: A}), **dict.fromkeys(NODES, node)}, {SMALL: B})
    with bringing(site, hosts) as run:
        planned = run.stages()
        whole = store({TINY: A, SMALL: B})
        hosts.stores["staging-1"] = replace(whole, blobs=without(whole, digest("b")))
        assert [stage.name for stage in settled(planned) if stage.changes] == ["pull"]
        assert run.published == before


def test_a_node_without_space_is_left_alone_before_anything_is_copied(site: Site) -> None:
    hosts = Hosts({"staging-1": store({TINY: A, SMALL: B}), **dict.fromkeys(NODES, store({}))})
    hosts.stores["phi-gpu-2"] = store({}, space=Space(100, 10_000))
    with bringing(site, hosts) as run:
        first, *_ = [stage for stage in run.stages() if stage.changes]
        (change,) = first.changes
        assert (first.name, change.host) == ("left alone", "phi-gpu-2")
        with pytest.raises(Trouble, match=r"its disk has 2\.\d kB too little"):
            change.make(RecordingRemote(site.clusters["phi"].hosts["phi-gpu-2"]))


def test_a_share_that_is_not_there_stops_everything(site: Site) -> None:
    hosts = Hosts({"staging-1": Stored(flaw="x"), **dict.fromkeys(NODES, store({}))})
    with pytest.raises(Trouble, match="the share of models /nfs/ollama is not there"), bringing(site, hosts):
        pass


def test_a_damaged_blob_on_a_node_is_copied_anew(site: Site) -> None:
    published = ModelSet({TINY: A, SMALL: B})
    good = store(published.manifests, sets={1: published})
    bad = replace(good, blobs={**good.blobs, digest("a"): BlobFile(999, "1.0 1")})
    hosts = Hosts({"staging-1": good, "phi-gpu-1": good, "phi-gpu-2": bad, "phi-gpu-3": good})
    with bringing(site, hosts) as run:
        assert titles(run.stages()) == [
            ("copy", "phi-gpu-2", "copy 1 blob, 1.0 kB"),
            ("publish", "phi-gpu-2", "publish set 1 of 2 models"),
        ]


def test_the_document_of_a_set_names_its_models() -> None:
    assert list(json.loads(ModelSet({TINY: A}).dump())["models"]) == ["registry.ollama.ai/library/tiny/latest"]
