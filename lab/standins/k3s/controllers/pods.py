"""What the controllers of pods share."""

from collections.abc import Iterable

from lab.standins.k3s.objects import Object, age_seconds, condition, is_deleted, is_true, owner_reference
from lab.standins.k3s.objects import is_owned_by as is_owned_by


def from_template(owner: Object, template: Object, labels: dict[str, str]) -> Object:
    """A pod of the owner; the API server makes its name from the prefix."""
    metadata = template.get("metadata") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{owner['metadata']['name']}-",
            "namespace": owner["metadata"]["namespace"],
            "labels": {**(metadata.get("labels") or {}), **labels},
            **({"annotations": metadata["annotations"]} if metadata.get("annotations") else {}),
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": template["spec"],
    }


def owned(pods: Iterable[Object], owner: Object) -> list[Object]:
    """Those of the pods that the owner controls."""
    return [pod for pod in pods if is_owned_by(pod, owner)]


def phase(pod: Object) -> str:
    """The phase; Pending before anybody has set one."""
    return str((pod.get("status") or {}).get("phase", "Pending"))


def is_finished(pod: Object) -> bool:
    """Whether nothing of the pod will run again."""
    return phase(pod) in ("Succeeded", "Failed")


def is_ready(pod: Object) -> bool:
    """Whether it is ready and stays."""
    return is_true(pod, "Ready") and not is_deleted(pod)


def is_available(pod: Object, min_ready_seconds: int) -> bool:
    """Whether it has been ready for so long."""
    if not is_ready(pod):
        return False
    return min_ready_seconds == 0 or age_seconds(condition(pod, "Ready")["lastTransitionTime"]) >= min_ready_seconds
