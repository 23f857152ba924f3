"""Text from outside read as JSON or YAML: bounded, and wrong in one way, whatever is in it."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from scout_ollama.errors import Trouble, places

MAX_YAML = 8 * 2**20
"""Bytes of a YAML stream; the largest of ours, with a chart inside, has less than 2 MiB."""
MAX_NODES = 200_000
"""Values in a YAML document with its aliases written out, so that a small one cannot become endless."""

_DIGITS = re.compile("[0-9]{1,18}")
_LONGEST = 300  # characters of a reason
# What the parsers, and whoever looks for a field in what they made of nonsense, raise.
_NONSENSE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)

_logger = logging.getLogger(__name__)


class Unreadable(ValueError):
    """Text that is not the JSON or YAML that it should be."""


def from_json(text: str | bytes) -> Any:
    """Return what JSON says.

    Raises:
        Unreadable: it is none.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"it is not JSON: {str(error) or 'nested too deeply'}") from None


def from_yaml(text: str | bytes) -> Any:
    """Return what a YAML document says; None for an empty one. Raises as ``all_from_yaml`` does."""
    documents = all_from_yaml(text)
    if len(documents) > 1:
        raise Unreadable("it is several YAML documents")
    return documents[0] if documents else None


def all_from_yaml(text: str | bytes) -> list[Any]:
    """Return what each document of a YAML stream says.

    Raises:
        Unreadable: it is none, or larger than ``MAX_YAML`` or ``MAX_NODES``. What it says is not in the message.
    """
    if len(text) > MAX_YAML:
        raise Unreadable(f"it is larger than {MAX_YAML // 2**20} MiB")
    try:
        return list(yaml.load_all(text, Loader=_Loader))
    except (yaml.YAMLError, *_NONSENSE):
        raise Unreadable("it is not YAML") from None


def whole(text: str) -> int:
    """Return the number that decimal digits are.

    Raises:
        Unreadable: they are none, or more than 18: nothing that is counted here has as many.
    """
    if not _DIGITS.fullmatch(text):
        raise Unreadable(f"{text[:40]!r} is no number")
    return int(text)


@contextmanager
def understood(host: str, script: str) -> Iterator[None]:
    """Around what makes sense of a script's output: nonsense in it is trouble of the host that said it.

    The log has the places in the code that found it: the nonsense may be ours.

    Raises:
        Trouble: it makes no sense.
    """
    try:
        yield
    except Trouble:
        raise
    except _NONSENSE as error:
        _logger.info("%s: no sense in what %s said: %s", host, script, places(error))
        raise Trouble(
            f"what {script} found there makes no sense",
            host=host,
            why=f"{type(error).__name__}: {error}"[:_LONGEST],
            next=f"inv check --hosts {host}; the same command again, if something was being changed there",
        ) from error


class _Loader(yaml.SafeLoader):
    """SafeLoader that counts before it makes anything."""

    def get_node(self) -> yaml.Node | None:
        node = super().get_node()
        if node:
            _count(node, {})
        return node


def _count(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node is when its aliases are written out. Raises Unreadable if too many, or without end."""
    if id(node) not in known:
        known[id(node)] = MAX_NODES  # until it is counted: it may be within itself
        inner = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        parts = inner if isinstance(node, yaml.CollectionNode) else ()
        known[id(node)] = 1 + sum(_count(part, known) for part in parts)
    if known[id(node)] > MAX_NODES:
        raise Unreadable("too many values")
    return known[id(node)]
