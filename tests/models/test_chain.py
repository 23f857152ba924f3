"""Whom a node follows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scout_ollama.models.chain import SOURCE, Chain

ROW = ("a", "b", "c", "d")


@pytest.fixture
def chain() -> Chain:
    chain = Chain(ROW)
    for node in ROW:
        chain.opened(node)
    return chain


def test_each_follows_the_one_before_it_and_the_first_the_source(chain: Chain) -> None:
    assert [chain.upstream_of(node) for node in ROW] == [SOURCE, "a", "b", "c"]


def test_directly_everybody_follows_the_source() -> None:
    chain = Chain(ROW, direct=True)
    chain.opened("a")
    assert [chain.upstream_of(node) for node in ROW] == [SOURCE] * 4


def test_a_node_that_was_not_made_ready_or_is_gone_is_passed_by_all(chain: Chain) -> None:
    chain.gone("b")
    assert [chain.upstream_of(node) for node in ROW] == [SOURCE, "a", "a", "c"]


def test_trouble_between_two_is_theirs_alone(chain: Chain) -> None:
    chain.passes("d", "c")
    assert chain.upstream_of("d") == "b"
    assert chain.upstream_of("c") == "b"


def test_who_got_damaged_bytes_trusts_the_source_alone(chain: Chain) -> None:
    chain.passes_all("d")
    assert chain.upstream_of("d") == SOURCE


def test_when_the_source_stalls_nobody_leaves_a_node_that_waits_too(chain: Chain) -> None:
    for node in ROW:
        chain.arrived(node, "blob", 1000)
    assert not chain.goes_on("c", "b", "blob")
    assert chain.upstream_of("c") == "b"


def test_who_gets_nothing_from_one_that_has_more_leaves_it(chain: Chain) -> None:
    chain.arrived("b", "blob", 2000)
    chain.arrived("c", "blob", 1000)
    assert chain.goes_on("c", "b", "blob")
    assert chain.upstream_of("c") == "a"


def test_who_gets_nothing_from_one_that_is_gone_leaves_it(chain: Chain) -> None:
    chain.gone("b")
    assert chain.goes_on("c", "b", "blob")


@given(
    st.lists(st.tuples(st.sampled_from(ROW), st.sampled_from(["gone", "passes", "passes_all"]), st.sampled_from(ROW)))
)
def test_whatever_happens_a_node_only_ever_follows_one_before_it(steps: list[tuple[str, str, str]]) -> None:
    """So there is no circle of nodes that wait for each other."""
    chain = Chain(ROW)
    for node in ROW:
        chain.opened(node)
    for node, what, other in steps:
        match what:
            case "gone":
                chain.gone(node)
            case "passes":
                chain.passes(node, other)
            case "passes_all":
                chain.passes_all(node)
        for at, each in enumerate(ROW):
            assert chain.upstream_of(each) in (SOURCE, *ROW[:at])
