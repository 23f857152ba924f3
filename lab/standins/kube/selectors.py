"""Label and field selectors."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from lab.standins.kube.errors import Json, bad_request

Match = Callable[[Json], bool]
_SET = re.compile(r"\s*([^\s,=!()]+)\s+(in|notin)\s*\(([^)]*)\)\s*")
# The fields each kind can be selected by (pkg/registry/*/strategy.go); the value is their default.
FIELDS: dict[str, dict[str, str]] = {
    "pods": dict.fromkeys(
        [
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        "",
    )
    | {"spec.hostNetwork": "false"},
    "nodes": {"spec.unschedulable": "false"},
    "namespaces": {"status.phase": ""},
    "secrets": {"type": ""},
    "jobs.batch": {"status.successful": "0"},
    "services": {"spec.clusterIP": "", "spec.type": ""},
    "events": dict.fromkeys(
        [
            f"involvedObject.{name}"
            for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
        ]
        + ["reason", "reportingComponent", "source", "type"],
        "",
    ),
}


def labels(text: str) -> Match:
    """A label selector: `a=b,c!=d,e,!f,g in (h,i)`. Raises ApiError 400 when it cannot be read."""
    tests: list[Match] = []
    rest = text.strip()
    while rest:
        found = _SET.match(rest)
        term, rest = (found[0], rest[found.end() :].lstrip(", ")) if found else _cut(rest)
        tests.append(_label_test(term.strip(), found))
    return lambda obj: all(test(obj.get("metadata", {}).get("labels") or {}) for test in tests)


def _cut(text: str) -> tuple[str, str]:
    term, _, rest = text.partition(",")
    return term, rest.strip()


def _label_test(term: str, found: re.Match[str] | None) -> Match:
    if found:
        key, operator = found[1], found[2]
        values = {value.strip() for value in found[3].split(",")}
        return (lambda own: own.get(key) in values) if operator == "in" else (lambda own: own.get(key) not in values)
    parts = re.fullmatch(r"([^\s=!()]+)\s*(==?|!=)\s*([-\w.]*)", term)
    if parts:
        key, operator, value = parts.groups()
        return (lambda own: own.get(key) != value) if operator == "!=" else (lambda own: own.get(key) == value)
    if re.fullmatch(r"!?[^\s=!()]+", term):
        return (lambda own: term[1:] not in own) if term.startswith("!") else (lambda own: term in own)
    raise bad_request(f'unable to parse requirement: found "{term}", expected: "," or \'end of string\'')


def matches(selector: Json | None, own: dict[str, str]) -> bool:
    """Whether a LabelSelector object (matchLabels, matchExpressions) selects these labels; none selects nothing."""
    if selector is None:
        return False
    if any(own.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for rule in selector.get("matchExpressions") or ():
        value, values = own.get(rule["key"]), rule.get("values") or []
        holds = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not holds.get(rule["operator"], False):
            return False
    return True


def fields(text: str, collection: str) -> Match:
    """A field selector: `metadata.name=a,status.phase!=Running`. Raises ApiError 400 for a field that has none."""
    known = {"metadata.name": "", "metadata.namespace": "", **FIELDS.get(collection, {})}
    tests: list[Match] = []
    for term in filter(None, text.split(",")):
        parts = re.fullmatch(r"([^=!]+)(==?|!=)(.*)", term)
        if not parts:
            raise bad_request(f"invalid field selector: {term}")
        path, operator, value = parts.groups()
        if path not in known:
            raise bad_request(f"field label not supported: {path}")
        tests.append(_field_test(path, operator != "!=", value, known[path]))
    return lambda obj: all(test(obj) for test in tests)


def _field_test(path: str, equal: bool, value: str, default: str) -> Match:
    def test(obj: Json) -> bool:
        found: Any = obj
        for step in path.split("."):
            found = found.get(step) if isinstance(found, dict) else None
        if isinstance(found, dict):
            found = found.get("component")
        text = default if found is None else str(found).lower() if isinstance(found, bool) else str(found)
        return (text == value) == equal

    return test
