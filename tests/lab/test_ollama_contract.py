"""What Ollama 0.24 does, surprises and all: one contract, for the stand-in and for the real one.

The real one is that on PATH, or else built from its source, which loads no models: see `real_ollama.py`.
"""

import hashlib
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lab.standins import models
from tests.lab import real_ollama
from tests.lab.ollama_server import (
    Server,
    free_port,
    installed_programs,
    run_to_end,
    running,
    wait_for,
    with_read_only,
)

PROGRAMS = installed_programs()
BUILT = "built"
LIBRARY = Path("manifests/registry.ollama.ai/library")
HOUR = 3600


loads = pytest.mark.usefixtures("loading")


@pytest.fixture(params=[*PROGRAMS, BUILT], scope="module")
def program(request: pytest.FixtureRequest) -> list[str]:
    return real_ollama.program() if request.param == BUILT else PROGRAMS[request.param]


@pytest.fixture
def loading(program: list[str]) -> None:
    """What loads a model asks for this."""
    if program not in PROGRAMS.values():
        pytest.skip("the Ollama built from source loads no models")


@pytest.fixture(scope="module")
def server(program: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("ollama")
    models.add(directory / "store", "tiny")
    with running(program, directory) as server:
        yield server


class TestHttp:
    def test_answers_probes_at_once(self, server: Server) -> None:
        root = server.request("GET", "/")
        assert (root.text, root.headers["Content-Type"]) == ("Ollama is running", "text/plain; charset=utf-8")
        assert server.request("HEAD", "/").status == 200
        assert server.request("HEAD", "/api/version").status == 200
        assert list(server.get("/api/version")) == ["version"]

    @pytest.mark.parametrize("path", ["/api/nope", "/debug/pprof/", "/v1", "/api"])
    def test_knows_no_other_path(self, server: Server, path: str) -> None:
        answer = server.request("GET", path)
        assert (answer.status, answer.text) == (404, "404 page not found")

    @pytest.mark.parametrize(("method", "path"), [("GET", "/api/generate"), ("HEAD", "/api/ps"), ("POST", "/api/tags")])
    def test_refuses_the_wrong_method(self, server: Server, method: str, path: str) -> None:
        answer = server.request(method, path, b"{}" if method == "POST" else None)
        assert answer.status == 405
        assert answer.headers["Allow"]

    def test_redirects_a_double_slash(self, server: Server) -> None:
        for method, body in (("GET", None), ("POST", {"model": "tiny"})):
            answer = server.request(method, "//api/tags", body)
            assert (answer.status, answer.headers["Location"]) == (307, "/api/tags")

    def test_redirects_a_trailing_slash(self, server: Server) -> None:
        assert server.request("GET", "/api/tags/").status == 301
        assert server.request("POST", "/api/chat/", {}).status == 307

    def test_on_loopback_refuses_foreign_host_names(self, server: Server) -> None:
        assert server.request("GET", "/api/tags", headers={"Host": "ollama.example.edu"}).status == 403
        assert server.request("GET", "/api/tags", headers={"Host": "localhost"}).status == 200

    def test_wants_a_body(self, server: Server) -> None:
        answer = server.request("POST", "/api/generate", b"")
        assert (answer.status, answer.error) == (400, "missing request body")
        assert server.request("POST", "/api/generate", b"{bad").status == 400
        assert server.request("POST", "/api/generate", b"[]").status == 400


class TestListing:
    def test_digest_is_that_of_the_manifest_file(self, server: Server) -> None:
        manifest = server.store / LIBRARY / "tiny" / "latest"
        entry = server.tags()["tiny:latest"]
        assert entry["digest"] == hashlib.sha256(manifest.read_bytes()).hexdigest()
        assert entry["details"]["family"] == "llama"

    def test_is_live(self, server: Server) -> None:
        added = models.add(server.store, "second:1b")
        assert server.tags()["second:1b"]["digest"] == added.digest

    def test_other_hosts_and_namespaces_keep_them_in_the_name(self, server: Server) -> None:
        models.add(server.store, "hf.co/org/repo:Q4")
        models.add(server.store, "someone/model")
        assert {"hf.co/org/repo:Q4", "someone/model:latest"} <= set(server.tags())

    def test_without_configuration_a_model_is_not_listed(self, server: Server) -> None:
        models.add(server.store, "no-config").lose("config")
        assert "no-config:latest" not in server.tags()
        assert server.post("/api/generate", model="no-config").status == 404

    def test_without_weights_a_model_is_listed_all_the_same(self, server: Server) -> None:
        model = models.add(server.store, "no-weights")
        model.lose("model")
        assert server.tags()["no-weights:latest"]["size"] == model.manifest.size

    def test_passes_over_what_is_no_manifest(self, server: Server) -> None:
        tags = server.store / LIBRARY / "tiny"
        (tags / ".DS_Store").write_text("x")
        (tags / ".latest.Xa3bc9").write_text("{}")
        (tags / "half-written").write_text("")
        (tags / ".rsync-partial").mkdir()
        (server.store / LIBRARY / "README").write_text("x")
        before = set(server.tags())
        assert "tiny:latest" in before
        assert not any("half" in name or "Xa3" in name for name in before)

    def test_a_manifest_that_vanishes_meanwhile_makes_every_model_not_found(self, server: Server) -> None:
        dangling = server.store / LIBRARY / "tiny" / "gone"
        dangling.symlink_to("/nonexistent")
        try:
            assert server.request("GET", "/api/tags").status == 500
            answer = server.post("/api/generate", model="tiny")
            assert (answer.status, answer.error) == (404, "model 'tiny' not found")
        finally:
            dangling.unlink()
        assert "tiny:latest" in server.tags()


class TestDamagedWeights:
    """Nobody checks a digest; the errors name other causes."""

    def test_missing(self, server: Server) -> None:
        models.add(server.store, "missing").lose("model")
        generate = server.post("/api/generate", model="missing")
        assert (generate.status, generate.error) == (400, '"missing" does not support generate')
        assert server.post("/api/chat", model="missing").error == '"missing" does not support chat'
        assert server.post("/api/show", model="missing").status == 404
        embed = server.post("/api/embed", model="missing", input="x")
        assert (embed.status, embed.error) == (404, 'model "missing" not found, try pulling it first')

    def test_short(self, server: Server) -> None:
        models.add(server.store, "short").shorten("model", 150_000)
        for path in ("/api/generate", "/api/chat", "/api/show"):
            answer = server.post(path, model="short")
            assert answer.status == 500
            assert "exceeds file size (150000)" in answer.error

    def test_a_stub(self, server: Server) -> None:
        models.add(server.store, "stub").shorten("model", 10)
        assert server.post("/api/generate", model="stub").error == '"stub" does not support generate'
        assert server.post("/api/show", model="stub").status == 500

    @loads
    def test_of_the_right_size_goes_unnoticed(self, server: Server) -> None:
        models.add(server.store, "corrupt").corrupt_weights()
        assert server.post("/api/generate", model="corrupt").value["done_reason"] == "load"

    def test_missing_parameters_blob(self, server: Server) -> None:
        models.add(server.store, "no-params", parameters={"top_k": 7}).lose("params")
        assert "no-params:latest" in server.tags()
        assert server.post("/api/generate", model="no-params").status == 404


class TestNames:
    @loads
    @pytest.mark.parametrize("name", ["tiny", "TINY:Latest", "library/tiny", "registry.ollama.ai/library/tiny:latest"])
    def test_defaults_and_case(self, server: Server, name: str) -> None:
        answer = server.post("/api/generate", model=name)
        assert (answer.value["model"], answer.value["done_reason"]) == (name, "load")

    def test_refusals(self, server: Server) -> None:
        assert server.post("/api/generate", model="").error == "model '' not found"
        assert server.post("/api/chat", model="").error == "model is required"
        assert server.post("/api/show", model="").error == "model is required"
        assert server.post("/api/chat", model="a b").error == "invalid model name"
        assert server.post("/api/show", model="nope").error == "model 'nope' not found"

    def test_cloud_is_off(self, server: Server) -> None:
        answer = server.post("/api/generate", model="tiny:cloud")
        assert (answer.status, answer.error) == (403, "ollama cloud is disabled: remote model is unavailable")
        assert server.get("/api/status") == {"cloud": {"disabled": True, "source": "env"}}


class TestLoading:
    @loads
    def test_preload_for_ever_and_unload(self, server: Server) -> None:
        answer = server.post("/api/generate", model="tiny", keep_alive=-1)
        assert answer.value["done_reason"] == "load"
        entry = server.loaded()["tiny:latest"]
        assert int(entry["expires_at"][:4]) > 2200
        assert entry["context_length"] == 2048
        assert entry["digest"] == server.tags()["tiny:latest"]["digest"]
        assert entry["size"] > 0
        assert server.post("/api/generate", model="tiny", keep_alive=0).value["done_reason"] == "unload"
        wait_for(lambda: "tiny:latest" not in server.loaded(), "the model to be unloaded")

    @loads
    def test_keep_alive_of_five_minutes_unless_said(self, server: Server) -> None:
        server.post("/api/chat", model="tiny", keep_alive="5m")
        expires = datetime.fromisoformat(server.loaded()["tiny:latest"]["expires_at"])
        assert timedelta(minutes=4) < expires - datetime.now(UTC) <= timedelta(minutes=5)

    @loads
    def test_leaves_when_its_time_is_over(self, server: Server) -> None:
        server.post("/api/generate", model="tiny", keep_alive="300ms")
        wait_for(lambda: "tiny:latest" not in server.loaded(), "the model to expire")

    @loads
    def test_the_string_minus_one_has_no_unit(self, server: Server) -> None:
        answer = server.post("/api/generate", model="tiny", keep_alive="-1")
        assert (answer.status, answer.error) == (400, 'time: missing unit in duration "-1"')
        assert server.post("/api/generate", model="tiny", keep_alive="-1m").status == 200
        assert server.post("/api/generate", model="tiny", keep_alive="soon").error == 'time: invalid duration "soon"'

    @loads
    def test_tags_of_one_weights_blob_share_one_slot(self, server: Server) -> None:
        models.derive(server.store, "tiny-long", "tiny", {"num_ctx": 4096})
        server.post("/api/generate", model="tiny", keep_alive=-1)
        server.post("/api/generate", model="tiny-long", keep_alive=-1)
        loaded = server.loaded()
        assert "tiny:latest" not in loaded
        assert loaded["tiny-long:latest"]["context_length"] == 4096

    @loads
    def test_context_never_exceeds_what_the_model_was_trained_for(self, server: Server) -> None:
        server.post("/api/generate", model="tiny", options={"num_ctx": 10_000_000})
        assert server.loaded()["tiny:latest"]["context_length"] == models.CONTEXT_LENGTH
        server.post("/api/generate", model="tiny", keep_alive=0)

    def test_options_of_the_wrong_type(self, server: Server) -> None:
        answer = server.post("/api/generate", model="tiny", options={"num_ctx": "many"})
        assert (answer.status, answer.error) == (500, 'option "num_ctx" must be of type integer')
        assert server.post("/api/generate", model="tiny", options=[1]).status == 400


class TestAnswers:
    @loads
    def test_generate_streams_lines(self, server: Server) -> None:
        answer = server.post("/api/generate", model="tiny", prompt="hello", options={"num_predict": 3})
        assert answer.headers["Content-Type"] == "application/x-ndjson"
        last = answer.lines[-1]
        assert (last["done"], last["done_reason"]) == (True, "length")
        assert {"total_duration", "load_duration", "eval_count"} <= set(last)
        assert all(not line["done"] for line in answer.lines[:-1])

    @loads
    def test_chat_whole(self, server: Server) -> None:
        messages = [{"role": "user", "content": "hello"}]
        options = {"num_predict": 3}
        answer = server.post("/api/chat", model="tiny", messages=messages, stream=False, options=options)
        assert answer.value["message"]["role"] == "assistant"
        assert answer.value["done"] is True

    def test_what_the_model_cannot_do(self, server: Server) -> None:
        messages = [{"role": "user", "content": "hello"}]
        think = server.post("/api/generate", model="tiny", prompt="x", think=True)
        assert (think.status, think.error) == (400, '"tiny" does not support thinking')
        tools = server.post("/api/chat", model="tiny", messages=messages, tools=[{"type": "function", "function": {}}])
        assert "does not support tools" in tools.error

    @loads
    def test_embeddings_have_length_one(self, server: Server) -> None:
        vectors = server.post("/api/embed", model="tiny", input=["one", "two"]).value["embeddings"]
        assert [len(vector) for vector in vectors] == [64, 64]
        assert sum(number * number for number in vectors[0]) == pytest.approx(1, abs=1e-3)
        assert server.post("/api/embed", model="tiny").value["embeddings"] == []
        assert len(server.post("/api/embeddings", model="tiny", prompt="one").value["embedding"]) == 64

    def test_show(self, server: Server) -> None:
        value = server.post("/api/show", model="tiny").value
        assert value["capabilities"] == ["completion"]
        assert value["model_info"]["llama.context_length"] == models.CONTEXT_LENGTH
        assert value["model_info"]["tokenizer.ggml.tokens"] is None
        assert value["license"] == models.LICENSE
        assert value["parameters"].split() == ["temperature", "0"]

    @loads
    def test_openai_form(self, server: Server) -> None:
        assert "tiny:latest" in {entry["id"] for entry in server.get("/v1/models")["data"]}
        assert server.get("/v1/models/tiny")["id"] == "tiny"
        body: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
        whole = server.post("/v1/chat/completions", **body).value
        assert whole["choices"][0]["message"]["role"] == "assistant"
        assert whole["usage"]["completion_tokens"] == 2
        streamed = server.post("/v1/chat/completions", **body, stream=True)
        assert streamed.headers["Content-Type"] == "text/event-stream"
        assert streamed.text.endswith("data: [DONE]\n\n")
        assert len(server.post("/v1/embeddings", model="tiny", input=["a", "b"]).value["data"]) == 2

    def test_openai_form_of_errors(self, server: Server) -> None:
        answer = server.post("/v1/chat/completions", model="nope", messages=[{"role": "user", "content": "hi"}])
        assert (answer.status, answer.value["error"]["type"]) == (404, "not_found_error")
        assert server.post("/v1/chat/completions", model="tiny").value["error"]["type"] == "invalid_request_error"


class TestMakingModels:
    PARAMETERS = {"num_ctx": 4096, "num_keep": 64, "num_predict": -1, "stop": ["<a>", "&"], "temperature": 0.7}  # noqa: RUF012 (never changed)

    def test_derived_digests_are_those_of_the_lab(self, server: Server, tmp_path: Path) -> None:
        models.add(tmp_path, "tiny")
        expected = models.derive(tmp_path, "derived", "tiny", self.PARAMETERS)
        blobs = len(list((server.store / "blobs").iterdir()))
        answer = server.post("/api/create", model="derived", **{"from": "tiny"}, parameters=self.PARAMETERS)
        assert answer.lines[-1] == {"status": "success"}
        assert server.tags()["derived:latest"]["digest"] == expected.digest
        assert len(list((server.store / "blobs").iterdir())) == blobs + 2

    def test_create_touches_the_weights(self, server: Server) -> None:
        weights = models.find(server.store, "tiny").blob("model")
        os.utime(weights, (0, 0))
        server.post("/api/create", model="derived-again", **{"from": "tiny"}, parameters={"top_k": 1}, stream=False)
        assert weights.stat().st_mtime > time.time() - HOUR

    def test_create_refuses(self, server: Server) -> None:
        assert server.post("/api/create", model="x", stream=False).error == ("neither 'from' or 'files' was specified")
        assert server.post("/api/create", model="a b", **{"from": "tiny"}).error == "invalid model name"

    def test_create_from_an_uploaded_file(self, server: Server) -> None:
        content = models.weights("uploaded")
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert server.request("HEAD", f"/api/blobs/{digest}").status == 404
        assert server.request("POST", f"/api/blobs/{digest}", content).status == 201
        assert server.request("HEAD", f"/api/blobs/{digest}").status == 200
        answer = server.post("/api/create", model="uploaded", files={"a.gguf": digest}, stream=False)
        assert answer.value == {"status": "success"}
        assert server.tags()["uploaded:latest"]["details"]["quantization_level"] == "F16"

    def test_an_upload_must_have_its_digest(self, server: Server) -> None:
        answer = server.request("POST", f"/api/blobs/sha256:{'0' * 64}", b"something else")
        assert (answer.status, "digest mismatch" in answer.error) == (400, True)
        assert server.request("HEAD", "/api/blobs/sha256:short").status == 400

    def test_copy_and_delete_keep_shared_blobs(self, server: Server) -> None:
        model = models.add(server.store, "original")
        assert server.post("/api/copy", source="original", destination="somebody/else:v1").status == 200
        assert server.tags()["somebody/else:v1"]["digest"] == model.digest
        weights = model.blob("model")
        assert server.request("DELETE", "/api/delete", {"model": "original"}).status == 200
        assert weights.exists()
        assert server.request("DELETE", "/api/delete", {"model": "somebody/else:v1"}).status == 200
        assert not weights.exists()
        assert not (server.store / "manifests/registry.ollama.ai/somebody").exists()
        assert server.request("DELETE", "/api/delete", {"model": "original"}).status == 404

    def test_a_call_that_names_no_model_is_refused_in_json_and_changes_nothing(self, server: Server) -> None:
        """What check-access relies on: its tries are harmless, and are known to have reached Ollama."""
        before = sorted(server.store.rglob("*"))
        calls = [*(("POST", f"/api/{path}") for path in ("pull", "push", "create", "copy")), ("DELETE", "/api/delete")]
        for method, path in calls:
            answer = server.request(method, path, {})
            assert (answer.status, answer.headers.get_content_type()) == (400, "application/json")
        absent = server.request("HEAD", f"/api/blobs/sha256:{'0' * 64}")
        assert (absent.status, absent.headers.get_content_type()) == (404, "application/json")
        assert sorted(server.store.rglob("*")) == before

    def test_pull_without_a_registry(self, server: Server) -> None:
        name = f"127.0.0.1:{free_port()}/library/absent"
        lines = server.post("/api/pull", model=name, insecure=True).lines
        assert lines[0] == {"status": "pulling manifest"}
        assert lines[-1]["error"].startswith("pull model manifest: ")
        assert server.post("/api/pull", model=name, insecure=True, stream=False).status == 500


class TestStart:
    def test_says_how_it_is_configured(self, server: Server) -> None:
        assert 'msg="server config" env="map[' in server.log
        assert "OLLAMA_CONTEXT_LENGTH:2048" in server.log
        assert f"OLLAMA_MODELS:{server.store}" in server.log
        assert 'msg="Ollama cloud disabled: true"' in server.log
        assert f'msg="Listening on 127.0.0.1:{server.port} (version ' in server.log
        assert 'msg="inference compute" id=cpu library=cpu' in server.log
        assert 'msg="vram-based default context"' in server.log

    def test_logs_requests_with_the_forwarded_client(self, server: Server) -> None:
        server.request("GET", "/api/version", headers={"X-Forwarded-For": "203.0.113.9"})
        wait_for(lambda: "203.0.113.9 | GET" in server.log, "the request to be logged")

    def test_writes_its_key(self, server: Server) -> None:
        key = server.store.parent / "home/.ollama/id_ed25519"
        assert key.stat().st_mode & 0o777 == 0o600
        assert key.with_suffix(".pub").read_text().startswith("ssh-ed25519 ")

    def test_needs_a_writable_home(self, program: list[str], tmp_path: Path) -> None:
        (tmp_path / "home").mkdir()
        result = run_to_end(with_read_only(tmp_path / "home", program), tmp_path)
        assert result.returncode == 1
        assert "Error: could not create directory mkdir" in result.stderr

    def test_a_taken_port(self, program: list[str], server: Server, tmp_path: Path) -> None:
        result = run_to_end(program, tmp_path, OLLAMA_HOST=f"127.0.0.1:{server.port}")
        assert result.returncode == 1
        assert "bind: address already in use" in result.stderr

    def test_prunes_what_is_unreferenced_and_older_than_an_hour(self, program: list[str], tmp_path: Path) -> None:
        model = models.add(tmp_path / "store", "tiny")
        blobs = tmp_path / "store/blobs"
        old, young = blobs / f"sha256-{'a' * 64}", blobs / f"sha256-{'b' * 64}"
        partial, folder = blobs / f"sha256-{'c' * 64}-partial", blobs / ".rsync-partial"
        folder.mkdir()
        for path in (old, young, partial):
            path.write_text("x")
        for path in (old, partial, folder, model.blob("model")):
            os.utime(path, (time.time() - 2 * HOUR,) * 2)
        (tmp_path / "store" / LIBRARY / "empty").mkdir()
        with running(program, tmp_path):
            left = set(blobs.iterdir())
        assert {young, folder, model.blob("model")} <= left
        assert not {old, partial} & left
        assert not (tmp_path / "store" / LIBRARY / "empty").exists()

    def test_one_bad_manifest_stops_all_pruning(self, program: list[str], tmp_path: Path) -> None:
        models.add(tmp_path / "store", "tiny").manifest_path.with_name("bad").write_text("")
        old = tmp_path / f"store/blobs/sha256-{'a' * 64}"
        old.write_text("x")
        os.utime(old, (0, 0))
        with running(program, tmp_path) as server:
            assert "corrupt manifests detected, skipping prune operation" in server.log
        assert old.exists()

    def test_renames_old_style_blobs(self, program: list[str], tmp_path: Path) -> None:
        blobs = tmp_path / "store/blobs"
        blobs.mkdir(parents=True)
        (blobs / f"sha256:{'d' * 64}").write_text("x")
        with running(program, tmp_path):
            assert (blobs / f"sha256-{'d' * 64}").exists()

    def test_read_only_store_with_an_empty_directory_ends_it(self, program: list[str], tmp_path: Path) -> None:
        models.add(tmp_path / "store", "tiny")
        (tmp_path / "store" / LIBRARY / "empty").mkdir()
        (tmp_path / "home").mkdir()
        read_only = with_read_only(tmp_path / "store", program)
        result = run_to_end(read_only, tmp_path)
        assert result.returncode == 1
        assert "read-only file system" in result.stderr

    def test_read_only_store_serves_without_pruning(self, program: list[str], tmp_path: Path) -> None:
        models.add(tmp_path / "store", "tiny")
        (tmp_path / "store" / LIBRARY / "empty").mkdir()
        read_only = with_read_only(tmp_path / "store", program)
        with running(read_only, tmp_path, OLLAMA_NOPRUNE="1") as server:
            assert "tiny:latest" in server.tags()
            refused = server.request("DELETE", "/api/delete", {"model": "tiny"})
            assert (refused.status, "read-only file system" in refused.error) == (500, True)
            assert server.post("/api/create", model="x", **{"from": "tiny"}, stream=False).status == 500

    @loads
    def test_read_only_store_is_loaded_from(self, program: list[str], tmp_path: Path) -> None:
        models.add(tmp_path / "store", "tiny")
        with running(with_read_only(tmp_path / "store", program), tmp_path, OLLAMA_NOPRUNE="1") as server:
            assert server.post("/api/generate", model="tiny").status == 200
