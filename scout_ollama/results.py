"""What ``--json`` prints, as models; docs/output.schema.json is made from them.

``python -m scout_ollama.results`` prints that schema.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, Field, TypeAdapter

from scout_ollama.audit import Record, RunResult
from scout_ollama.errors import Trouble
from scout_ollama.progress import Progress
from scout_ollama.proposal import Outcome
from scout_ollama.status.document import SiteStatus


class ChangeOutput(BaseModel):
    """One change of the plan."""

    host: str | None = Field(description="Host on which it is made; null for the cluster as a whole.")
    title: str = Field(description="What is done.")
    difference: list[str] = Field(description="What differs, line by line, without secrets.")


class TroubleOutput(BaseModel):
    """Something that went wrong."""

    host: str | None = Field(description="Where; null for the cluster as a whole.")
    what: str = Field(description="What happened.")
    why: str = Field(description="Why, as far as is known.")
    next: str = Field(description="What to type next.")


class ProvedOutput(BaseModel):
    """Something that was proved."""

    host: str = Field(description="Where it was asked.")
    line: str = Field(description="What holds.")


class HostOutput(BaseModel):
    """One host's part."""

    host: str = Field(description="Name of the host.")
    changes: int = Field(description="Changes that were made on it.")
    trouble: str | None = Field(description="What went wrong there; null if nothing did.")
    status: int | None = Field(None, description="Exit status of an ad hoc command.")
    stdout: str | None = Field(None, description="Standard output of an ad hoc command.")
    stderr: str | None = Field(None, description="Standard error of an ad hoc command.")


class RunOutput(BaseModel):
    """What came of one command on one cluster; the document has one for each cluster, by its name."""

    result: RunResult | None = Field(description="How it ended; null if it was only shown, or did not begin.")
    changes: list[ChangeOutput] = Field(description="The plan.")
    made: bool = Field(description="Whether any of it was made.")
    hosts: list[HostOutput] = Field(description="The hosts, in the order of the inventory.")
    proved: list[ProvedOutput] = Field(description="What was proved afterwards.")
    troubles: list[TroubleOutput] = Field(description="What went wrong.")
    undo: str = Field(description="Command that undoes it; empty if there is none.")
    record: Record | None = Field(description="The run's line in the audit; null where there is none.")


class LockOutput(BaseModel):
    """A cluster's lock, as ``show-lock`` prints it by the cluster's name."""

    locked: bool = Field(description="Whether a run holds it now.")
    holder: Record | None = Field(description="The run that holds it, or that was cut off and left it; else null.")
    silent_seconds: int = Field(description="Seconds since that run's last sign of life.")


class AccessOutput(BaseModel):
    """One thing that ``check-access`` tried."""

    cluster: str = Field(description="The shared cluster.")
    host: str = Field(description="Where it was tried from; the cluster's name for what its objects say.")
    tried: str = Field(description="What was tried.")
    expected: str = Field(description="What should come of it.")
    seen: str = Field(description="What came of it.")
    verdict: str = Field(description="ok, fault, hole, or could not tell; ok with a cause is a warning.")
    cause: str = Field(description="The likeliest cause, if it is not ok.")
    next: str = Field(description="What to type next.")


class ImageOutput(BaseModel):
    """An image that a cluster needs, as ``list-images`` prints it."""

    cluster: str = Field(description="The cluster.")
    image: str = Field(description="The image; without a tag where only the hosts know it.")
    needed_by: list[str] = Field(description="What needs it; parts of the GPU operator by their place in its values.")
    harbor: str | None = Field(description="Where Harbor has it, for an air-gapped cluster; null if it has no project.")


class ModelCopyOutput(BaseModel):
    """A model in one store."""

    digest: str | None = Field(
        description="Digest of its manifest, as /api/tags shows it; null if there is no good one."
    )
    state: str = Field(description="verified, not verified, incomplete, damaged, broken (its manifest) or absent.")
    in_memory: bool = Field(description="Whether the node's Ollama has it in memory.")
    in_vram: bool = Field(description="Whether all of it is in the memory of GPUs.")


class ModelOutput(BaseModel):
    """A model and where it is, as ``list-models`` prints it."""

    cluster: str = Field(description="The cluster that serves it, or shall.")
    model: str = Field(description="Its name, with the tag.")
    wanted: bool = Field(description="Whether the inventory wants it.")
    size: int | None = Field(description="Bytes of all its blobs; null if nobody knows yet.")
    staging: ModelCopyOutput = Field(description="Where it is pulled: staging, or a node where there is no air gap.")
    nodes: dict[str, ModelCopyOutput] = Field(description="By host name.")
    lock: str | None = Field(description="Digest in models.lock; null if it is not there.")
    drift: str = Field(description="What does not agree, in plain words; empty if all does.")


