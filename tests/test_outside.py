"""JSON and YAML from outside are data or Unreadable, in bounded time and memory; nonsense is trouble of its host."""

from __future__ import annotations

import json
import logging

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from scout_ollama.errors import Trouble
from scout_ollama.outside import MAX_YAML, Unreadable, all_from_yaml, from_json, from_yaml, understood, whole
from scout_ollama.steps import registries

PIECES = [
    "{",
    "}",
    "[",
    "]",
    ": ",
    ", ",
    "- ",
    "\n",
    "  ",
    "&a ",
    "*a ",
    "<<: ",
    "!!int ",
    "!!timestamp ",
    "? ",
    "x",
    "1",
    '"',
]
BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
MERGES = "a0: &a0 {x: y}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40))


@given(st.text(max_size=30) | st.binary(max_size=30) | st.lists(st.sampled_from(PIECES)).map("".join))
def test_anything_is_read_or_unreadable(text: str | bytes) -> None:
    for read in (from_json, from_yaml, all_from_yaml):
        try:
            read(text)
        except Unreadable as error:
            str(error).encode()


@pytest.mark.parametrize(
    "text", [BOMB, MERGES, "a: &a [*a]", "&a {<<: *a}", "[" * 9999, "x" * (MAX_YAML + 1), "a: !!python/object:os.x {}"]
)
def test_what_would_be_endless_is_refused_at_once(text: str) -> None:
    with pytest.raises(Unreadable):
        from_yaml(text)
    assert registries.parsed(text) is None


@pytest.mark.parametrize("text", ["[" * 99_999, "9" * 5000, "", "{", "nul"])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(Unreadable, match="it is not JSON"):
        from_json(text)


def test_an_alias_that_a_person_wrote_is_read() -> None:
    assert from_yaml("a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}") == {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_what_is_written_reads_back(value: object) -> None:
    assert from_json(json.dumps(value)) == value
    assert from_yaml(yaml.safe_dump(value)) == value


@given(st.text(max_size=25))
def test_a_number_is_decimal_digits(text: str) -> None:
    try:
        assert str(whole(text)) == text.lstrip("0") or int(text) == 0
    except Unreadable:
        assert not (text.isascii() and text.isdecimal() and len(text) <= 18)


@pytest.mark.parametrize("error", [KeyError("x"), TypeError("y"), RecursionError(), OverflowError(), Unreadable("z")])
def test_nonsense_is_trouble_that_names_host_and_script(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with (
        pytest.raises(Trouble, match="what host-facts found there makes no sense") as caught,
        understood("h", "host-facts"),
    ):
        raise error
    assert caught.value.host == "h"
    assert caught.value.next
    assert f"{__file__}:" in caplog.text, "where it was found is in the log"


def test_trouble_passes_as_it_is() -> None:
    with pytest.raises(Trouble, match=r"^plain$"), understood("h", "host-facts"):
        raise Trouble("plain")
