"""Whether Open WebUI really uses the Ollama that it shall, from the side of its users.

Two of its answers are no proof: the list of all models stays what it was when nothing answers, and the list of tags
without an index is empty and still a success.
"""

from __future__ import annotations

from typing import Any

from scout_ollama.errors import Trouble
from scout_ollama.inventory import ScoutCluster
from scout_ollama.job import Job
from scout_ollama.open_webui import facts, needs, ollama
from scout_ollama.open_webui.answers import within
from scout_ollama.open_webui.configuration import Connection, Embedding, Json
from scout_ollama.open_webui.ollama import Answers
from scout_ollama.open_webui.session import Session
from scout_ollama.open_webui.target import Target
from scout_ollama.open_webui.wanting import Wanted
from scout_ollama.open_webui.workload import Workload
from scout_ollama.proposal import Proved
from scout_ollama.remote import Reader
from scout_ollama.sizes import counted

CHAT_SECONDS = 1200
"""A model that is not in memory is loaded first."""


def prove(job: Job, session: Session, scout: ScoutCluster, wanted: Wanted) -> Proved:
    """Check it through the Scout's first server, on the pods that there are by then."""
    proved = Proved(job.say)

    def checked(remote: Reader) -> tuple[str, list[str]]:
        workload = facts.read_installed(remote, scout).workload
        return remote.host.name, check(remote, session, workload, wanted)

    try:
        host, lines = job.on_first_server(checked)
    except Trouble as trouble:
        proved.troubles.append(trouble)
        return proved
    for line in lines:
        proved.add((), host, line)
    return proved


def check(remote: Reader, session: Session, workload: Workload, wanted: Wanted) -> list[str]:
    """Return what was proved, a line each.

    Raises:
        Trouble: something does not hold.
    """
    proved = [_saved_everywhere(remote, session, workload, wanted)]
    if wanted.target.url is None:
        return proved
    answers = ollama.ask(remote, session, workload, wanted.target)
    at = wanted.connection.index(wanted.target.url)
    proved.append(_same_ollama(remote, session, workload, wanted.target, at, answers))
    proved.append(_chat(remote, session, workload, wanted, at, answers))
    return proved


def _saved_everywhere(remote: Reader, session: Session, workload: Workload, wanted: Wanted) -> str:
    for pod in workload.pods:
        read = session.ask(remote, workload, {"do": "read"}, pod=pod)[0]
        require_saved(remote, pod, read, wanted.connection, wanted.embedding)
    count = len(workload.pods)
    return f"its saved configuration is what was wanted, on {'its replica' if count == 1 else f'all {count} replicas'}"


def require_saved(remote: Reader, pod: str, read: Json, connection: Connection, embedding: Embedding) -> None:
    """Raise Trouble unless what was read in a pod is what was wanted."""
    lines = [*Connection.of(read["connection"]).lines(connection)]
    lines += Embedding(read["embedding"]).lines(embedding)
    if lines:
        raise Trouble(
            f"the saved configuration is not what was wanted, as {pod} reads it",
            host=remote.host.name,
            why="\n".join(lines),
            next="somebody else may be changing it: Admin Settings, Connections, in Open WebUI; then the same again",
        )


def _same_ollama(
    remote: Reader, session: Session, workload: Workload, target: Target, at: int, answers: Answers
) -> str:
    version, tags = session.ask(
        remote,
        workload,
        {"do": "call", "path": f"/ollama/api/version/{at}"},
        {"do": "call", "path": f"/ollama/api/tags/{at}"},
    )
    for answer in (version, tags):
        if answer["status"] != 200:
            raise Trouble(
                f"Open WebUI does not reach {target.url}",
                host=remote.host.name,
                why=_detail(answer),
                next="inv connect-scout again shows what stands in the way",
            )
    got = str(within(version, "answer", "version"))
    served = needs.digests(tags.get("answer"))
    if got != answers.version or served not in answers.listed:
        known = answers.listed[0]
        differing = sorted(name for name in {*served, *known} if served.get(name) != known.get(name))
        why = (
            f"version {got} through it, {answers.version} without; models that differ: {', '.join(differing) or 'none'}"
        )
        raise Trouble(
            f"Open WebUI gets another Ollama than {target.url}",
            host=remote.host.name,
            why=why,
            next="a name that means another host inside the pod: kubectl exec … getent hosts " + target.hostname,
        )
    return f"version {got} and the digests of {counted(len(served), 'model')} are those of {target.url}"


def _chat(remote: Reader, session: Session, workload: Workload, wanted: Wanted, at: int, before: Answers) -> str:
    model = _model(wanted, before)
    if not model:
        raise Trouble(
            f"{wanted.target.url} has no model to chat with",
            host=remote.host.name,
            why="it lists none",
            next=_pull(wanted.target),
        )
    body = {"model": model, "messages": [{"role": "user", "content": "Say yes."}], "stream": False}
    body["options"] = {"num_predict": 8}
    ask = {"do": "call", "path": f"/ollama/api/chat/{at}", "body": body, "seconds": CHAT_SECONDS}
    answer = session.ask(remote, workload, ask, seconds=CHAT_SECONDS + 60)[0]
    if answer["status"] != 200 or not within(answer, "answer", "message", "role"):
        raise Trouble(
            f"a chat with {model} through Open WebUI failed",
            host=remote.host.name,
            why=_detail(answer),
            next="inv status; the log of the Ollama that it asked says why",
        )
    after = ollama.ask(remote, session, workload, wanted.target)
    if after.resident.get(model) == before.resident.get(model):
        raise Trouble(
            f"the chat with {model} was answered, and not by {wanted.target.url}",
            host=remote.host.name,
            why="until when it has the model in memory did not move, as every use makes it",
            next="another connection of Open WebUI has the same model: Admin Settings, Connections",
        )
    return f"a chat with {model} was answered, and {wanted.target.url} saw it"


def _model(wanted: Wanted, answers: Answers) -> str:
    """The model to chat with: one in memory that this Scout uses, else one in memory, else one that it uses."""
    embeddings = {need.model for need in wanted.needs if need.used_as == "embeddings"}
    chats = [need.model for need in wanted.needs if need.used_as != "embeddings" and need.model in answers.tags]
    resident = [name for name in answers.resident if name in answers.tags]
    candidates = [
        *(name for name in chats if name in resident),
        *(name for name in resident if name not in embeddings),
        *chats,
        *(name for name in answers.tags if name not in embeddings),
        *answers.tags,
    ]
    return next(iter(candidates), "")


def _pull(target: Target) -> str:
    return f"inv pull-models --hosts {target.cluster.name}" if target.cluster else "have one pulled there"


def _detail(answer: Any) -> str:
    said = answer.get("answer")
    found = within(said, "detail") if isinstance(said, dict) else said
    return f"HTTP {answer['status']}: {found}"
