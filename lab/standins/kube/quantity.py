"""Resource quantities: parsed exactly, and written in the canonical form the API stores (1024Mi becomes 1Gi)."""

from __future__ import annotations

import re
from decimal import ROUND_UP, Decimal

PATTERN = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
MALFORMED = f"quantities must match the regular expression '{PATTERN}'"
_NUMBER = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?[0-9]+)?")
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


def _split(text: str) -> tuple[Decimal, str]:
    match = _NUMBER.fullmatch(text.strip())
    if not match:
        raise ValueError(MALFORMED)
    return Decimal(match[1]), match[2] or ""


def parse(quantity: object) -> Decimal:
    """The value of a quantity (a string, or a bare number). Raises ValueError when it is malformed."""
    number, suffix = _split(str(quantity))
    if suffix in _BINARY:
        return number * Decimal(1024 ** _BINARY[suffix])
    if suffix in _DECIMAL:
        return number.scaleb(_DECIMAL[suffix])
    return number.scaleb(int(suffix[1:]))


def canonical(quantity: object) -> str:
    """The form the API stores: the largest suffix that needs no fraction. Raises ValueError when malformed.

    Source: the format's description in k8s.io/apimachinery/pkg/api/resource/quantity.go.
    """
    suffix = _split(str(quantity))[1]
    value = parse(quantity)
    if value == 0:
        return "0"
    if suffix in _BINARY and abs(value) >= 1024 and value == value.to_integral_value():
        name, power = max(
            ((n, p) for n, p in _BINARY.items() if value % 1024**p == 0), key=lambda x: x[1], default=("", 0)
        )
        return f"{int(value) // 1024**power}{name}"
    nano = value.scaleb(9).to_integral_value(rounding=ROUND_UP)
    if suffix[:1] in ("e", "E") and suffix != "E":
        exponent = max(e for e in range(-9, 19, 3) if nano % Decimal(10) ** (e + 9) == 0)
        return f"{int(nano.scaleb(-9 - exponent))}" + (f"e{exponent}" if exponent else "")
    name, power = max(((n, p) for n, p in _DECIMAL.items() if nano % Decimal(10) ** (p + 9) == 0), key=lambda x: x[1])
    return f"{int(nano.scaleb(-9 - power))}{name}"
