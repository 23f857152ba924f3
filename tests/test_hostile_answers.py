"""Whatever a host's scripts, its Ollama or its Open WebUI say, what is made of it is a value or Trouble."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from scout_ollama import facts, state
from scout_ollama.access import answer
from scout_ollama.errors import Trouble
from scout_ollama.facts import Section
from scout_ollama.inventory import Host
from scout_ollama.models import pods, stored
from scout_ollama.models.needs import latest
from scout_ollama.models.pull_progress import PullProgress
from scout_ollama.open_webui import needs
from scout_ollama.open_webui import session as sessions
from scout_ollama.open_webui.configuration import Connection, Embedding
from scout_ollama.open_webui.workload import Workload
from scout_ollama.progress import Progress
from scout_ollama.remote import RecordingRemote
from scout_ollama.store import Manifest, StoreError
from tests.models.stores import manifest, model_set
from tests.spoiling import spoilt

HOST = Host(name="phi-gpu-1", cluster="phi", address="192.0.2.11", roles=frozenset({"server"}))
moderate = settings(max_examples=100)


def hearing(text: str) -> RecordingRemote:
    return RecordingRemote(HOST, lambda _: text)


def tellable(trouble: Trouble) -> None:
    assert trouble.host == HOST.name
    str(trouble).encode()


def encoded(content: bytes | str) -> str:
    return base64.b64encode(content.encode() if isinstance(content, str) else content).decode()


BLOB = f"sha256-{'a' * 64}"
LINES = [
    "clock 0",
    "  1800000000",
    "images 0",
    '  {"images": [{"repoTags": ["x"]}]}',
    "images.space 0",
    "  1 2",
    "lock.silent 0",
    "  12",
    "revisions 0",
    "  1.yaml 2.yaml",
    "audit 0",
    "  {}",
    "answers 0",
    "directories 0",
    "manifests 0",
    f"  {encoded('registry.ollama.ai/library/tiny/latest')} {encoded(manifest('a'))}",
    "blobs 0",
    f"  {BLOB} 12 1.0 2",
    "verified 0",
    f"  {BLOB} 12 1.0 2 ok",
    "small 0",
    f"  {BLOB} {encoded('{}')}",
    "incoming 0",
    f"  {BLOB} 3",
    "sets 0",
    f"  1 {encoded(model_set(tiny=manifest('a')).dump())}",
]


@st.composite
def printed(draw: st.DrawFn) -> str:
    """What scripts print with lines left out, in another order, cut short, or replaced."""
    lines = draw(st.permutations(LINES)) if draw(st.booleans()) else list(LINES)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        line = lines[at]
        lines[at] = draw(
            st.sampled_from(
                ["", line[:-3], line.replace("1", "9" * 30), line.replace("=", "é"), "  \ufffd", "  {", "  []"]
            )
            | st.text(max_size=8)
        )
    return "\n".join(lines)[: draw(st.integers(0, 9999))]


@moderate
@given(printed() | st.text(max_size=40))
@example("images 0\n  " + "[" * 99_999)
@example("clock 0\n  " + "9" * 5000)
def test_scripts_about_a_host(text: str) -> None:
    for read in (
        lambda remote: facts.read_host(remote, store="/s", harbor=None),
        state.read,
        lambda remote: stored.read(remote, "/s"),
        lambda remote: state.keep(remote, []),
        lambda remote: state.revision(remote, 1),
    ):
        try:
            found = read(hearing(text))
        except Trouble as trouble:
            tellable(trouble)
        else:
            str(found).encode(errors="replace")


def test_scripts_about_a_host_as_they_should_be() -> None:
    remote = hearing("\n".join(LINES))
    assert facts.read_host(remote, store="/s", harbor=None).images == {"x"}
    assert state.read(remote).revisions == [1, 2]
    found = stored.read(remote, "/s")
    assert found.blobs
    assert latest([found])


@moderate
@given(spoilt(json.loads(manifest("a"))))
@example({"layers": [{"digest": f"sha256:{'a' * 64}", "size": 2**70}]})
def test_a_manifest_on_disk_or_in_a_registry(document: Any) -> None:
    try:
        parsed = Manifest.parse(json.dumps(document))
    except StoreError:
        return
    assert all(0 <= size < 2**63 for size in parsed.blobs.values())


PS = {"models": [{"name": "tiny", "model": "tiny", "digest": "a", "size": 2, "size_vram": 1, "expires_at": "x"}]}


@moderate
@given(spoilt(PS))
@example({"models": [{**PS["models"][0], "size": 1e999}]})
def test_what_ollama_has_in_memory(document: Any) -> None:
    text = json.dumps(document)
    pods.loaded(Section(0, text))
    needs.digests(document)
    answer.parsed(Section(0, f"{text}\nanswer 200 0.1 application/json"))


@moderate
@given(spoilt({"status": "pulling", "total": 10, "completed": 5}))
@example({"status": "x", "total": 1e999, "completed": 1})
@example({"status": "x", "total": 10**400})
def test_how_far_a_pull_is(document: Any) -> None:
    shown: list[Progress] = []
    PullProgress(lambda _: None, shown.append).hear(f"tiny {json.dumps(document)}")
    [str(progress) for progress in shown]


WEBUI = Workload("StatefulSet", "open-webui", "scout", "open-webui", "i", 1, {}, {}, (), ("open-webui-0",))
CONNECTION = {
    "ENABLE_OLLAMA_API": True,
    "OLLAMA_BASE_URLS": ["https://x"],
    "OLLAMA_API_CONFIGS": {"0": {"enable": True}},
}
EMBEDDING = {"RAG_EMBEDDING_ENGINE": "ollama", "RAG_EMBEDDING_MODEL": "m", "ollama_config": {"url": "u", "key": ""}}
SAID = {"token": "", "results": [{"connection": CONNECTION, "embedding": EMBEDDING}]}


@moderate
@given(spoilt(SAID))
@example([])
@example({"token": "", "results": []})
def test_open_webui(document: Any) -> None:
    try:
        (found,) = sessions.Session().ask(hearing(json.dumps(document)), WEBUI, {"do": "read"})
    except Trouble as trouble:
        return tellable(trouble)
    connection, embedding = Connection.of(found["connection"]), Embedding(found["embedding"])
    connection.lines(connection)
    connection.body()
    embedding.lines(embedding.at("v"))
    return None


def test_open_webui_as_it_should_be() -> None:
    (found,) = sessions.Session().ask(hearing(json.dumps(SAID)), WEBUI, {"do": "read"})
    assert Connection.of(found["connection"]).urls == ("https://x",)
