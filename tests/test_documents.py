"""The documents say what the code does: what is generated is not out of date, and nothing is left out."""

from __future__ import annotations

from pathlib import Path

from invoke import Collection

import contents
import tasks

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


# -- commands


def test_the_page_of_commands_does_not_drift() -> None:
    page = contents.page(Collection.from_module(tasks), tasks.HELP)
    assert (DOCS / "commands.md").read_text() == page, "python -m contents > docs/commands.md"


def test_every_command_has_its_place_in_the_contents_and_no_other_has() -> None:
    placed = [name for names in contents.CONTENTS.values() for name in names]
    assert sorted(placed) == sorted(Collection.from_module(tasks).task_names), "edit CONTENTS in contents.py"
