"""From wanted objects and a cluster's facts to what is created, changed and left over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from scout_ollama import difference
from scout_ollama.changes import ApplyObjects, DeleteObjects, Stage
from scout_ollama.facts import ClusterFacts
from scout_ollama.manifests import KubeObject, key_of
from scout_ollama.refusal import refusal

POD_KINDS = frozenset({"DaemonSet", "Deployment", "StatefulSet"})


def plan(wanted: Sequence[KubeObject], facts: ClusterFacts, pod_hosts: Sequence[str]) -> list[Stage]:
    """Return what to apply and what to remove.

    An object is changed when the server says that applying it would change it. One whose running pods would be
    replaced is applied by itself, after the others, and waits for all ``pod_hosts``: a node that is not ready for the
    new pod keeps its old one. Leftovers are objects with our label that the manifests no longer contain.

    Raises:
        Trouble: another manager owns a field that is wanted to differ, or the server refuses an object.
    """
    if facts.would_be is None and facts.live:
        raise refusal(facts.refusal)
    simple: list[KubeObject] = []
    replacing: list[KubeObject] = []
    for obj in wanted:
        if not _differs(obj, facts):
            continue
        replaces_pods = obj["kind"] in POD_KINDS and key_of(obj) in facts.live
        (replacing if replaces_pods else simple).append(obj)
    left = leftovers(wanted, facts.owned.values())
    return [
        Stage("objects", (_apply(simple, facts),) if simple else ()),
        Stage("pods", tuple(_apply([obj], facts) for obj in replacing), waits_for=tuple(pod_hosts)),
        Stage("leftovers", (DeleteObjects(tuple(left)),) if left else ()),
    ]


def leftovers(wanted: Iterable[KubeObject], owned: Iterable[KubeObject]) -> list[KubeObject]:
    """Return the objects with our label that are not wanted; a namespace stays, with whatever others put into it.

    What a controller made carries its owner's labels and goes with its owner, so it is no leftover.
    """
    keys = {key_of(obj) for obj in wanted}
    return [
        obj
        for obj in owned
        if key_of(obj) not in keys and obj["kind"] != "Namespace" and not obj["metadata"].get("ownerReferences")
    ]


def _differs(obj: KubeObject, facts: ClusterFacts) -> bool:
    key = key_of(obj)
    if key not in facts.live or facts.would_be is None:
        return True
    return difference.meaningful(facts.live[key]) != difference.meaningful(facts.would_be[key])


def _apply(objects: Sequence[KubeObject], facts: ClusterFacts) -> ApplyObjects:
    return ApplyObjects(
        objects=tuple(objects),
        before={str(key): obj for key, obj in facts.live.items()},
        after={str(key): obj for key, obj in (facts.would_be or {}).items()},
    )
