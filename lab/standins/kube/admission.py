"""Admission: checks and additions that need other objects than the one that is written.

After the plugins NamespaceLifecycle, ServiceAccount, RuntimeClass, Priority and DefaultIngressClass.
"""

from __future__ import annotations

from lab.standins.kube.errors import Json, forbidden, not_found
from lab.standins.kube.place import Place
from lab.standins.kube.store import Store

UNDELETABLE = ("default", "kube-public", "kube-system")
DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"


def namespace(store: Store, place: Place) -> None:
    """New objects need a namespace that exists and stays. Raises ApiError 404 or 403."""
    if not place.resource.namespaced:
        return
    found = store.get(("namespaces", "", place.namespace))
    if found is None:
        raise not_found("namespaces", "", place.namespace)
    if found["metadata"].get("deletionTimestamp"):
        text = f"unable to create new content in namespace {place.namespace} because it is being terminated"
        raise forbidden(place.resource.plural, place.resource.group, place.name, text)


def deletion(place: Place) -> None:
    """Some namespaces stay. Raises ApiError 403."""
    if place.resource.kind == "Namespace" and place.name in UNDELETABLE:
        raise forbidden("namespaces", "", place.name, "this namespace may not be deleted")


def creation(store: Store, place: Place, obj: Json) -> None:
    """Completes a new object, in place, from others. Raises ApiError 403 when one that it needs is missing."""
    if place.resource.kind == "Pod":
        _pod(store, place, obj.setdefault("spec", {}))
    elif place.resource.kind == "Ingress":
        _ingress(store, obj.setdefault("spec", {}), obj["metadata"].get("annotations") or {})


def _pod(store: Store, place: Place, spec: Json) -> None:
    def refuse(text: str) -> Exception:
        return forbidden("pods", "", place.name, text)

    account = spec.get("serviceAccountName") or "default"
    # Every namespace gets its default account from a controller, after a moment; pods do not wait for it here.
    if account != "default" and store.get(("serviceaccounts", place.namespace, account)) is None:
        text = f'error looking up service account {place.namespace}/{account}: serviceaccount "{account}" not found'
        raise refuse(text)
    priority = spec.get("priorityClassName")
    if priority:
        found = store.get(("priorityclasses.scheduling.k8s.io", "", priority))
        if found is None:
            raise refuse(f"no PriorityClass with name {priority} was found")
        spec["priority"] = found.get("value", 0)
    runtime = spec.get("runtimeClassName")
    if runtime:
        found = store.get(("runtimeclasses.node.k8s.io", "", runtime))
        if found is None:
            raise refuse(f'pod rejected: RuntimeClass "{runtime}" not found')
        scheduling = found.get("scheduling") or {}
        if scheduling.get("nodeSelector"):
            spec["nodeSelector"] = {**spec.get("nodeSelector", {}), **scheduling["nodeSelector"]}
        known = spec.get("tolerations") or []
        more = [toleration for toleration in scheduling.get("tolerations") or () if toleration not in known]
        if more:
            spec["tolerations"] = known + more


def _ingress(store: Store, spec: Json, annotations: dict[str, str]) -> None:
    if spec.get("ingressClassName") or "kubernetes.io/ingress.class" in annotations:
        return
    for found in store.list("ingressclasses.networking.k8s.io"):
        if (found["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true":
            spec["ingressClassName"] = found["metadata"]["name"]
