"""The default ServiceAccount of every namespace. Pure."""

from collections.abc import Iterable

from lab.standins.k3s.objects import Object, is_deleted, name_of, namespace_of
from lab.standins.k3s.writes import Create, Write


def reconcile(namespace: Object, service_accounts: Iterable[Object]) -> list[Write]:
    """Create it where it is missing."""
    name = name_of(namespace)
    if is_deleted(namespace) or any(namespace_of(s) == name and name_of(s) == "default" for s in service_accounts):
        return []
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}}
    return [Create("v1/serviceaccounts", account)]
