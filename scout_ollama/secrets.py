"""A secret is a type that prints itself redacted, wherever it ends up by mistake, and is masked in what is printed."""

import base64
import hmac
import json
import re
import threading
from collections.abc import Iterator
from typing import Any, NoReturn, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from .errors import printable

REDACTED = "(redacted)"
LEAST = 4
LEAST_LINE = 8


class Mask:
    """Replaces the secrets that it knows in text that is about to be written; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forms: frozenset[str] = frozenset()
        self._pattern = re.compile(r"(?!)")

    def add(self, secret: str) -> None:
        """Know one secret more. It is not forgotten: text made of it may outlive it."""
        if len(secret) < LEAST:
            return
        with self._lock:
            forms = self._forms.union(_forms(secret))
            if forms != self._forms:
                longest_first = sorted(forms, key=lambda form: (-len(form), form))
                self._pattern = re.compile("|".join(map(re.escape, longest_first)))
                self._forms = forms

    def masked(self, text: str) -> str:
        """Return the text with ``(redacted)`` in place of each secret."""
        return self._pattern.sub(REDACTED, text)


def _forms(secret: str) -> Iterator[str]:
    """The ways in which a secret, or a line of it that says something by itself, may be written down."""
    lines = [line for line in secret.splitlines() if len(line) >= LEAST_LINE and not line.startswith("-----")]
    for part in (secret, *lines):
        yield from (part, printable(part))
        yield from (json.dumps(part, ensure_ascii=ascii)[1:-1] for ascii in (True, False))
        yield from _base64(part.encode(errors="surrogatepass"))


def _base64(part: bytes) -> Iterator[str]:
    """Its base64, and what base64 makes of it inside a longer text: the characters that follow from it alone."""
    yield base64.b64encode(part).decode()
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + part).decode()
        yield encoded[-(-offset * 4 // 3) : (offset + len(part)) * 4 // 3]


_MASK = Mask()


def masked(text: str) -> str:
    """Return the text with ``(redacted)`` in place of each secret of this process: the last step before it is written.

    Found are a secret as it is, in JSON and in base64, and each line of at least eight characters of one that has
    several. Secrets of fewer than four characters are left: they are parts of ordinary words and numbers, so to mask
    them would make the text unreadable, and tell what they are by what is missing.
    """
    return _MASK.masked(text)


def masked_values(document: Any) -> Any:
    """Return a JSON document with the secrets in its texts masked; its keys, which are ours, stay as they are."""
    if isinstance(document, dict):
        return {key: masked_values(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [masked_values(item) for item in document]
    return masked(document) if isinstance(document, str) else document


class Secret:
    """Text that only ``reveal()`` gives away: redacted in str, repr, format and dumps; never pickled.

    From when there is one, ``masked()`` knows it.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text
        _MASK.add(text)

    def reveal(self) -> str:
        """The secret itself: for standard input or a request's body, never for argv or a message."""
        return self._text

    def __repr__(self) -> str:
        return REDACTED

    def __format__(self, spec: str) -> str:
        return format(REDACTED, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is not pickled: its text would be in the pickle")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from_text = core_schema.no_info_after_validator_function(cls, core_schema.str_schema())
        return core_schema.json_or_python_schema(
            json_schema=from_text,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), from_text]),
            serialization=core_schema.plain_serializer_function_ser_schema(str),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "format": "password"}
