"""docs/errors.md: every message of trouble in the code, with its why and its next command.

``python -m manual.errors > docs/errors.md`` writes the page anew.
"""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "scout_ollama"
REST = "…"
"""Stands for what is known only when it happens."""

_HEAD = f"""\
# What goes wrong, in its own words

A message is `host: what happened`, then `why:` and `next:`, the command to type. Every one that the code has is here;
`{REST}` stands for what is known only when it happens. The exit status is 1. `inv check --explain CHECK` says more.
This page is made of the code: `python -m manual.errors > docs/errors.md`.
"""

Signatures = Mapping[str, Sequence[str]]
"""The parameters of whatever makes a message, by its name."""


@dataclass(frozen=True)
class Message:
    """What is said; each part with ``…`` for what is known only when it happens."""

    what: str
    why: str
    next: str


def page() -> str:
    """Return docs/errors.md."""
    parts = [_HEAD]
    for title, messages in by_subject().items():
        parts.append(f"\n## {title}\n\n| what | why | next |\n|---|---|---|\n")
        parts += [f"| {_cell(one.what)} | {_cell(one.why)} | {_cell(one.next)} |\n" for one in messages]
    return "".join(parts)


@functools.cache
def by_subject() -> dict[str, list[Message]]:
    """Return every message of the code, under what its module is about."""
    modules = {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}
    signatures = _signatures([*modules.values()])
    found: dict[str, list[Message]] = {}
    for path, module in modules.items():
        messages = [*_raised(module, signatures), *(_refused(module) if path.parent.name == "inventory" else [])]
        if told := {one.what: one for one in messages if any(map(str.isalpha, one.what))}:
            title = (ast.get_docstring(module) or "").splitlines()[0].rstrip(".").replace("``", "`")
            found.setdefault(title, []).extend(told.values())
    return found


def _signatures(modules: Sequence[ast.Module]) -> Signatures:
    """Of functions and classes that take a ``what`` and a ``why``, and of classes derived from these."""
    nodes = [node for module in modules for node in ast.walk(module)]
    found = {node.name: _parameters(node) for node in nodes if isinstance(node, ast.FunctionDef)}
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    found |= {node.name: _constructor(node) for node in classes}
    known = {name: parameters for name, parameters in found.items() if {"what", "why"} <= {*parameters}}
    for _ in classes:  # as often as classes can stand on each other
        heirs = [(node, base.id) for node in classes for base in node.bases if isinstance(base, ast.Name)]
        known |= {node.name: known[base] for node, base in heirs if base in known and not _constructor(node)}
    return known


def _parameters(function: ast.FunctionDef) -> list[str]:
    return [argument.arg for argument in (*function.args.args, *function.args.kwonlyargs) if argument.arg != "self"]


def _constructor(node: ast.ClassDef) -> list[str]:
    """What it is made with: the parameters of its own constructor, or the fields of a dataclass."""
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            return _parameters(part)
    if not node.decorator_list:
        return []
    fields = [part.target for part in node.body if isinstance(part, ast.AnnAssign)]
    return [field.id for field in fields if isinstance(field, ast.Name)]


def _raised(module: ast.Module, signatures: Signatures) -> Iterator[Message]:
    for function in ast.walk(module):
        if not isinstance(function, ast.FunctionDef):
            continue
        values = _assigned(function)
        for call in ast.walk(function):
            if isinstance(call, ast.Call) and (parameters := signatures.get(_callee(call))):
                given = dict(zip(parameters, call.args, strict=False))
                given |= {word.arg: word.value for word in call.keywords if word.arg}
                why, next = ("".join(_texts(given.get(name), values)[:1]) for name in ("why", "next"))
                yield from (Message(what, why, next) for what in _texts(given.get("what"), values))


def _callee(call: ast.Call) -> str:
    """The name of what is called; of a constructor that calls the one above it, what everything stands on."""
    if isinstance(call.func, ast.Attribute):
        return "Trouble" if call.func.attr == "__init__" else call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _refused(module: ast.Module) -> Iterator[Message]:
    """What the inventory's own checks say: a ValueError, or what is yielded with the field and a remedy."""
    for function in ast.walk(module):
        if not isinstance(function, ast.FunctionDef):
            continue
        values = _assigned(function)
        for node in ast.walk(function):
            match node:
                case ast.Call(func=ast.Name(id="ValueError"), args=[text]):
                    yield from (Message(f"{REST}.yaml: {REST}: {what}", "", "") for what in _texts(text, values))
                case ast.Yield(value=ast.Tuple(elts=[*_, what, remedy])):
                    remedies = _texts(remedy, values)
                    yield from (
                        Message(f"{REST}.yaml: {REST}: {text}", "", remedies[0]) for text in _texts(what, values)
                    )


def _assigned(function: ast.FunctionDef) -> dict[str, list[ast.expr]]:
    """What each local name may stand for."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.NamedExpr(ast.Name(id=name), value=value):
                found.setdefault(name, []).append(value)
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=several)):
                for target, value in zip(names, several, strict=False):
                    if isinstance(target, ast.Name):
                        found.setdefault(target.id, []).append(value)
    return found


def _texts(node: ast.expr | None, values: Mapping[str, Sequence[ast.expr]]) -> list[str]:
    """Every text that an expression may be."""
    match node:
        case None:
            return [""]
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=parts):
            return ["".join(str(part.value) if isinstance(part, ast.Constant) else REST for part in parts)]
        case ast.IfExp(body=one, orelse=other):
            return _texts(one, values) + _texts(other, values)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return [a + b for a in _texts(left, values) for b in _texts(right, values)]
        case ast.Name(id=name) if name in values:
            rest = {key: value for key, value in values.items() if key != name}
            return [text for value in values[name] for text in _texts(value, rest)]
        case (
            ast.Call(func=ast.Name(id="on"), args=[_, command])
            | ast.Call(func=ast.Attribute(attr="on"), args=[_, command])
        ):
            return [f"ssh {REST} '{text}'" for text in _texts(command, values)]
    return [REST]


def _cell(text: str) -> str:
    """One cell of a table, in which nothing is taken for markup."""
    shown = " ".join(text.split()).replace("|", "\\|")
    return f"`{shown}`" if any(map(str.isalpha, shown)) else shown


if __name__ == "__main__":
    sys.stdout.write(page())
