"""Documents in which something, anywhere, is not what it should be."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

TEXTS = st.sampled_from(["", "-x", "--all", "../..", "$(id)", "\x1b[2J", "\ud800", "9" * 30, "1e999", "a b", "[red]x"])
SCALARS = st.none() | st.booleans() | st.integers() | st.just(2**70) | st.floats() | TEXTS | st.text(max_size=6)
GARBAGE = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2), max_leaves=4
)


@st.composite
def spoilt(draw: st.DrawFn, document: Any) -> Any:
    """The document with one to three of its values replaced or removed."""
    spoiled = json.loads(json.dumps(document))
    for _ in range(draw(st.integers(1, 3))):
        spoiled = _spoil(draw, spoiled)
    return spoiled


def _spoil(draw: st.DrawFn, document: Any) -> Any:
    if not isinstance(document, dict | list) or not document:
        return draw(GARBAGE)
    keys = list(document) if isinstance(document, dict) else list(range(len(document)))
    key = draw(st.sampled_from(keys))
    inner = document[key]
    if isinstance(inner, dict | list) and inner and draw(st.integers(0, 3)):
        document[key] = _spoil(draw, inner)
    elif draw(st.booleans()):
        document[key] = draw(GARBAGE)
    else:
        del document[key]
    return document
