"""Runs the controllers over the cluster's objects, after every change."""

import time
from collections.abc import Callable, Iterator
from functools import partial

from lab.standins.k3s.controllers import (
    daemonset,
    deployment,
    endpoints,
    helm_chart,
    job,
    local_path,
    nodes,
    scheduler,
    service_accounts,
    service_lb,
    statefulset,
)
from lab.standins.k3s.journal import log
from lab.standins.k3s.objects import Object, name_of, namespace_of
from lab.standins.k3s.world import World, run_until_stopped
from lab.standins.k3s.writes import Write

COLLECTIONS = (
    "v1/pods",
    "v1/nodes",
    "v1/services",
    "v1/endpoints",
    "v1/namespaces",
    "v1/serviceaccounts",
    "apps/v1/daemonsets",
    "apps/v1/deployments",
    "apps/v1/replicasets",
    "apps/v1/controllerrevisions",
    statefulset.COLLECTION,
    local_path.CLAIMS,
    local_path.VOLUMES,
    "batch/v1/jobs",
    helm_chart.COLLECTION,
    helm_chart.CONFIGS,
    "discovery.k8s.io/v1/endpointslices",
)
LEASES = "coordination.k8s.io/v1/leases"  # they change all the time, and matter only when they do not
ROUND_SECONDS = 2.0  # for what only time changes: silent nodes, minReadySeconds


Decision = tuple[Callable[[], list[Write]], str]
"""What decides on writes, and about what, for the journal."""


class Manager:
    """All controllers, in one thread: each sees what the one before it wrote.

    With `only_k3s` those that K3s adds to Kubernetes' own, which run elsewhere then.
    """

    def __init__(self, world: World, *, only_k3s: bool = False) -> None:
        self._world = world
        of_k3s = (self._helm_charts, self._claims, self._load_balancers)
        every = (
            self._nodes,
            self._daemon_sets,
            self._deployments,
            self._replica_sets,
            self._stateful_sets,
            self._helm_charts,
            self._jobs,
            self._scheduler,
            self._claims,
            self._services,
            self._load_balancers,
            self._namespaces,
        )
        self._controllers = of_k3s if only_k3s else every
        self._heartbeats = nodes.Heartbeats()
        self._chart_changes = helm_chart.Changes()

    def run(self) -> None:
        """Until the world stops."""
        run_until_stopped(self._world, self.round, ROUND_SECONDS)

    def round(self) -> None:
        for controller in self._controllers:
            for decide, about in controller():
                try:
                    self._world.apply(decide())
                except (KeyError, ValueError, TypeError) as error:  # one odd object must not stop the others
                    log("error", f"{about}: {type(error).__name__}: {error}")

    def _each(self, collection: str, reconcile: Callable[[Object], list[Write]]) -> Iterator[Decision]:
        for obj in self._world.list(collection):
            yield partial(reconcile, obj), f"{collection} {name_of(obj)}"

    def _nodes(self) -> Iterator[Decision]:
        now = time.monotonic()
        self._heartbeats.observe(self._world.list(LEASES), now)
        pods = self._world.list("v1/pods")
        return self._each(
            "v1/nodes", lambda node: nodes.reconcile(node, pods, missing=self._heartbeats.missing(node, now))
        )

    def _daemon_sets(self) -> Iterator[Decision]:
        w = self._world
        return self._each(
            daemonset.COLLECTION,
            lambda d: daemonset.reconcile(
                d, w.list("v1/nodes"), w.list("v1/pods"), w.list("apps/v1/controllerrevisions")
            ),
        )

    def _deployments(self) -> Iterator[Decision]:
        w = self._world
        return self._each(
            deployment.DEPLOYMENTS,
            lambda d: deployment.reconcile(d, w.list(deployment.REPLICA_SETS), w.list("v1/pods")),
        )

    def _replica_sets(self) -> Iterator[Decision]:
        return self._each(
            deployment.REPLICA_SETS, lambda r: deployment.reconcile_replica_set(r, self._world.list("v1/pods"))
        )

    def _stateful_sets(self) -> Iterator[Decision]:
        w = self._world
        return self._each(
            statefulset.COLLECTION, lambda s: statefulset.reconcile(s, w.list("v1/pods"), w.list(local_path.CLAIMS))
        )

    def _claims(self) -> Iterator[Decision]:
        w = self._world
        yield from self._each(
            local_path.CLAIMS, lambda c: local_path.reconcile(c, w.list(local_path.VOLUMES), w.list("v1/pods"))
        )
        yield from self._each(local_path.VOLUMES, lambda v: local_path.reclaim(v, w.list(local_path.CLAIMS)))

    def _helm_charts(self) -> Iterator[Decision]:
        w, now = self._world, time.monotonic()

        def reconcile(chart: Object) -> list[Write]:
            config = w.get(helm_chart.CONFIGS, namespace_of(chart), name_of(chart))
            return helm_chart.reconcile(
                chart, config, w.list(job.COLLECTION), self._chart_changes.age(chart, config, now)
            )

        return self._each(helm_chart.COLLECTION, reconcile)

    def _jobs(self) -> Iterator[Decision]:
        return self._each(job.COLLECTION, lambda j: job.reconcile(j, self._world.list("v1/pods")))

    def _scheduler(self) -> Iterator[Decision]:
        yield lambda: scheduler.reconcile(self._world.list("v1/nodes"), self._world.list("v1/pods")), "scheduler"

    def _services(self) -> Iterator[Decision]:
        w = self._world
        return self._each(
            "v1/services",
            lambda s: endpoints.reconcile(s, w.list("v1/pods"), w.list(endpoints.SLICES), w.list("v1/endpoints")),
        )

    def _load_balancers(self) -> Iterator[Decision]:
        w = self._world
        return self._each(
            "v1/services", lambda s: service_lb.reconcile(s, w.list("v1/nodes"), w.list(endpoints.SLICES))
        )

    def _namespaces(self) -> Iterator[Decision]:
        return self._each(
            "v1/namespaces", lambda n: service_accounts.reconcile(n, self._world.list("v1/serviceaccounts"))
        )
