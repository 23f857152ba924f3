"""What publishing a set on a node means: what comes, changes and goes, what leaves memory, and what is loaded."""

from __future__ import annotations

from typing import Any

from scout_ollama.models.pods import Loaded, Pod
from scout_ollama.models.pruning import prune
from scout_ollama.models.publishing import Publish, publish
from scout_ollama.models.sets import ModelSet
from scout_ollama.models.stored import Stored
from scout_ollama.store import ModelName, manifest_digest
from tests.models.stores import SITE, SMALL, TINY, digest, manifest, store

A, B = manifest("a"), manifest("b")
HOST = SITE.clusters["phi"].hosts["phi-gpu-1"]


def made(wanted: ModelSet, node: Stored, **more: Any) -> Publish | None:
    options = {"copied": (), "pod": None, "preload": (), "say": lambda *_: None, **more}
    return publish(HOST, "/var/lib/ollama", 2, wanted, node, **options)


def change(wanted: ModelSet, node: Stored, **more: Any) -> Publish:
    found = made(wanted, node, **more)
    assert found
    return found


def asked(publication: Publish, word: str) -> list[str]:
    lines = publication.request().decode().splitlines()
    return [line.removeprefix(f"{word} ") for line in lines if line.startswith(f"{word} ")]


def loaded(name: ModelName, text: bytes) -> Pod:
    return Pod("10.42.0.5:11434", (Loaded(name, manifest_digest(text), 1, 1),))


def test_a_node_that_serves_the_set_and_has_it_on_record_has_nothing_to_do() -> None:
    wanted = ModelSet({TINY: A})
    assert made(wanted, store({TINY: A}, sets={2: wanted})) is None


def test_a_set_that_is_not_on_record_is_recorded() -> None:
    publication = change(ModelSet({TINY: A}), store({TINY: A}))
    assert publication.difference() == ["+ set 2 on record; no model changes"]
    assert asked(publication, "manifest") == []


def test_what_comes_changes_and_goes_is_told_with_digests_and_sizes() -> None:
    publication = change(
        ModelSet({TINY: B, SMALL: A}), store({TINY: A, ModelName.parse("old"): A}), gone=[ModelName.parse("old")]
    )
    a, b = manifest_digest(A)[:12], manifest_digest(B)[:12]
    assert publication.difference() == [
        f"~ tiny:latest: {a} → {b} 1.0 kB",
        f"+ small:latest {a} 1.0 kB",
        f"- old:latest {a}",
    ]
    assert asked(publication, "remove") == ["registry.ollama.ai/library/old/latest"]


def test_what_is_replaced_leaves_memory_while_its_name_still_means_it() -> None:
    publication = change(ModelSet({TINY: B}), store({TINY: A}), pod=loaded(TINY, A))
    assert asked(publication, "unload") == ["tiny:latest"]
    kept = change(ModelSet({TINY: A, SMALL: B}), store({TINY: A}), pod=loaded(TINY, A))
    assert asked(kept, "unload") == []


def test_what_is_to_be_preloaded_is_loaded_unless_this_very_version_is_in_memory() -> None:
    wanted = ModelSet({TINY: B})
    assert asked(change(wanted, store({TINY: A}), pod=loaded(TINY, A), preload=[TINY]), "load") == ["tiny:latest"]
    again = made(wanted, store({TINY: B}, sets={2: wanted}), pod=loaded(TINY, B), preload=[TINY])
    assert again is None


def test_without_a_pod_nothing_is_loaded() -> None:
    assert asked(change(ModelSet({TINY: A}), store({}), preload=[TINY]), "load") == []


def test_the_request_ends_with_a_word_that_says_so() -> None:
    assert change(ModelSet({TINY: A}), store({})).request().endswith(b"\nend\n")


# -- pruning


def test_what_the_kept_sets_name_stays_and_older_sets_are_forgotten() -> None:
    c = manifest("c")
    node = store({TINY: c, SMALL: A}, sets={1: ModelSet({TINY: A}), 2: ModelSet({TINY: B}), 3: ModelSet({TINY: c})})
    everything = store({TINY: A, SMALL: B, ModelName.parse("c"): c})
    node = Stored(**{**vars(node), "blobs": everything.blobs})
    pruned = prune("phi-gpu-1", "/var/lib/ollama", node, keep=2, pod=None)
    assert pruned
    assert pruned.models == (SMALL,)
    assert pruned.sets == (1,)
    assert digest("a") in pruned.blobs
    assert not {digest("b"), digest("c"), digest("{}")} & set(pruned.blobs)


def test_a_node_without_a_set_is_left_alone() -> None:
    assert prune("phi-gpu-1", "/var/lib/ollama", store({TINY: A}), keep=1, pod=None) is None
