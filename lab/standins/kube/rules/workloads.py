"""DaemonSets, Deployments, StatefulSets, ReplicaSets and Jobs: pkg/apis/apps and batch/validation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lab.standins.kube.errors import FieldError, Json, forbidden_field, invalid_value, required, unsupported
from lab.standins.kube.rules import names, pods
from lab.standins.kube.selectors import matches

Errors = Iterator[FieldError]
MUTABLE_STATEFUL_SET = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)


def workload(obj: Json, *, policies: tuple[str, ...] = ("Always",)) -> Errors:
    """What all that make pods have in common: the selector, and the template that it must select."""
    spec = obj["spec"]
    selector, template = spec.get("selector"), spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    yield from _selector_errors(selector, "spec.selector")
    if selector == {}:
        yield invalid_value("spec.selector", selector, "empty selector is invalid for " + obj["kind"].lower())
    elif not matches(selector, labels):
        yield invalid_value("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    yield from names.label_map(labels, "spec.template.metadata.labels")
    yield from pods.pod_spec(template.get("spec") or {}, "spec.template.spec")
    policy = (template.get("spec") or {}).get("restartPolicy")
    if policy not in policies:
        yield unsupported("spec.template.spec.restartPolicy", policy, policies)
    for name in ("replicas", "revisionHistoryLimit", "minReadySeconds", "progressDeadlineSeconds"):
        if spec.get(name, 0) < 0:
            yield invalid_value(f"spec.{name}", spec[name], "must be greater than or equal to 0")


def _selector_errors(selector: Json | None, path: str) -> Errors:
    for index, rule in enumerate((selector or {}).get("matchExpressions") or ()):
        here = f"{path}.matchExpressions[{index}]"
        if rule["operator"] in ("In", "NotIn") and not rule.get("values"):
            yield required(f"{here}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif rule["operator"] in ("Exists", "DoesNotExist") and rule.get("values"):
            yield forbidden_field(
                f"{here}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            )
        elif rule["operator"] not in ("In", "NotIn", "Exists", "DoesNotExist"):
            yield invalid_value(f"{here}.operator", rule["operator"], "not a valid selector operator")


def _int_or_percent(value: Any, path: str) -> Errors:
    if isinstance(value, str) and not re.fullmatch(r"[0-9]+%", value):
        text = "a valid percent string must be a numeric string followed by an ending '%'"
        yield invalid_value(path, value, text + " (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')")
    elif isinstance(value, int) and value < 0:
        yield invalid_value(path, value, "must be greater than or equal to 0")


def daemon_set(obj: Json) -> Errors:
    """DaemonSets."""
    yield from workload(obj)
    strategy = obj["spec"]["updateStrategy"]
    if strategy["type"] not in ("RollingUpdate", "OnDelete"):
        shown = {"Type": strategy["type"], "RollingUpdate": None}
        yield unsupported("spec.updateStrategy", shown, ("RollingUpdate", "OnDelete"))
    elif strategy["type"] == "RollingUpdate":
        path, rolling = "spec.updateStrategy.rollingUpdate", strategy["rollingUpdate"]
        yield from _int_or_percent(rolling["maxUnavailable"], f"{path}.maxUnavailable")
        yield from _int_or_percent(rolling["maxSurge"], f"{path}.maxSurge")
        unavailable, surge = (rolling[name] not in (0, "0%") for name in ("maxUnavailable", "maxSurge"))
        if unavailable and surge:
            yield invalid_value(
                f"{path}.maxSurge", rolling["maxSurge"], "may not be set when maxUnavailable is non-zero"
            )
        if not unavailable and not surge:
            yield required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0")


def deployment(obj: Json) -> Errors:
    """Deployments."""
    yield from workload(obj)
    strategy = obj["spec"]["strategy"]
    if strategy["type"] not in ("Recreate", "RollingUpdate"):
        yield unsupported("spec.strategy.type", strategy["type"], ("Recreate", "RollingUpdate"))
    elif strategy["type"] == "Recreate" and strategy.get("rollingUpdate"):
        text = "may not be specified when strategy `type` is 'Recreate'"
        yield forbidden_field("spec.strategy.rollingUpdate", text)
    elif strategy["type"] == "RollingUpdate":
        path, rolling = "spec.strategy.rollingUpdate", strategy["rollingUpdate"]
        yield from _int_or_percent(rolling["maxUnavailable"], f"{path}.maxUnavailable")
        yield from _int_or_percent(rolling["maxSurge"], f"{path}.maxSurge")
        if rolling["maxUnavailable"] in (0, "0%") and rolling["maxSurge"] in (0, "0%"):
            yield invalid_value(
                f"{path}.maxUnavailable", rolling["maxUnavailable"], "may not be 0 when `maxSurge` is 0"
            )


def job(obj: Json) -> Errors:
    """Jobs, whose pods end."""
    yield from workload(obj, policies=("OnFailure", "Never"))


def stateful_set_change(new: Json, old: Json) -> Errors:
    """Most of a StatefulSet's spec stays."""
    before = {key: value for key, value in old["spec"].items() if key not in MUTABLE_STATEFUL_SET}
    after = {key: value for key, value in new["spec"].items() if key not in MUTABLE_STATEFUL_SET}
    if before != after:
        *first, last = (f"'{name}'" for name in MUTABLE_STATEFUL_SET)
        text = f"updates to statefulset spec for fields other than {', '.join(first)} and {last} are forbidden"
        yield forbidden_field("spec", text)
