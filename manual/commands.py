"""The commands by what an operator does: ``inv --list`` as a table of contents, and docs/commands.md.

``python -m manual.commands > docs/commands.md`` writes the page anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from invoke import Collection, Program, Task

from scout_ollama.pipes import let_reader_go

Command = Task[Any]
CONTENTS = {
    "Look": (
        "status",
        "check",
        "list-hosts",
        "list-models",
        "list-images",
        "render",
        "check-access",
        "show-lock",
        "audit",
    ),
    "Install and change": (
        "fetch-chart",
        "install-gpu-operator",
        "deploy-ollama",
        "rotate-tls",
        "rollback-ollama",
        "remove-ollama",
    ),
    "Models": ("pull-models", "verify-models", "rollback-models", "prune-models"),
    "Scouts": ("connect-scout", "disconnect-scout", "remove-embedded-ollama"),
    "At 2 a.m.": ("exec", "drain-host", "undrain-host", "restart-ollama", "release-lock"),
    "Site and lab": ("show-host-keys", "trust-host", "lab-up", "lab-down"),
}
"""What an operator does, and the commands for it, in the order in which they are looked for."""

_HEAD = """\
# Commands

`inv --list` shows them by what you do, `inv COMMAND --help` shows one. This page is made of the same help:
`python -m manual.commands > docs/commands.md`.

`--hosts` takes clusters, environments, kinds, hosts and globs, with commas; `phi:gpu-1` narrows.
[What a changing command asks, and what undoes it](gate.md). [What its messages mean](errors.md).
[Exit status and environment variables](environment.md). [Step by step in trouble](runbooks/README.md).
"""


def list_by_group(program: Program) -> None:
    """Print what ``inv --list`` prints: the commands in their groups, what is in none last."""
    tasks = _tasks(program.collection)
    rows: list[tuple[str, str | None]] = []
    for title, names in _groups(tasks):
        rows += [(title, None), *((f"  {name}", _summary(tasks[name])) for name in names), ("", None)]
    try:
        program.print_columns(rows)
        sys.stdout.flush()
    except BrokenPipeError:
        let_reader_go()


def page(collection: Collection, shared: Mapping[str, str]) -> str:
    """Return docs/commands.md; ``shared`` are the help texts of the options that many commands have, by option."""
    tasks = _tasks(collection)
    rows = "".join(f"| `--{name}` | {text} |\n" for name, text in shared.items())
    parts = [_HEAD, f"\n## Options of many commands\n\n| option | |\n|---|---|\n{rows}"]
    for title, names in _groups(tasks):
        parts.append(f"\n## {title}\n")
        parts += [_entry(name, tasks[name], shared) for name in names]
    return "".join(parts)


def _groups(tasks: Mapping[str, Command]) -> Iterator[tuple[str, list[str]]]:
    for title, names in CONTENTS.items():
        yield title, [name for name in names if name in tasks]
    grouped = {name for names in CONTENTS.values() for name in names}
    if others := sorted(tasks.keys() - grouped):
        yield "Others", others


def _tasks(collection: Collection) -> dict[str, Command]:
    return {collection.transform(name): task for name, task in collection.tasks.items()}


def _summary(task: Command) -> str:
    return (task.__doc__ or "").strip().splitlines()[0]


def _entry(name: str, task: Command, shared: Mapping[str, str]) -> str:
    own, common = [], []
    for argument in task.get_arguments():
        option = str(argument.name).strip("_").replace("_", "-")
        if shared.get(option) == argument.help:
            common.append(f"`--{option}`" + (f" (`{argument.default}`)" if argument.default else ""))
        else:
            kind = {str: "=STRING", int: "=INT"}.get(argument.kind, "")
            default = f" (`{argument.default}`)" if argument.default else ""
            own.append(f"| `--{option}{kind}`{default} | {argument.help} |\n")
    table = "\n| option | |\n|---|---|\n" + "".join(own) if own else ""
    line = f"\nAlso {', '.join(common)}.\n" if common else ""
    return f"\n### {name}\n\n{_summary(task)}\n{table}{line}"


if __name__ == "__main__":
    import tasks

    sys.stdout.write(page(Collection.from_module(tasks), tasks.HELP))
