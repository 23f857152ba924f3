"""Trouble tells a person what happened, where, why, and what to type next."""

from scout_ollama.errors import InventoryError, Trouble


def test_trouble_says_where_what_why_and_what_to_type_next() -> None:
    trouble = Trouble("K3s is not running", host="phi-gpu-1", why="the service failed", next="journalctl -u k3s")
    assert str(trouble) == (
        "phi-gpu-1: K3s is not running\n"
        "  why: the service failed\n"
        "  next: journalctl -u k3s"
    )  # fmt: skip


def test_what_there_is_not_to_say_is_left_out() -> None:
    assert str(Trouble("no hosts selected")) == "no hosts selected"
    assert str(Trouble("it is full", host="phi-gpu-1", next="df -h")) == "phi-gpu-1: it is full\n  next: df -h"


def test_further_lines_stand_under_the_first() -> None:
    assert str(Trouble("failed", why="line 1\nline 2\n")) == "failed\n  why: line 1\n       line 2"


def test_what_a_host_said_cannot_steer_the_terminal() -> None:
    shown = str(Trouble("it said \x1b[2J\x07 and \ud800", why="a\ttab\r stays"))
    assert shown == "it said \N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER} and \N{REPLACEMENT CHARACTER}\n" + (
        "  why: a\ttab\N{REPLACEMENT CHARACTER} stays"
    )
    shown.encode()


def test_the_parts_are_there_for_json() -> None:
    trouble = InventoryError("it is wrong", next="inv list-hosts")
    assert isinstance(trouble, Trouble)
    assert (trouble.what, trouble.host, trouble.why, trouble.next) == ("it is wrong", None, "", "inv list-hosts")
