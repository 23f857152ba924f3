"""The documents say what the code does: what is generated is not out of date, and nothing is left out."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from invoke import Collection, Context, task

import tasks
from manual import commands, errors
from tests.test_cli import typed

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


# -- commands


def test_the_page_of_commands_does_not_drift() -> None:
    page = commands.page(Collection.from_module(tasks), tasks.HELP)
    assert (DOCS / "commands.md").read_text() == page, "python -m manual.commands > docs/commands.md"


def test_every_command_has_its_place_in_the_contents_and_no_other_has() -> None:
    placed = [name for names in commands.CONTENTS.values() for name in names]
    assert sorted(placed) == sorted(Collection.from_module(tasks).task_names), "edit CONTENTS in manual/commands.py"


def test_the_list_of_commands_is_a_table_of_contents() -> None:
    said = typed("--list")
    assert said.status == 0
    titles = [line.strip() for line in said.out.splitlines() if re.match(r"  \S", line)]
    assert titles == [*commands.CONTENTS]
    assert re.search(r"^  Models\n    pull-models  +Bring the declared models", said.out, re.MULTILINE)


def test_what_nobody_placed_is_listed_last() -> None:
    def new_thing(_: Context) -> None:
        """Do it."""

    collection = Collection()
    made: Any = task(new_thing)
    collection.add_task(made)
    assert commands.page(collection, {}).endswith("## Others\n\n### new-thing\n\nDo it.\n")


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


# -- environment, exit status, fields


def test_every_environment_variable_has_an_entry() -> None:
    sources = [ROOT / "tasks.py", *(ROOT / "scout_ollama").rglob("*.py"), *(ROOT / "lab").glob("*.py")]
    read = re.compile(r"environ(?:\.get\(|\[)\"(\w+)\"")
    named = {name for source in sources for name in read.findall(source.read_text())}
    assert {"SCOUT_SITE", "XDG_STATE_HOME", "NO_COLOR"} <= named
    assert named <= entries("Environment variables")


def test_every_exit_status_has_an_entry() -> None:
    """Whatever returns an int that is written there; a command that raises ends with 1."""
    modules = [ast.parse(path.read_text()) for path in (ROOT / "scout_ollama").rglob("*.py")]
    functions = [node for module in modules for node in ast.walk(module) if isinstance(node, ast.FunctionDef)]
    statuses = [node for function in functions if returns_int(function) for node in ast.walk(function)]
    returned = [node.value for node in statuses if isinstance(node, ast.Return)]
    branches = [[node.body, node.orelse] if isinstance(node, ast.IfExp) else [node] for node in returned]
    found = {str(node.value) for nodes in branches for node in nodes if isinstance(node, ast.Constant)}
    assert found == entries("Exit status")


def returns_int(function: ast.FunctionDef) -> bool:
    return isinstance(function.returns, ast.Name) and function.returns.id == "int"


def entries(section: str) -> set[str]:
    """The first column of a section's table."""
    text = (DOCS / "environment.md").read_text().partition(f"## {section}\n")[2].partition("\n## ")[0]
    return {name for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in re.findall(r"`(.*?)`", row)}


# -- what holds for all of them

PAGES = [path for path in sorted(ROOT.rglob("*.md")) if "/." not in str(path.relative_to(ROOT.parent))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|mailto:)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 100


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    """In blocks and between backticks; what a page says of options, ``--help`` and the runbooks' test know better."""
    text = page.read_text()
    code = "\n".join(re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL) + re.findall(r"`(inv [^`]+)`", text))
    named = set(re.findall(r"\binv ([a-z][-a-z]+)", code))
    assert named <= set(Collection.from_module(tasks).task_names)
