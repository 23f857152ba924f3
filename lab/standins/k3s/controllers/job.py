"""The Job controller: parallelism, completions and backoffLimit. Pure."""

from collections.abc import Iterable

from lab.standins.k3s.controllers.pods import from_template, is_finished, is_ready, owned, phase
from lab.standins.k3s.objects import Object, condition, is_deleted, is_true, make_condition, name_of, timestamp, uid_of
from lab.standins.k3s.writes import Create, Delete, Emit, Write, status

COLLECTION = "batch/v1/jobs"
SOURCE = "job-controller"


def reconcile(job: Object, pods: Iterable[Object]) -> list[Write]:
    """Start pods until enough succeeded or too many failed."""
    if is_deleted(job) or is_true(job, "Complete") or is_true(job, "Failed"):
        return []
    mine = [p for p in owned(pods, job) if not is_deleted(p)]
    active = [p for p in mine if not is_finished(p)]
    succeeded = sum(phase(p) == "Succeeded" for p in mine)
    failed = sum(phase(p) == "Failed" for p in mine)
    restarts = sum(map(_restarts, active))
    spec = job["spec"]
    completions = spec.get("completions", spec.get("parallelism", 1))
    wanted_status: Object = {
        "startTime": (job.get("status") or {}).get("startTime") or timestamp(),
        "active": len(active) or None,
        "ready": sum(map(is_ready, active)),
        "succeeded": succeeded or None,
        "failed": failed or None,
    }
    if succeeded >= completions:
        return [
            Emit(job, "Completed", "Job completed", SOURCE),
            *_finish(job, wanted_status, "Complete", "CompletionsReached", "Reached expected number of succeeded pods"),
        ]
    limit = spec.get("backoffLimit", 6)
    if failed > limit or (restarts and restarts >= limit):
        why = "Job has reached the specified backoff limit"
        return [
            *(Delete("v1/pods", p) for p in active),
            Emit(job, "BackoffLimitExceeded", why, SOURCE, warning=True),
            *_finish(job, wanted_status, "Failed", "BackoffLimitExceeded", why),
        ]
    if spec.get("suspend"):
        wanted_status |= {"startTime": None, "conditions": _suspended(job, True)}
        return [*(Delete("v1/pods", p) for p in active), *status(COLLECTION, job, wanted_status)]
    if condition(job, "Suspended"):
        wanted_status["conditions"] = _suspended(job, False)
    missing = min(spec.get("parallelism", 1), completions - succeeded) - len(active)
    labels = {
        "batch.kubernetes.io/job-name": name_of(job),
        "batch.kubernetes.io/controller-uid": uid_of(job),
        "job-name": name_of(job),
        "controller-uid": uid_of(job),
    }
    pod = from_template(job, spec["template"], labels)
    return [*(Create("v1/pods", pod) for _ in range(missing)), *status(COLLECTION, job, wanted_status)]


def _finish(job: Object, wanted: Object, kind: str, reason: str, message: str) -> list[Write]:
    made = make_condition(condition(job, kind), kind, True, reason, message)
    finished = {"completionTime": made["lastTransitionTime"]} if kind == "Complete" else {}
    others = [c for c in (job.get("status") or {}).get("conditions") or [] if c["type"] != kind]
    return status(COLLECTION, job, {**wanted, **finished, "active": None, "conditions": [*others, made]})


def _suspended(job: Object, suspended: bool) -> list[Object]:
    reason, words = ("JobSuspended", "Job suspended") if suspended else ("JobResumed", "Job resumed")
    return [make_condition(condition(job, "Suspended"), "Suspended", suspended, reason, words)]


def _restarts(pod: Object) -> int:
    """How often containers of a pod with restartPolicy OnFailure were started again: each is a failure of the Job."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    return sum(s["restartCount"] for s in statuses) if pod["spec"].get("restartPolicy") == "OnFailure" else 0
