"""The Job controller: parallelism, completions and backoffLimit. Pure."""

from collections.abc import Iterable

from lab.standins.k3s.controllers.pods import from_template, is_finished, is_ready, owned, phase
from lab.standins.k3s.objects import Object, condition, is_deleted, make_condition, name_of, timestamp, uid_of
from lab.standins.k3s.writes import Create, Delete, Emit, Write, status

COLLECTION = "batch/v1/jobs"
SOURCE = "job-controller"


def reconcile(job: Object, pods: Iterable[Object]) -> list[Write]:
    """Start pods until enough succeeded or too many failed."""
    if is_deleted(job) or (job.get("status") or {}).get("conditions"):
        return []
    mine = [p for p in owned(pods, job) if not is_deleted(p)]
    active = [p for p in mine if not is_finished(p)]
    succeeded = sum(phase(p) == "Succeeded" for p in mine)
    failed = sum(phase(p) == "Failed" for p in mine)
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
    if failed > spec.get("backoffLimit", 6):
        why = "Job has reached the specified backoff limit"
        return [
            *(Delete("v1/pods", p) for p in active),
            Emit(job, "BackoffLimitExceeded", why, SOURCE, warning=True),
            *_finish(job, wanted_status, "Failed", "BackoffLimitExceeded", why),
        ]
    missing = 0 if spec.get("suspend") else min(spec.get("parallelism", 1), completions - succeeded) - len(active)
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
    return status(COLLECTION, job, {**wanted, **finished, "active": None, "conditions": [made]})
