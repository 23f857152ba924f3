"""A chat as the one text that weights continue: what a model's template makes of it."""

from __future__ import annotations

import re
from typing import Any

_IF = re.compile(r"\{\{-? *if *\.(\w+) *-?\}\}(.*?)\{\{-? *end *-?\}\}", re.DOTALL)
_VARIABLE = re.compile(r"\{\{-? *\.(\w+) *-?\}\}")


def render(template: str, messages: list[dict[str, Any]]) -> str:
    """The turns, each in the template; what follows `.Response` in the last one is left to the weights.

    Of Go's templates it knows `.System`, `.Prompt` and `.Response` and `if` with one of them, not nested.
    """
    turns: list[dict[str, str]] = [{}]
    for message in messages:
        variable = {"system": "System", "assistant": "Response"}.get(message.get("role", "user"), "Prompt")
        if variable in turns[-1] or "Response" in turns[-1]:
            turns.append({})
        turns[-1][variable] = str(message.get("content") or "")
    if "Response" not in turns[-1]:
        template_of_last = template.partition("{{ .Response }}")[0]
        return "".join(_turn(template, turn) for turn in turns[:-1]) + _turn(template_of_last, turns[-1])
    return "".join(_turn(template, turn) for turn in turns)


def _turn(template: str, variables: dict[str, str]) -> str:
    chosen = _IF.sub(lambda found: found[2] if variables.get(found[1]) else "", template)
    return _VARIABLE.sub(lambda found: variables.get(found[1], ""), chosen)
