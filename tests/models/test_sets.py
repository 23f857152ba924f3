"""Published sets: numbered alike on every node, read back as they were written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scout_ollama.models.sets import ModelSet, number_for
from tests.models.stores import manifest, model_set

ONE, TWO = model_set(tiny=manifest("a")), model_set(tiny=manifest("b"))


def test_the_first_set_is_number_one_and_another_one_is_the_next() -> None:
    assert number_for(ONE, [{}, {}]) == 1
    assert number_for(TWO, [{1: ONE}, {1: ONE}]) == 2


def test_the_same_set_keeps_its_number_also_for_a_node_that_was_away() -> None:
    assert number_for(TWO, [{1: ONE, 2: TWO}, {1: ONE}, {}]) == 2


def test_going_back_is_a_set_of_its_own() -> None:
    assert number_for(ONE, [{1: ONE, 2: TWO}]) == 3


def test_a_number_that_means_two_things_is_not_used_again() -> None:
    assert number_for(TWO, [{1: ONE}, {1: TWO}]) == 2


@given(st.dictionaries(st.sampled_from(["a", "b", "hf.co/x/y:Q4", "someone/model:1"]), st.sampled_from("abc")))
def test_what_is_written_reads_back_and_the_same_set_is_the_same_file(models: dict[str, str]) -> None:
    one = model_set(**{name: manifest(weights) for name, weights in models.items()})
    assert ModelSet.parse(one.dump()) == one
    turned = ModelSet(dict(reversed(list(one.manifests.items()))))
    assert turned.dump() == one.dump()


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"models": {"a": "?"}}', b'{"models": {"h/n/m/t": "bm8="}}'])
def test_a_file_that_is_no_set_is_none(text: bytes) -> None:
    assert ModelSet.parse(text) is None
