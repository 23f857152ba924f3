"""What data from outside has to look like where it is looked at: told as data, and checked before anything else.

A shape is a type, or several (``int | str``); a function that raises ValueError for what it does not take; ``[shape]``
for a list; ``(None, shape)`` for what may be null; or a mapping from the names of fields to their shapes. There ``!``
after a name means that it is always there, and ``*`` stands for every name. Fields without a shape may be anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Any


def check(value: Any, shape: Any, place: str = "") -> None:
    """Make sure that a value has a shape; ``place`` is where it stands, for the message.

    Raises:
        ValueError: it has not.
    """
    match shape:
        case [inner] if isinstance(shape, list):
            require(isinstance(value, list), place)
            for number, item in enumerate(value):
                check(item, inner, f"{place}[{number}]")
        case (None, inner):
            if value is not None:
                check(value, inner, place)
        case Mapping():
            require(isinstance(value, Mapping), place)
            for name, inner in shape.items():
                _check_field(value, name, inner, place)
        case type() | UnionType():
            require(isinstance(value, shape) and (shape is bool or not isinstance(value, bool)), place)
        case _:
            shape(value, place)


def require(holds: bool, place: str) -> None:
    """Raise ValueError that names the place unless it holds."""
    if not holds:
        raise ValueError(f"{place.removeprefix('.') or 'it'} is not what should be there")


def size(value: Any, place: str) -> None:
    """The shape of a number of bytes, which fits into 63 bits."""
    check(value, int, place)
    require(0 <= value < 2**63, place)


def _check_field(value: Mapping[str, Any], name: str, shape: Any, place: str) -> None:
    field = name.removesuffix("!")
    require(field == name or field in value, f"{place}.{field}")
    for there in value if field == "*" else {field} & value.keys():
        check(value[there], shape, f"{place}.{there}")
