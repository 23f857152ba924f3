"""Label selectors and node selectors, as the API defines them. Pure."""

from collections.abc import Mapping
from typing import Any

from lab.standins.k3s.objects import Object, labels_of, name_of


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector selects these labels: an empty one selects all, none selects nothing."""
    if selector is None:
        return False
    equal = all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())
    return equal and all(_holds(e, labels) for e in selector.get("matchExpressions") or [])


def matches_node(term: Mapping[str, Any], node: Object) -> bool:
    """Whether one nodeSelectorTerm selects a node; an empty term selects none."""
    expressions = term.get("matchExpressions") or []
    fields = term.get("matchFields") or []
    if not expressions and not fields:
        return False
    return all(_holds(e, labels_of(node)) for e in expressions) and all(
        _holds(e, {"metadata.name": name_of(node)}) for e in fields
    )


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, operator = expression["key"], expression["operator"]
    values = expression.get("values") or []
    present = key in labels
    match operator:
        case "In":
            return present and labels[key] in values
        case "NotIn":
            return not present or labels[key] not in values
        case "Exists":
            return present
        case "DoesNotExist":
            return not present
        case "Gt" | "Lt":
            return present and _compares(operator, labels[key], values)
    raise ValueError(f'"{operator}" is not a valid selector operator')


def _compares(operator: str, label: str, values: list[str]) -> bool:
    # Gt and Lt compare whole numbers: anything else, in the label or in the selector, never matches.
    try:
        number, (bound,) = int(label), map(int, values)
    except ValueError:
        return False
    return number > bound if operator == "Gt" else number < bound
