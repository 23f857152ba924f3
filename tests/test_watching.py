"""Waiting: told each change once, patient with what is stuck, never for ever."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from scout_ollama import watching
from scout_ollama.errors import Trouble
from scout_ollama.watching import watch


@dataclass(frozen=True)
class Seen:
    places: Mapping[str, str]
    is_done: bool = False
    is_stuck: bool = False


def nobody(_part: str, _place: str) -> None:
    """Nobody listens."""


def test_it_ends_when_it_is_done_and_tells_each_change_once() -> None:
    looks = iter([Seen({"a": "far"}), Seen({"a": "far"}), Seen({"a": "near", "b": "far"}), Seen({"a": "near"}, True)])
    told: list[tuple[str, str]] = []
    last = watch(lambda: next(looks), lambda *what: told.append(what), patience=60, poll_seconds=0)
    assert last.is_done
    assert told == [("a", "far"), ("a", "near"), ("b", "far")]


def test_what_is_stuck_and_does_not_move_is_given_up() -> None:
    last = watch(lambda: Seen({"a": "here"}, is_stuck=True), nobody, patience=0, poll_seconds=0)
    assert last.is_stuck


def test_what_moves_is_not_given_up_however_little_patience_there_is() -> None:
    looks = iter([*(Seen({"a": f"step {n}"}) for n in range(100)), Seen({}, is_done=True)])
    assert watch(lambda: next(looks), nobody, patience=0, poll_seconds=0).is_done


def test_to_go_round_in_circles_is_not_to_move() -> None:
    looks = itertools.cycle([Seen({"a": "running"}, is_stuck=True), Seen({"a": "crashed"}, is_stuck=True)])
    told: list[str] = []
    watch(lambda: next(looks), lambda _, place: told.append(place), patience=0.05, poll_seconds=0.01)
    assert told[:3] == ["running", "crashed", "running"]


def test_it_gives_up_at_its_deadline() -> None:
    last = watch(lambda: Seen({"a": "here"}), nobody, patience=60, poll_seconds=0, most_seconds=0)
    assert not last.is_done


def test_silence_for_a_moment_is_borne() -> None:
    answers = iter([None, None, Seen({}, is_done=True)])

    def look() -> Seen:
        answer = next(answers)
        if answer is None:
            raise Trouble("silent")
        return answer

    assert watch(look, nobody, patience=0, poll_seconds=0).is_done


def test_silence_for_long_is_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "UNANSWERED_SECONDS", 0)

    def look() -> Seen:
        raise Trouble("silent")

    with pytest.raises(Trouble, match="silent"):
        watch(look, nobody, patience=0, poll_seconds=0)