class CheckOutput(BaseModel):
    """A verdict of ``check``: whether something holds at one place."""

    cluster: str = Field(description="The cluster that was examined.")
    check: str = Field(description="The check; inv check --explain tells what it is about.")
    place: str = Field(description="A host, or the cluster.")
    status: str = Field(description="pass, warn, fail, or could not tell.")
    what: str = Field(description="What does not hold, or why nobody can tell; empty if it holds.")
    why: str = Field(description="Why, as far as is known.")
    next: str = Field(description="What to type next.")


class PartOutput(BaseModel):
    """One host's part of something that goes on."""

    done: int = Field(description="Bytes that are there.")
    total: int = Field(description="Bytes that shall be there.")


class ProgressOutput(BaseModel):
    """How far something is: a line of standard error under ``--json``, every few seconds while bytes are moved."""

    host: str = Field(description="The host, or the cluster where several are at it.")
    progress: str = Field(description="What is being done.")
    done: int = Field(description="Bytes that are there.")
    total: int = Field(description="Bytes that shall be there.")
    bytes_per_second: float = Field(description="The rate since it began.")
    seconds_left: float | None = Field(description="How long it still takes at that rate; null while nobody can tell.")
    hosts: dict[str, PartOutput] = Field(description="The part of each host, where several are at it.")


DOCUMENTS: dict[str, Any] = {
    "run": dict[str, RunOutput],
    "audit": list[Record],
    "lock": dict[str, LockOutput],
    "access": list[AccessOutput],
    "images": list[ImageOutput],
    "models": list[ModelOutput],
    "checks": list[CheckOutput],
    "status": SiteStatus,
    "progress": ProgressOutput,
}
"""``run`` is printed by every command that can change something, with lines of ``progress`` on standard error
meanwhile; the others by the commands that read them."""


def of(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as the document that ``RunOutput`` describes."""
    return RunOutput(
        result=outcome.result,
        changes=[ChangeOutput(**change) for change in outcome.plan.shown],
        made=bool(outcome.made),
        hosts=[_host(outcome, *row) for row in outcome.rows],
        proved=[ProvedOutput(host=host, line=line) for host, line in outcome.proved],
        troubles=[TroubleOutput(**trouble_of(trouble)) for trouble in outcome.all_troubles],
        undo=outcome.undo,
        record=outcome.record,
    ).model_dump(mode="json")


def progress(host: str, progress: Progress) -> dict[str, Any]:
    """Return how far something is as the line that ``ProgressOutput`` describes."""
    return ProgressOutput(
        host=host,
        progress=progress.what,
        done=progress.done,
        total=progress.total,
        bytes_per_second=progress.rate,
        seconds_left=progress.seconds_left,
        hosts={name: PartOutput(done=done, total=total) for name, (done, total) in progress.parts.items()},
    ).model_dump(mode="json")


def _host(outcome: Outcome, host: str, changes: int, trouble: str | None) -> HostOutput:
    answer = outcome.answers.get(host)
    said = {"status": answer.status, "stdout": answer.stdout, "stderr": answer.stderr} if answer else {}
    return HostOutput(host=host, changes=changes, trouble=trouble, **said)


def trouble_of(trouble: Trouble) -> dict[str, str | None]:
    """Return a trouble as ``host``, ``what``, ``why`` and ``next``."""
    return {"host": trouble.host, "what": trouble.what, "why": trouble.why, "next": trouble.next}


def schema() -> dict[str, Any]:
    """Return the JSON Schema of each of ``DOCUMENTS``, by its name under ``properties``."""
    adapters = [(name, "serialization", TypeAdapter(kind)) for name, kind in DOCUMENTS.items()]
    schemas, definitions = TypeAdapter.json_schemas(adapters)  # type: ignore[arg-type]  # the mode is a literal
    return {"properties": {name: schemas[name, "serialization"] for name in DOCUMENTS}, **definitions}


def schema_of(name: str) -> dict[str, Any]:
    """Return the JSON Schema of one document."""
    whole = schema()
    return {**whole["properties"][name], "$defs": whole["$defs"]}


def schema_text() -> str:
    """Return the schema as it stands in docs/output.schema.json."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    print(schema_text(), end="")
