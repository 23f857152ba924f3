"""K3s's Helm controller: a Job for each HelmChart, made anew when the chart changes. Pure but for `Changes`."""

from collections.abc import Iterable

from lab.standins.k3s import helm_job
from lab.standins.k3s.controllers.job import COLLECTION as JOBS
from lab.standins.k3s.objects import (
    Object,
    annotations_of,
    digest_of,
    is_deleted,
    is_true,
    name_of,
    namespace_of,
    uid_of,
)
from lab.standins.k3s.writes import Apply, Create, Delete, Emit, Patch, Write, status

COLLECTION = "helm.cattle.io/v1/helmcharts"
CONFIGS = "helm.cattle.io/v1/helmchartconfigs"
SOURCE = "helm-controller"
MANAGED_BY, UNMANAGED = "helmcharts.cattle.io/managed-by", "helmcharts.helm.cattle.io/unmanaged"
FINALIZER = "wrangler.cattle.io/on-helm-chart-remove"
STALE_SECONDS = 1.5  # how long a Job that has ended is still there after its chart has changed


class Changes:
    """Since when each chart has been as it is now."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, float]] = {}

    def age(self, chart: Object, config: Object | None, now: float) -> float:
        """Seconds since the chart or its config was last seen to change; `now` is monotonic time."""
        digest = digest_of([chart["spec"], is_deleted(chart), (config or {}).get("spec")])
        known = self._seen.get(uid_of(chart))
        if known is None or known[0] != digest:
            known = self._seen[uid_of(chart)] = (digest, now)
        return now - known[1]


def reconcile(chart: Object, config: Object | None, jobs: Iterable[Object], age: float) -> list[Write]:
    """What brings the Job closer to the chart, and the chart's status; the chart is as it is for `age` seconds."""
    if not _is_managed(chart):
        return []
    if not is_deleted(chart) and annotations_of(chart).get(MANAGED_BY) != SOURCE:
        finalizers = [*(chart["metadata"].get("finalizers") or []), FINALIZER]
        claim = {"metadata": {"annotations": {MANAGED_BY: SOURCE}, "finalizers": finalizers}}
        return [Patch(COLLECTION, chart, claim)]
    if is_deleted(chart) and FINALIZER not in (chart["metadata"].get("finalizers") or []):
        return []
    if not is_deleted(chart) and chart["spec"].get("helmVersion") not in (None, "", "v3"):
        return status(COLLECTION, chart, {"conditions": _conditions("", "Only Helm v3 charts are supported")})
    wanted, needed = helm_job.build(chart, config)
    mine = [j for j in jobs if namespace_of(j) == namespace_of(chart)]
    current = next((j for j in mine if name_of(j) == name_of(wanted)), None)
    if is_deleted(chart):
        return _remove(chart, wanted, needed, current, mine)
    if current is None:
        return [*_create(chart, wanted, needed), *_status(chart, wanted, None)]
    if helm_job.is_from(current, wanted):
        return [*_resume(chart, current), *_status(chart, wanted, current)]
    return _replace(current, age)


def _is_managed(chart: Object) -> bool:
    spec, annotations = chart.get("spec") or {}, annotations_of(chart)
    given = spec.get("chart") or spec.get("chartContent")
    return bool(given) and UNMANAGED not in annotations and annotations.get(MANAGED_BY, SOURCE) == SOURCE


def _create(chart: Object, job: Object, needed: list[tuple[str, Object]]) -> list[Write]:
    where = f"{namespace_of(job)}/{name_of(job)}"
    source = "spec.chartContent" if chart["spec"].get("chartContent") else chart["spec"].get("chart")
    words = f"Applying HelmChart from {source} using Job {where}"
    writes: list[Write] = [Apply(collection, obj) for collection, obj in needed]
    return [*writes, Create(JOBS, job), Emit(chart, "ApplyJob", words, SOURCE)]


def _replace(job: Object, age: float) -> list[Write]:
    """Take away a Job of the chart as it was: what has ended stays for a moment, what runs has to stop first."""
    if is_deleted(job):
        return []
    ended = is_true(job, "Complete") or is_true(job, "Failed")
    if not ended and not job["spec"].get("suspend"):
        return [Patch(JOBS, job, {"spec": {"suspend": True}})]
    if (not ended and (job.get("status") or {}).get("active")) or age < STALE_SECONDS:
        return []
    return [Delete(JOBS, job)]


def _resume(chart: Object, job: Object) -> list[Write]:
    """Let a new Job run once the Job controller has seen it."""
    if not job["spec"].get("suspend") or not is_true(job, "Suspended"):
        return []
    words = f"Resumed synced Job {namespace_of(job)}/{name_of(job)}"
    return [Patch(JOBS, job, {"spec": {"suspend": False}}), Emit(chart, "ResumeJob", words, SOURCE)]


def _remove(
    chart: Object, wanted: Object, needed: list[tuple[str, Object]], current: Object | None, jobs: list[Object]
) -> list[Write]:
    """Uninstall by a Job of its own; the finalizer goes when that has succeeded, and with the chart all it owns."""
    if current is None:
        old = [j for j in jobs if name_of(j) == f"helm-install-{name_of(chart)}"]
        writes: list[Write] = [Delete(JOBS, job) for job in old if not is_deleted(job)]
        writes += [*_create(chart, wanted, needed)[:-1], *status(COLLECTION, chart, {"jobName": name_of(wanted)})]
        words = f"Uninstalling HelmChart using Job {namespace_of(wanted)}/{name_of(wanted)}"
        return [*writes, Emit(chart, "RemoveJob", words, SOURCE)]
    if not is_true(current, "Complete"):
        return _resume(chart, current)
    binding = next(obj for collection, obj in needed if collection == helm_job.ROLE_BINDINGS)
    kept = [f for f in chart["metadata"]["finalizers"] if f != FINALIZER]
    return [
        Delete(helm_job.ROLE_BINDINGS, binding),
        Patch(COLLECTION, chart, {"metadata": {"finalizers": kept}}),
    ]


def _status(chart: Object, wanted: Object, job: Object | None) -> list[Write]:
    """JobCreated, and Failed: only what a Job says that has used up its backoffLimit."""
    failed = "Job has reached configured number of retries without succeeding" if job and is_true(job, "Failed") else ""
    writes: list[Write] = []
    if failed and not is_true(chart, "Failed"):
        writes.append(Emit(chart, "JobFailed", failed, SOURCE, warning=True))
    applying = f"Applying HelmChart using Job {namespace_of(wanted)}/{name_of(wanted)}"
    made = {"jobName": name_of(wanted), "conditions": _conditions(applying, failed)}
    return [*writes, *status(COLLECTION, chart, made)]


def _conditions(created: str, failed: str) -> list[Object]:
    reason = "Job failed" if created else "Unsupported version"
    return [
        {"type": "JobCreated", "status": "True", "reason": "Job created", "message": created}
        if created
        else {"type": "JobCreated", "status": "False"},
        {"type": "Failed", "status": "True", "reason": reason, "message": failed}
        if failed
        else {"type": "Failed", "status": "False"},
    ]
