"""What is foretold of copying to many nodes."""

from __future__ import annotations

import pytest

from bench.simulation import chain_seconds, direct_seconds, rounds_seconds, table, tree_seconds

SIZE, BANDWIDTH = 60e9, 1e9
ONE = direct_seconds(1, SIZE, BANDWIDTH)


def test_to_one_node_every_way_but_the_tree_is_the_same() -> None:
    assert chain_seconds(1, SIZE, BANDWIDTH) == rounds_seconds(1, SIZE, BANDWIDTH) == ONE == 60.5
    assert tree_seconds(1, SIZE, BANDWIDTH) == 120.5


def test_the_source_alone_takes_as_often_as_long_as_there_are_nodes() -> None:
    assert direct_seconds(20, SIZE, BANDWIDTH) == pytest.approx(20 * ONE, rel=0.01)


def test_a_chain_is_longer_by_a_hop_for_each_node_and_by_a_wait_for_each_death() -> None:
    assert chain_seconds(101, SIZE, BANDWIDTH, hop=0.1) == pytest.approx(ONE + 10)
    assert chain_seconds(101, SIZE, BANDWIDTH, hop=0.1, deaths=2) == pytest.approx(ONE + 10 + 31)


def test_a_tree_takes_twice_as_long_and_grows_with_the_logarithm() -> None:
    assert tree_seconds(1000, SIZE, BANDWIDTH, hop=1) == pytest.approx(120.5 + 8)


def test_rounds_lose_their_overhead_again_and_again() -> None:
    """A round copies what came during the one before, and each begins later: overhead, twice that, three times…"""
    lost = rounds_seconds(2, SIZE, BANDWIDTH, overhead=0.3) - ONE
    assert lost == pytest.approx((2 * 60 * 0.3) ** 0.5, rel=0.2)


def test_small_blobs_to_many_nodes_are_where_a_tree_is_better() -> None:
    assert tree_seconds(1000, 1e9, BANDWIDTH) < chain_seconds(1000, 1e9, BANDWIDTH)
    assert tree_seconds(1000, 240e9, BANDWIDTH) > chain_seconds(1000, 240e9, BANDWIDTH)


def test_the_table_has_a_line_for_each_number_of_nodes() -> None:
    assert [line.split(" | ")[0] for line in table(SIZE, BANDWIDTH)[2:]] == ["| 1", "| 3", "| 20", "| 100", "| 1000"]
