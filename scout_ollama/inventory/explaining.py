"""What pydantic found, in the inventory's own words: what is wrong, and what would be right."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from .fields import Derived, shown
from .problems import Problem, Where
from .reading import Document

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a mapping of name: value",
    "model_type": "a mapping of key: value",
    "path_type": "the name of a file",
}


def explain(file: Path, document: Document, model: type[BaseModel], error: ErrorDetails) -> Problem:
    """One error of pydantic as a problem in this file."""
    where = error["loc"]
    if error["type"] == "extra_forbidden":
        return unknown(file, model, where)
    if error["type"] == "value_error":  # of our own fields, which say what would be right
        return Problem(file, _written(document, where), str(error["ctx"]["error"]))
    if error["type"] != "missing":
        where = _written(document, where)
    return Problem(file, where, _wrong(error), _meaning(model, where))


def unknown(file: Path, model: type[BaseModel], where: Where) -> Problem:
    """A key that its mapping does not have; the closest that it has. Its value is not shown: it may be a secret."""
    fields = _fields_at(model, where[:-1])
    known = [name for name, field in fields.items() if Derived() not in field.metadata]
    close = get_close_matches(str(where[-1]), known, n=1)
    right = f"did you mean {close[0]}?" if close else f"known keys: {', '.join(known)}"
    if where[-1] in fields and where[-1] not in known:
        right = "leave it out: it follows from where this stands"
    return Problem(file, where, "is not a known key", right)


def _wrong(error: ErrorDetails) -> str:
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "missing":
        return "is missing"
    if kind == "too_short":
        return "is empty"
    if kind == "literal_error":
        return f"is {_found(value)}, not {context['expected']}"
    if kind in _EXPECTED:
        quote = ": put it in quotes" if kind == "string_type" and isinstance(value, int | float) else ""
        return f"is {_found(value)}, not {_EXPECTED[kind]}{quote}"
    return f"is {_found(value)}: {error['msg'].replace('Input should', 'it should')}"


def _found(value: Any) -> str:
    match value:
        case None:
            return "empty"
        case bool():
            return str(value).lower()
        case int() | float():
            return f"the number {value}"
        case str():
            return shown(value)
        case list():
            return "a list"
        case _:
            return "a mapping"


def _written(document: Document, where: Where) -> Where:
    """The part of ``where`` that the file has: pydantic also names what is only in the model."""
    while where and where not in document.lines:
        where = where[:-1]
    return where


def _meaning(model: type[BaseModel], where: Where) -> str:
    """The description of the field at ``where``, or of the nearest one around it."""
    for end in range(len(where), 0, -1):
        field = _fields_at(model, where[: end - 1]).get(str(where[end - 1]))
        if field and field.description:
            return field.description.rstrip(".")
    return ""


def _fields_at(model: type[BaseModel], where: Where) -> dict[str, FieldInfo]:
    """The fields of the model at a place; none where there is no model. Indexes and host names are passed over."""
    annotation: Any = model
    for part in where:
        inner = _model_in(annotation)
        if inner and part in inner.model_fields:
            annotation = inner.model_fields[str(part)].annotation
    found = _model_in(annotation)
    return found.model_fields if found else {}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
