"""YAML as an inventory uses it: maps, lists and plain values, each with the line it stands on.

YAML 1.1 surprises are left out: ``no`` and ``on`` are text, so is ``22:30``, and a date stays as it was written.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .problems import Problem, Where

_TAG = "tag:yaml.org,2002:"
_PLAIN: dict[str, Callable[[str], Any]] = {
    f"{_TAG}null": lambda _: None,
    f"{_TAG}bool": lambda text: text.lower() == "true",
    f"{_TAG}int": int,
    f"{_TAG}float": float,
    f"{_TAG}str": str,
}

MAX_BYTES = 2**20
"""Bytes of an inventory file: a thousand hosts have less."""

_ALIAS = "an alias (*name), which is not read here"


class _Loader(yaml.SafeLoader):
    """SafeLoader with the few types of ``_PLAIN``, and without aliases, which could refer to themselves."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem=_ALIAS, problem_mark=self.current_event.start_mark)
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {}  # not those of SafeLoader
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]{1,18}", list("-+0123456789")),
    ("float", r"[-+]?[0-9]{1,18}\.[0-9]{1,18}", list("-+0123456789")),
):
    _Loader.add_implicit_resolver(f"{_TAG}{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first)


@dataclass(frozen=True)
class Document:
    """One YAML document: its plain data, and the line (from 1) of each place in it."""

    data: Any
    lines: dict[Where, int] = field(default_factory=dict)

    def line(self, where: Where) -> int | None:
        """Line of this place, or of the nearest place around it that is written."""
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where)


def read(file: Path) -> tuple[list[Document], list[Problem]]:
    """The documents of a file, and what is wrong with it as YAML. Raises nothing for what a file may hold."""
    documents: list[Document] = []
    problems: list[Problem] = []
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            return [], [Problem(file, (), f"is larger than {MAX_BYTES // 2**20} MiB", "a cluster takes a few kB")]
        loader = _Loader(content)
        while loader.check_node():
            if node := loader.get_node():
                lines: dict[Where, int] = {}
                data = _plain(node, (), lines, problems, file)
                documents.append(Document(data, lines))
    except OSError as error:
        problems.append(Problem(file, (), f"cannot be read: {error.strerror}"))
    except yaml.MarkedYAMLError as error:
        problems.append(Problem(file, (), f"is not valid YAML: {_position(error)}", _hint(error)))
    except yaml.reader.ReaderError as error:
        problems.append(Problem(file, (), f"is not text that YAML allows: {error.reason}", "save it as UTF-8"))
    except RecursionError:
        problems.append(Problem(file, (), "is nested too deeply to be an inventory"))
    return documents, problems


def _plain(node: yaml.Node, where: Where, lines: dict[Where, int], problems: list[Problem], file: Path) -> Any:
    """The node as plain data; collects its lines, and problems with what it holds."""
    lines[where] = node.start_mark.line + 1

    def problem(place: Where, wrong: str, right: str, at: yaml.Node) -> None:
        problems.append(Problem(file, place, wrong, right, at.start_mark.line + 1))

    if isinstance(node, yaml.MappingNode):
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key, str) or not key.isprintable():
                problem(where, "has a key that is not a line of text", "a key is a word before ':'", key_node)
            elif key in data:
                problem((*where, key), "is given twice", f"first on line {lines[*where, key]}; keep one", key_node)
            else:
                data[key] = _plain(value_node, (*where, key), lines, problems, file)
                lines[*where, key] = key_node.start_mark.line + 1
        return data
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*where, index), lines, problems, file) for index, item in enumerate(node.value)]
    if not node.value.isprintable():
        problem(where, "is not one line of printable text", "no value of an inventory is longer than a line", node)
        return None
    convert = _PLAIN.get(node.tag)
    try:
        if convert:
            return convert(node.value)
    except ValueError:
        pass
    problem(where, f"has the tag {node.tag.removeprefix(_TAG)}", "write the value without a tag", node)
    return None


def _position(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return place + (error.problem or error.context or "unreadable")


def _hint(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or ""
    if problem == _ALIAS:
        return "write the value out"
    if r"'\t'" in problem:
        return "indent with spaces, not with tabs"
    if "mapping values are not allowed" in problem:
        return "check the indentation, and quote a value that contains ': '"
    return "check indentation, brackets and quotes there and on the line before"
