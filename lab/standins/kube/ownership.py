"""Server-side apply: merging what a manager wants into an object, and keeping the record of who owns which field.

After sigs.k8s.io/structured-merge-diff/merge/update.go and k8s.io/apimachinery/pkg/util/managedfields.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from lab.standins.kube import fieldsets
from lab.standins.kube.errors import ApiError, Json
from lab.standins.kube.fieldsets import Fields, Path
from lab.standins.kube.schema import Schema

# Nobody owns what names an object or what the server alone writes (managedfields/internal/stripmeta.go).
UNOWNED: Fields = frozenset(
    [("f:apiVersion",), ("f:kind",), ("f:metadata",)]
    + [
        ("f:metadata", f"f:{name}")
        for name in (
            "name",
            "namespace",
            "creationTimestamp",
            "selfLink",
            "uid",
            "generation",
            "managedFields",
            "resourceVersion",
        )
    ]
)
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True)
class Manager:
    """Who writes: one entry of managedFields. Appliers are the same across API versions, updaters are not."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""

    def __str__(self) -> str:
        text = json.dumps(self.name)
        if self.subresource:
            text += f" with subresource {json.dumps(self.subresource)}"
        return text + (f" using {self.api_version}" if self.operation == "Update" else "")


@dataclass(frozen=True)
class Owned:
    """What a manager owns and since when (RFC 3339)."""

    fields: Fields
    time: str


Owners = dict[Manager, Owned]


def read(obj: Json) -> Owners:
    """The owners recorded in an object."""
    owners: Owners = {}
    for entry in obj.get("metadata", {}).get("managedFields") or ():
        if entry.get("manager") and "fieldsV1" in entry:
            manager = Manager(entry["manager"], entry["operation"], entry["apiVersion"], entry.get("subresource", ""))
            owners[manager] = Owned(fieldsets.decode(entry["fieldsV1"]), entry.get("time", ""))
    return owners


def write(obj: Json, owners: Owners) -> Json:
    """`obj` with `owners` recorded in it: appliers first, then by time."""
    entries: list[Json] = []
    order = sorted(
        owners, key=lambda who: (who.operation, owners[who].time, who.name, who.api_version, who.subresource)
    )
    for manager in order:
        entry: Json = {
            "manager": manager.name,
            "operation": manager.operation,
            "apiVersion": manager.api_version,
            "time": owners[manager].time,
            "fieldsType": "FieldsV1",
            "fieldsV1": fieldsets.encode(owners[manager].fields),
        }
        if manager.subresource:
            entry["subresource"] = manager.subresource
        entries.append(entry)
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    return {**obj, "metadata": {**metadata, "managedFields": entries} if entries else metadata}


def update(old: Json | None, new: Json, schema: Schema, owners: Owners, who: Manager, now: str, ignored: str) -> Owners:
    """The owners after an ordinary write: whoever changes a field owns it.

    `ignored` is the top-level field this kind of request cannot change (status, or spec for the status subresource).
    """
    difference = fieldsets.compare(old or {}, new, schema)
    written = {path for path in difference.added | difference.modified if _ownable(path, ignored)}
    lost = difference.added | difference.modified | difference.removed
    result = {other: replace(owned, fields=owned.fields - lost) for other, owned in owners.items() if other != who}
    before = owners.get(who)
    fields = ((before.fields if before else frozenset()) | written) - difference.removed
    changed = before is None or fields != before.fields or bool(lost)
    result[who] = Owned(frozenset(fields), now if changed or before is None else before.time)
    return {other: owned for other, owned in result.items() if owned.fields}


def _ownable(path: Path, ignored: str) -> bool:
    return path not in UNOWNED and path[:1] != (f"f:{ignored}",)


def apply(
    live: Json, config: Json, schema: Schema, owners: Owners, who: Manager, now: str, *, force: bool, ignored: str
) -> tuple[Json, Owners]:
    """`live` with `config` applied by `who`, and the owners after it.

    What `who` applied before and leaves out now is removed unless somebody else owns it. Raises ApiError 409 when
    `config` changes fields of others and `force` is not set; ListError for lists that cannot be merged.
    """
    config = {key: value for key, value in config.items() if key != ignored}
    fields = fieldsets.fields_of(config, schema)
    wanted = frozenset(path for path in fields if _ownable(path, ignored))
    others = {other: owned for other, owned in owners.items() if not _same_applier(other, who)}
    last = frozenset[Path]().union(*(owned.fields for other, owned in owners.items() if other not in others))
    claimed = fields.union(*(owned.fields for owned in others.values()))
    merged = fieldsets.merge(live, config, schema)
    merged = fieldsets.without(merged, schema, _with_parents(last) - _with_parents(claimed))

    difference = fieldsets.compare(live, merged, schema)
    changed = difference.added | difference.modified
    if not force:
        _check_conflicts(others, changed - _applied_by_kubectl(live, schema, who))
    after = {
        other: replace(owned, fields=owned.fields - changed - difference.removed) for other, owned in others.items()
    }
    after[who] = Owned(wanted, now)
    return merged, {other: owned for other, owned in after.items() if owned.fields}


def _same_applier(one: Manager, other: Manager) -> bool:
    return one.operation == "Apply" and (one.name, one.subresource) == (other.name, other.subresource)


def _applied_by_kubectl(live: Json, schema: Schema, who: Manager) -> Fields:
    """What an earlier client-side apply set, which kubectl, under its own name, may take over without a conflict.

    Source: k8s.io/apimachinery/pkg/util/managedfields/internal/lastappliedmanager.go.
    """
    text = (live["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    if who.name != "kubectl" or not text:
        return frozenset()
    return fieldsets.fields_of(json.loads(text), schema)


def _with_parents(fields: Fields) -> Fields:
    """The set with the structs that lead to its members, so that a struct goes when all that was set in it goes."""
    parents = {path[:end] for path in fields for end in range(1, len(path)) if path[end - 1].startswith("f:")}
    return fields | parents


def _check_conflicts(others: Owners, changed: set[Path]) -> None:
    """Raises ApiError 409 when a change touches fields of others."""
    conflicts = {other: owned.fields & changed for other, owned in others.items() if owned.fields & changed}
    if not conflicts:
        return
    pairs = [(other, path) for other in sorted(conflicts, key=str) for path in sorted(conflicts[other])]
    if len(pairs) == 1:
        other, path = pairs[0]
        message = f"Apply failed with 1 conflict: conflict with {other}: {fieldsets.describe(path)}"
    else:
        lines = []
        for other in sorted(conflicts, key=str):
            lines.append(f"conflicts with {other}:")
            lines += [f"- {fieldsets.describe(path)}" for path in sorted(conflicts[other])]
        message = f"Apply failed with {len(pairs)} conflicts: " + "\n".join(lines)
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {other}", "field": fieldsets.describe(path)}
        for other, path in pairs
    ]
    raise ApiError(409, "Conflict", message, {"causes": causes})
