"""What has to be done, from what was found: what is pulled, verified, copied and published, and what is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scout_ollama.facts import Space
from scout_ollama.models import needs
from scout_ollama.models.blob import Blob
from scout_ollama.models.needs import Call
from scout_ollama.models.sets import ModelSet, closure
from scout_ollama.models.stored import BlobFile, Stored
from scout_ollama.models.survey import Found
from scout_ollama.models.wanted import WantedModel
from scout_ollama.store import Manifest, ModelName
from tests.models.stores import LONG, SMALL, TINY, digest, found, manifest, store, without

A, B = manifest("a"), manifest("b")
VARIANT = WantedModel(LONG, TINY, {"num_ctx": 4096})
PARAMETERS = '{"num_ctx":4096,"temperature":0}'


def paths(calls: list[Call]) -> list[tuple[str, str]]:
    return [(call.path.removeprefix("/api/"), str(call.model)) for call in calls]


def calls(now: Found, *, update: bool = False, repair: bool = False) -> list[tuple[str, str]]:
    return paths(needs.calls(now, update=update, repair=repair))


# -- what is pulled


def test_a_model_that_staging_lacks_is_pulled_and_one_that_is_there_is_not() -> None:
    wanted = [WantedModel(TINY), WantedModel(SMALL)]
    assert calls(found(store({TINY: A}), wanted=wanted)) == [("pull", "small:latest")]


def test_a_variant_is_made_after_its_base_was_pulled() -> None:
    now = found(store({}), wanted=[VARIANT, WantedModel(SMALL)])
    assert calls(now) == [("pull", "tiny:latest"), ("pull", "small:latest"), ("create", "tiny-long:latest")]


def test_a_base_that_two_need_is_pulled_once() -> None:
    other = WantedModel(ModelName.parse("tiny-short"), TINY, {"num_ctx": 10})
    made = calls(found(store({}), wanted=[WantedModel(TINY), VARIANT, other]))
    assert made.count(("pull", "tiny:latest")) == 1


def test_a_variant_with_other_parameters_is_made_anew_and_nothing_is_pulled() -> None:
    there = manifest("a", parameters=PARAMETERS)
    source = store({TINY: A, LONG: there}, small=[PARAMETERS])
    assert calls(found(source, wanted=[VARIANT])) == []
    wider = replace(VARIANT, parameters={"num_ctx": 8192})
    assert calls(found(source, wanted=[wider])) == [("create", "tiny-long:latest")]


def test_a_model_with_a_blob_that_is_gone_is_pulled_again() -> None:
    whole = store({TINY: A})
    assert calls(found(replace(whole, blobs=without(whole, digest("a"))))) == [("pull", "tiny:latest")]


def test_a_damaged_blob_is_pulled_again_only_to_repair_it() -> None:
    damaged = store({TINY: A}, verified={digest("a"): False})
    assert calls(found(damaged)) == []
    assert calls(found(damaged), repair=True) == [("pull", "tiny:latest")]
    assert needs.spoiled(damaged, [TINY]) == [Blob(digest("a"), 1000)]


def test_a_truncated_blob_counts_as_damaged_before_anybody_has_hashed_it() -> None:
    whole = store({TINY: A})
    short = replace(whole, blobs={**whole.blobs, digest("a"): BlobFile(999, "1.0 1")}, verified={})
    assert needs.spoiled(short, [TINY]) == [Blob(digest("a"), 1000)]


def test_an_update_pulls_everything_and_makes_its_variants() -> None:
    source = store({TINY: A, LONG: manifest("a", parameters=PARAMETERS)}, small=[PARAMETERS])
    assert calls(found(source, wanted=[VARIANT]), update=True) == [
        ("pull", "tiny:latest"),
        ("create", "tiny-long:latest"),
    ]


def test_the_case_of_a_name_on_disk_does_not_count() -> None:
    assert calls(found(store({ModelName.parse("Tiny:Latest"): A}))) == []


# -- what is published and copied


def test_what_staging_has_not_in_whole_stays_as_it_was_published() -> None:
    before = store({TINY: A}, sets={1: ModelSet({TINY: A})})
    damaged = store({TINY: B}, verified={})
    assert needs.publishable(found(damaged, before)).manifests == {TINY: A}
    assert needs.publishable(found(store({TINY: B}), before)).manifests == {TINY: B}
    assert needs.publishable(found(damaged, store({}))).manifests == {}


def test_the_largest_blob_is_copied_first() -> None:
    sizes = [blob.size for blob in needs.missing(store({}), ModelSet({TINY: A, SMALL: manifest("b", size=5)}))]
    assert sizes == sorted(sizes, reverse=True)


def test_space_counts_what_has_arrived_already_and_what_must_stay_free() -> None:
    blobs = [Blob(digest("a"), 1000)]
    node = store({}, space=Space(1040, 1000))
    assert needs.lacking_space(node, blobs) == 10
    assert needs.lacking_space(replace(node, incoming={digest("a"): 500}), blobs) == 0
    assert needs.lacking_space(replace(node, space=Space(0, 1000)), []) == 0


# -- whatever is there

BLOBS = st.sampled_from("abcdefgh")
MODELS = st.dictionaries(
    st.sampled_from([ModelName.parse(name) for name in ("a", "b", "c", "d")]), BLOBS.map(manifest), max_size=4
)


@st.composite
def stores(draw: st.DrawFn) -> Stored:
    """A store in which anything may be missing, of another size, damaged, or not yet hashed."""
    models = draw(MODELS)
    blobs: dict[str, BlobFile] = {}
    verified: dict[str, bool] = {}
    for name, size in closure(models.values()).items():
        state = draw(st.sampled_from(["whole", "gone", "short", "damaged", "not hashed"]))
        if state != "gone":
            blobs[name] = BlobFile(size - 1 if state == "short" else size, "1.0 1")
        if state in ("whole", "damaged"):
            verified[name] = state == "whole"
    return store(models, blobs=blobs, verified=verified)


SURVEYS = st.builds(
    lambda source, nodes, names: found(source, *nodes, wanted=[WantedModel(name) for name in names]),
    stores(),
    st.lists(stores(), min_size=1, max_size=3),
    st.lists(st.sampled_from([ModelName.parse(name) for name in ("a", "b", "c", "d")]), unique=True),
)


@given(SURVEYS)
def test_what_is_published_is_wanted_and_whole_on_staging(now: Found) -> None:
    wanted = {model.name for model in now.wanted}
    published = needs.publishable(now)
    assert set(published.manifests) <= wanted
    assert all(now.source.is_whole(name, size) for name, size in published.blobs.items())


@given(SURVEYS)
def test_a_node_with_what_it_misses_has_all_of_the_set_and_nothing_is_copied_twice(now: Found) -> None:
    published = needs.publishable(now)
    for node in now.nodes.values():
        missing = needs.missing(node, published)
        assert len({blob.digest for blob in missing}) == len(missing)
        assert not any(node.is_whole(blob.digest, blob.size) for blob in missing)
        afterwards = {blob.digest for blob in missing} | {n for n, s in published.blobs.items() if node.is_whole(n, s)}
        assert afterwards == set(published.blobs)


@given(SURVEYS)
def test_every_blob_is_whole_spoiled_absent_or_yet_to_be_hashed_and_never_two_of_these(now: Found) -> None:
    blobs = closure(now.source.manifests.values())
    unverified = {blob.digest for blob in needs.unverified(now.source, blobs)}
    spoiled = {blob.digest for blob in needs.spoiled(now.source, now.source.manifests)}
    for name, size in blobs.items():
        states = [now.source.is_whole(name, size), name in spoiled, name in unverified, name not in now.source.blobs]
        assert sum(states) == 1


@given(SURVEYS)
def test_after_a_pull_there_is_nothing_to_pull(now: Found) -> None:
    """A pull brings what is gone; what is there by name it takes for whole, as Ollama does."""
    made = needs.calls(now, update=False, repair=False)
    pulled = {call.model: now.source.text_of(call.model) or manifest("new") for call in made}
    there = {**now.source.manifests, **pulled}
    fetched = {n: BlobFile(s, "2.0 2") for n, s in closure(pulled.values()).items() if n not in now.source.blobs}
    after = replace(now, source=replace(now.source, manifests=there, blobs={**now.source.blobs, **fetched}))
    assert needs.calls(after, update=False, repair=False) == []


@pytest.mark.parametrize("text", ["[]", '"x"', "{oops", "null"])
def test_parameters_that_are_none_are_made_anew(text: str) -> None:
    source = store({TINY: A, LONG: manifest("a", parameters=text)}, small=[text])
    assert calls(found(source, wanted=[VARIANT])) == [("create", "tiny-long:latest")]


def test_what_is_expected_of_a_variant_is_its_bases_blobs() -> None:
    registry = {TINY: Manifest.parse(A)}
    now = found(store({}), wanted=[VARIANT], registry=registry)
    known = needs.expected(now, needs.calls(now, update=False, repair=False))
    assert known[LONG].blobs == registry[TINY].blobs
