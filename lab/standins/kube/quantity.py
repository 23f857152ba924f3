"""Resource quantities: parsed exactly, and written in the canonical form the API stores (1024Mi becomes 1Gi)."""

from __future__ import annotations

import re
from fractions import Fraction
from math import ceil

PATTERN = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
MALFORMED = f"quantities must match the regular expression '{PATTERN}'"
_NUMBER = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?[0-9]+)?")
_BINARY = {"": 0, "Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_NANO = 10**9


def _split(text: str) -> tuple[Fraction, str]:
    match = _NUMBER.fullmatch(text.strip())
    if not match:
        raise ValueError(MALFORMED)
    return Fraction(match[1]), match[2] or ""


def parse(quantity: object) -> Fraction:
    """The value of a quantity (a string, or a bare number). Raises ValueError when it is malformed."""
    number, suffix = _split(str(quantity))
    if suffix in _BINARY:
        return Fraction(number * 1024 ** _BINARY[suffix])
    exponent = _DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:])
    return Fraction(number * Fraction(10) ** exponent)


def canonical(quantity: object) -> str:
    """The form the API stores: the largest suffix of its kind that needs no fraction. Raises ValueError when malformed.

    Source: the description of the format in k8s.io/apimachinery/pkg/api/resource/quantity.go.
    """
    suffix = _split(str(quantity))[1]
    value = parse(quantity)
    if value == 0:
        return "0"
    if suffix.endswith("i") and abs(value) >= 1024 and value.denominator == 1:
        powers = (pair for pair in _BINARY.items() if value % 1024 ** pair[1] == 0)
        name, power = max(powers, key=lambda pair: pair[1])
        return f"{value / 1024**power}{name}"
    nano = ceil(value * _NANO)
    if suffix[:1] in ("e", "E") and suffix != "E":
        exponent = max(e for e in range(-9, 19, 3) if nano % 10 ** (e + 9) == 0)
        return f"{nano // 10 ** (exponent + 9)}" + (f"e{exponent}" if exponent else "")
    name, power = max((pair for pair in _DECIMAL.items() if nano % 10 ** (pair[1] + 9) == 0), key=lambda pair: pair[1])
    return f"{nano // 10 ** (power + 9)}{name}"
