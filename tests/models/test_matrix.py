"""What list-models says: where each model is, in which state, and in plain words what does not agree."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from scout_ollama.models import matrix
from scout_ollama.models.pods import Loaded, Pod
from scout_ollama.models.survey import Found
from scout_ollama.results import ModelOutput
from scout_ollama.store import ModelName, manifest_digest
from tests.models.stores import SMALL, TINY, digest, found, manifest, store, without

A, B = manifest("a"), manifest("b")
WHOLE = store({TINY: A})
LOCK = {TINY: manifest_digest(A)}


def row(now: Found, locked: dict[ModelName, str] | None = None) -> ModelOutput:
    (only,) = matrix.rows(now, LOCK if locked is None else locked)
    return only


def drift(*nodes: Any, source: Any = WHOLE, locked: dict[ModelName, str] | None = None) -> str:
    return row(found(source, *nodes), locked).drift


def test_a_model_that_is_everywhere_the_same_has_no_drift() -> None:
    only = row(found(WHOLE, WHOLE, WHOLE))
    assert (only.drift, only.wanted, only.lock) == ("", True, manifest_digest(A))
    assert only.size == 1000 + 2 + 10
    assert {copy.state for copy in [only.staging, *only.nodes.values()]} == {"verified"}


def test_what_does_not_agree_is_said_in_plain_words() -> None:
    other = store({TINY: B})
    assert drift(WHOLE, store({})) == "not on phi-gpu-2"
    assert drift(WHOLE, other) == "the nodes differ; not what models.lock has"
    assert drift(WHOLE, WHOLE, source=other) == "staging has another one"
    assert drift(WHOLE, WHOLE, locked={}) == "not in models.lock"
    assert drift(store({}), store({})) == "not on phi-gpu-1, phi-gpu-2"


def test_damage_is_told_by_its_kind_and_place() -> None:
    damaged = store({TINY: A}, verified={digest("a"): False})
    incomplete = replace(WHOLE, blobs=without(WHOLE, digest("a")))
    broken = store({}, broken={TINY: "it is empty"})
    assert drift(damaged, incomplete) == "damaged on phi-gpu-1; incomplete on phi-gpu-2"
    assert drift(WHOLE, source=damaged) == "damaged on staging"
    assert drift(broken).startswith("broken on phi-gpu-1")


def test_what_nobody_has_hashed_yet_is_not_said_to_be_right() -> None:
    only = row(found(WHOLE, replace(WHOLE, verified={})))
    assert only.nodes["phi-gpu-1"].state == "not verified"


def test_what_is_on_a_node_and_not_wanted_is_listed_and_what_only_staging_has_is_not() -> None:
    now = found(store({TINY: A, SMALL: B}), store({TINY: A, ModelName.parse("stray"): B}))
    rows = {row.model: row for row in matrix.rows(now, LOCK)}
    assert set(rows) == {"tiny:latest", "stray:latest"}
    assert rows["stray:latest"].drift == "not in models.lock; not wanted by the inventory"


def test_memory_is_told_and_whether_gpus_hold_all_of_it() -> None:
    held = Pod("10.42.0.5:11434", (Loaded(TINY, manifest_digest(A), 100, 100),))
    partly = Pod("10.42.1.5:11434", (Loaded(TINY, manifest_digest(A), 100, 60),))
    only = row(found(WHOLE, WHOLE, WHOLE, WHOLE, pods={"phi-gpu-1": held, "phi-gpu-2": partly}))
    told = {host: (copy.in_memory, copy.in_vram) for host, copy in only.nodes.items()}
    assert told == {"phi-gpu-1": (True, True), "phi-gpu-2": (True, False), "phi-gpu-3": (False, False)}
