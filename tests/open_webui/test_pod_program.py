"""The program that runs inside the pod, run here beside the stand-in: what it tells, and what it never does."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from scout_ollama.open_webui.session import ADMIN, PROGRAM
from tests.lab.ollama_server import free_port
from tests.lab.open_webui_server import PASSWORD, OpenWebUi

KEY = "sk-that-stays-in-the-pod"
URL, OTHER = "http://127.0.0.1:9", "http://127.0.0.1:19"


@pytest.fixture(scope="module")
def webui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenWebUi]:
    with OpenWebUi(None, tmp_path_factory.mktemp("webui") / "data").running() as it:
        assert it.sign_in().status == 200
        yield it


def run(
    webui: OpenWebUi, *asks: dict[str, Any], password: str = PASSWORD, token: str = ""
) -> tuple[dict[str, Any], str]:
    """What it prints, as JSON and as text."""
    request = {"email": ADMIN, "token": token, "asks": asks}
    lines = [json.dumps(PROGRAM.read_text()), base64.b64encode(password.encode()).decode(), json.dumps(request)]
    argv = [sys.executable, "-c", "import json, sys; exec(json.loads(sys.stdin.readline()))"]
    environment = {"PATH": os.environ["PATH"], "PORT": str(webui.port)}
    given = "".join(f"{line}\n" for line in lines)
    done = subprocess.run(argv, input=given, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert PASSWORD not in done.stdout + done.stderr
    return json.loads(done.stdout), done.stdout


def test_it_signs_in_once_and_not_with_a_token_that_is_taken(webui: OpenWebUi) -> None:
    read = {"do": "read"}
    first, _ = run(webui, read, read)
    assert first["token"]
    again, _ = run(webui, read, password="", token=first["token"])
    assert (again["token"], again["results"]) == ("", first["results"][:1])


def test_keys_stay_and_come_back_where_their_mark_is_sent(webui: OpenWebUi) -> None:
    webui.connect(URL, OTHER, at_1={"key": KEY, "prefix_id": "x"})
    (found,), text = run(webui, {"do": "facts"})[0]["results"], run(webui, {"do": "read"})[1]
    assert found["connection"]["OLLAMA_API_CONFIGS"]["1"] == {"key": "(redacted)", "prefix_id": "x"}
    assert KEY not in text
    swapped = {"0": {"key": "(redacted)", "prefix_id": "x"}}
    wanted = {"ENABLE_OLLAMA_API": True, "OLLAMA_BASE_URLS": [OTHER, URL], "OLLAMA_API_CONFIGS": swapped}
    said, text = run(webui, {"do": "connect", "connection": wanted})
    assert said["results"][0]["connection"]["OLLAMA_API_CONFIGS"] == swapped
    assert KEY not in text
    assert webui.ask("/ollama/config").value["OLLAMA_API_CONFIGS"]["0"]["key"] == KEY


def test_a_key_that_is_not_there_any_more_changes_nothing(webui: OpenWebUi) -> None:
    webui.connect(URL)
    wanted = {
        "ENABLE_OLLAMA_API": True,
        "OLLAMA_BASE_URLS": [OTHER],
        "OLLAMA_API_CONFIGS": {"0": {"key": "(redacted)"}},
    }
    said, _ = run(webui, {"do": "connect", "connection": wanted})
    assert said["error"]["kind"] == "key"
    assert webui.ask("/ollama/config").value["OLLAMA_BASE_URLS"] == [URL]


@pytest.mark.parametrize(("password", "kind"), [("wrong-password", "password"), ("", "password")])
def test_who_cannot_sign_in_is_told_why(webui: OpenWebUi, password: str, kind: str) -> None:
    said, _ = run(webui, {"do": "read"}, password=password)
    assert said["error"]["kind"] == kind


def test_nobody_there_is_told_as_that() -> None:
    nobody = OpenWebUi(None, None, port=free_port())  # type: ignore[arg-type]
    said, _ = run(nobody, {"do": "read"})
    assert said["error"]["kind"] == "silent"


def test_a_probe_says_how_far_it_came(webui: OpenWebUi) -> None:
    refused = run(webui, {"do": "probe", "url": f"http://127.0.0.1:{free_port()}", "ca": ""})[0]["results"][0]
    assert (refused["name"], bool(refused["tcp"])) == ("", True)
    unknown = run(webui, {"do": "probe", "url": "https://no-such-host.invalid", "ca": ""})[0]["results"][0]
    assert unknown["name"]
