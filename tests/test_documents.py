"""The documents say what the code does: what is generated is not out of date, and nothing is left out."""

from __future__ import annotations

from pathlib import Path

import pytest
from invoke import Collection

import tasks
from manual import commands, errors

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


# -- commands


def test_the_page_of_commands_does_not_drift() -> None:
    page = commands.page(Collection.from_module(tasks), tasks.HELP)
    assert (DOCS / "commands.md").read_text() == page, "python -m manual.commands > docs/commands.md"


def test_every_command_has_its_place_in_the_contents_and_no_other_has() -> None:
    placed = [name for names in commands.CONTENTS.values() for name in names]
    assert sorted(placed) == sorted(Collection.from_module(tasks).task_names), "edit CONTENTS in manual/commands.py"


# -- errors


def test_the_page_of_errors_does_not_drift() -> None:
    assert (DOCS / "errors.md").read_text() == errors.page(), "python -m manual.errors > docs/errors.md"


@pytest.mark.parametrize(
    "what",
    [
        "presents a host key that is not known",
        "does not answer",
        "K3s is not running",
        "… is locked…: nothing was begun",
        "its key was not added: another is known",
        "no cluster in … has an endpoint",
        "unexpected …: …",
    ],
)
def test_messages_are_found_however_they_are_made(what: str) -> None:
    found = [message.what for messages in errors.by_subject().values() for message in messages]
    assert what in found
