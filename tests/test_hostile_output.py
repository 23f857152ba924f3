"""What a host prints is taken in within limits, in time that grows with its length, and always as text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scout_ollama.errors import Trouble
from scout_ollama.inventory import Host
from scout_ollama.remote import Conversation, Script, conversation
from scout_ollama.remote import output as outputs
from scout_ollama.remote.output import Output, TooMuchOutput
from scout_ollama.remote.script import STARTED

HOST = Host(name="phi-gpu-1", cluster="phi", address="192.0.2.11", roles=frozenset({"server"}))
CHUNKS = st.lists(
    st.binary(max_size=12) | st.sampled_from([b"\n", b"\xff\n", STARTED, STARTED[:9], b"\x1b["]), max_size=12
)


class Saying(Conversation):
    """A host that says these bytes, piece by piece."""

    def __init__(self, pieces: list[bytes]) -> None:
        super().__init__(HOST, Script("hold-lock", ""))
        self._pieces = iter([piece for piece in pieces if piece])

    def close(self) -> None: ...

    def _send(self, data: bytes) -> None: ...

    def _receive(self, seconds: float) -> bytes:  # noqa: ARG002
        return next(self._pieces, b"")


def heard(pieces: list[bytes]) -> list[str]:
    talk, lines = Saying(pieces), []
    while (line := talk.hear(1)) is not None:
        lines.append(line)
    return lines


@given(CHUNKS)
def test_lines_are_the_same_however_they_arrive(chunks: list[bytes]) -> None:
    lines: list[str] = []
    output = Output(lines.append)
    for chunk in [STARTED, *chunks]:
        output.stdout(chunk)
    text, _ = output.end()
    assert text.encode() == b"".join(chunks).decode(errors="replace").encode()
    whole = b"".join(chunks)
    assert lines == [
        line.decode(errors="replace") for line in whole.split(b"\n")[: None if whole[-1:] != b"\n" else -1] if whole
    ]


@given(st.integers(1, len(STARTED)), st.binary(max_size=9))
def test_the_beginning_is_found_wherever_it_is_cut(at: int, noise: bytes) -> None:
    output = Output()
    for chunk in (noise, STARTED[:at], STARTED[at:] + b"ours"):
        output.stdout(chunk)
    assert output.end()[0] == "ours"


@given(CHUNKS)
def test_a_conversation_hears_the_same_lines_however_they_arrive(chunks: list[bytes]) -> None:
    assert heard([STARTED, *chunks]) == heard([STARTED + b"".join(chunks)])


def test_a_host_that_prints_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "LIMIT_BYTES", 100_000)
    output = Output()
    output.stderr(b"x" * 100_000)
    with pytest.raises(TooMuchOutput):
        output.stdout(b"x")


def test_a_conversation_without_end_is_cut_off_and_names_host_and_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "LIMIT_BYTES", 100_000)
    with pytest.raises(Trouble, match="hold-lock printed more than") as caught:
        heard([STARTED, *[b"x" * 1000] * 200])
    assert caught.value.host == HOST.name


def test_one_line_of_many_megabytes_takes_no_time() -> None:
    """Looking through all of it again for each piece would take a hundred times as long."""
    pieces = [b"x" * 4096] * 4000
    began = time.process_time()
    output = Output(lambda _: None)
    for piece in pieces:
        output.stdout(piece)
    assert len(heard([STARTED, *pieces])[0]) == 4096 * 4000
    assert time.process_time() - began < 2
