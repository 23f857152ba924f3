"""From what was looked at to verdicts: what holds, what does not, and what nobody can tell."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from scout_ollama.checks import Finding
from scout_ollama.doctor.catalogue import CHECKS, ORDER, check_of
from scout_ollama.doctor.command import told
from scout_ollama.doctor.verdicts import CONNECTING, Look, Verdict, in_order, of_connections
from scout_ollama.errors import Trouble
from scout_ollama.inventory import Host
from scout_ollama.remote import RemoteError
from scout_ollama.remote.failures import sudo_refused
from scout_ollama.remote.protocol import Result

ROOT = Path(__file__).parents[2]
PLACES = ("gpu-1", "gpu-2")
DOWN = Finding("clock", "gpu-2", "its clock is 24 h 0 min behind", "certificates would be refused", "timedatectl")
HOST = Host(name="gpu-1", cluster="phi", address="192.0.2.11", roles=frozenset({"server"}))


def statuses(look: Look) -> list[tuple[str, str, str]]:
    return [(verdict.check, verdict.place, verdict.status) for verdict in look.verdicts()]


def test_what_was_looked_at_and_has_no_finding_holds() -> None:
    assert statuses(Look(["clock"], PLACES, [DOWN])) == [("clock", "gpu-2", "fail"), ("clock", "gpu-1", "pass")]


def test_what_could_not_be_looked_at_is_no_pass() -> None:
    look = Look(["clock", "disk"], PLACES, blocked={"gpu-2": "not asked: it does not answer"})
    assert ("disk", "gpu-2", "could not tell") in statuses(look)
    assert ("disk", "gpu-1", "pass") in statuses(look)


def test_a_finding_about_the_cluster_keeps_its_check_from_passing_anywhere() -> None:
    finding = Finding("models", None, "tiny:latest: the nodes differ", "", "inv list-models")
    assert statuses(Look(["models"], ["phi"], [finding])) == [("models", "phi", "fail")]


def test_how_far_a_connection_came_is_told_rung_by_rung() -> None:
    trouble = sudo_refused(HOST, Result("gpu-1", 1, "", "sudo: a password is required", 0.1))
    told = {v.check: v.status for look in of_connections(["gpu-1"], {"gpu-1": trouble}) for v in look.verdicts()}
    assert told == dict.fromkeys(CONNECTING[:4], "pass") | {"sudo": "fail", "answers": "could not tell"}


def test_a_trouble_that_names_no_rung_is_of_the_answer() -> None:
    for trouble in (Trouble("is closed"), RemoteError("x took longer than 5 s", host="gpu-1")):
        failed = [v.check for look in of_connections(["gpu-1"], {"gpu-1": trouble}) for v in look.verdicts() if v.what]
        assert failed == ["answers"]


def test_verdicts_come_from_the_ground_up_and_once() -> None:
    looks = [Look(["models"], ["phi"]), Look(["clock"], PLACES, [DOWN]), Look(["clock"], PLACES, [DOWN])]
    verdicts = in_order(looks, [*PLACES, "phi"])
    assert [(verdict.check, verdict.place) for verdict in verdicts] == [
        ("clock", "gpu-1"),
        ("clock", "gpu-2"),
        ("models", "phi"),
    ]


def test_every_finding_in_the_code_names_a_check_of_the_catalogue() -> None:
    named = {
        node.args[0].value
        for file in (ROOT / "scout_ollama").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Finding", "finding") and node.args
        if isinstance(node.args[0], ast.Constant)
    }
    assert len(named) > 20
    assert named <= set(ORDER)


def test_every_check_is_told_in_words_of_its_own() -> None:
    assert len({check.about for check in CHECKS}) == len({check.holds for check in CHECKS}) == len(ORDER)


def test_a_check_that_is_none_is_refused_with_the_names_of_those_there_are() -> None:
    with pytest.raises(Trouble, match="there is no check nosuch") as caught:
        check_of("nosuch")
    assert "clock" in caught.value.why


def test_what_holds_is_one_line_and_what_does_not_has_place_why_and_remedy() -> None:
    verdicts = [
        *(Verdict(check, "gpu-1", "pass") for check in ("name", "network")),
        Verdict("clock", "gpu-2", "fail", DOWN.what, DOWN.why, DOWN.next),
        Verdict("disk", "gpu-2", "pass"),
    ]
    assert told("phi", verdicts).plain.splitlines() == [
        "phi",
        "  pass: name, network",
        "  fail: clock: its clock is right",
        "      gpu-2: its clock is 24 h 0 min behind",
        "        why: certificates would be refused",
        "        next: timedatectl",
        "  pass: disk",
        "phi: 1 fault; begin with clock on gpu-2",
    ]
