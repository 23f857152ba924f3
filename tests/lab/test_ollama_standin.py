"""What Ollama's stand-in adds to the contract: slow loads, GPUs as nvidia-smi tells, answers that own up."""

import http.client
import json
import threading
from pathlib import Path

import pytest

from lab.standins import models
from lab.standins.ollama.answers import NO_MODEL_RUN
from tests.lab.ollama_server import (
    DEADLINE_SECONDS,
    REPOSITORY,
    STAND_IN,
    Server,
    path_without_ollama,
    running,
    wait_for,
)
from tests.lab.test_gpu import Host


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    models.add(tmp_path / "store", "tiny")
    return tmp_path


def start_request(server: Server, body: dict[str, object]) -> http.client.HTTPConnection:
    """A request whose answer is not awaited."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE_SECONDS)
    connection.request("POST", "/api/generate", json.dumps(body))
    return connection


class TestAnswers:
    def test_say_that_no_model_was_run(self, directory: Path) -> None:
        with running(STAND_IN, directory) as server:
            answer = server.post("/api/generate", model="tiny", prompt="hello", stream=False).value["response"]
            again = server.post("/api/generate", model="tiny", prompt="hello", stream=False).value["response"]
        assert NO_MODEL_RUN in answer
        assert answer == again

    def test_as_json_when_asked(self, directory: Path) -> None:
        with running(STAND_IN, directory) as server:
            answer = server.post("/api/generate", model="tiny", prompt="x", format="json", stream=False)
        assert NO_MODEL_RUN in json.loads(answer.value["response"])["answer"]

    def test_version_is_the_tag_of_the_image(self, directory: Path) -> None:
        with running(STAND_IN, directory, LAB_IMAGE_TAG="0.24.1") as server:
            assert server.get("/api/version") == {"version": "0.24.1"}

    def test_termination_cuts_a_stream_at_once(self, directory: Path) -> None:
        with running(STAND_IN, directory, LAB_TOKEN_SECONDS="5") as server:
            connection = start_request(server, {"model": "tiny", "prompt": "x", "keep_alive": -1})
            wait_for(server.loaded, "the model to be loaded")
            server.process.terminate()
            assert server.process.wait(DEADLINE_SECONDS) == 0
            with pytest.raises((http.client.HTTPException, ConnectionError)):
                connection.getresponse().read()


class TestLoads:
    def test_a_client_that_leaves_ends_the_load(self, directory: Path) -> None:
        with running(STAND_IN, directory, LAB_LOAD_SECONDS="600") as server:
            connection = start_request(server, {"model": "tiny"})
            connection.close()
            wait_for(lambda: "| 499 |" in server.log, "the load to be given up")
            assert server.loaded() == {}

    def test_a_client_that_leaves_a_stream_lets_the_model_go(self, directory: Path) -> None:
        with running(STAND_IN, directory, LAB_TOKEN_SECONDS="0.05") as server:
            connection = start_request(server, {"model": "tiny", "prompt": "x", "keep_alive": "1ms"})
            connection.getresponse().read(10)
            connection.close()
            wait_for(lambda: not server.loaded(), "the model to be unloaded")

    def test_tags_in_turn_reload_every_time(self, directory: Path) -> None:
        models.derive(directory / "store", "tiny-long", "tiny", {"num_ctx": 4096})
        with running(STAND_IN, directory) as server:
            for name in ("tiny", "tiny-long", "tiny", "tiny-long"):
                server.post("/api/generate", model=name, keep_alive=-1)
            assert server.log.count("reason=reloading") == 3

    def test_tags_with_the_same_load_options_do_not(self, directory: Path) -> None:
        models.derive(directory / "store", "tiny-cold", "tiny", {"temperature": 0.1, "num_predict": 5})
        with running(STAND_IN, directory) as server:
            for name in ("tiny", "tiny-cold", "tiny"):
                server.post("/api/generate", model=name, keep_alive=-1)
            assert "reason=reloading" not in server.log
            assert list(server.loaded()) == ["tiny:latest"]

    def test_the_most_loaded_models(self, directory: Path) -> None:
        models.add(directory / "store", "other")
        with running(STAND_IN, directory, OLLAMA_MAX_LOADED_MODELS="1") as server:
            server.post("/api/generate", model="tiny", keep_alive=-1)
            server.post("/api/generate", model="other", keep_alive=-1)
            assert list(server.loaded()) == ["other:latest"]

    def test_a_full_queue(self, directory: Path) -> None:
        limits = {"OLLAMA_MAX_QUEUE": "1", "LAB_LOAD_SECONDS": "2"}
        with running(STAND_IN, directory, **limits) as server:
            statuses: list[int] = []
            requests = [
                threading.Thread(target=lambda: statuses.append(server.post("/api/generate", model="tiny").status))
                for _ in range(3)
            ]
            for request in requests:
                request.start()
            for request in requests:
                request.join(DEADLINE_SECONDS)
            assert sorted(statuses) == [200, 200, 503]

    def test_keep_alive_from_the_environment(self, directory: Path) -> None:
        with running(STAND_IN, directory, OLLAMA_KEEP_ALIVE="-1") as server:
            server.post("/api/generate", model="tiny")
            assert server.loaded()["tiny:latest"]["expires_at"] > "2200"
            assert "OLLAMA_KEEP_ALIVE:2562047h47m16.854775807s" in server.log


class TestGpus:
    def gpu_environment(self, directory: Path, gpus: int) -> dict[str, str]:
        configuration = directory / "etc"
        configuration.mkdir()
        Host(configuration, gpus)
        path = f"{REPOSITORY / 'lab/standins/bin'}:{path_without_ollama()}"
        return {"LAB_CONFIGURATION": str(configuration), "PATH": path, "OLLAMA_CONTEXT_LENGTH": "0"}

    def test_models_are_in_video_memory_whole(self, directory: Path) -> None:
        with running(STAND_IN, directory, **self.gpu_environment(directory, 1)) as server:
            server.post("/api/generate", model="tiny", keep_alive=-1)
            entry = server.loaded()["tiny:latest"]
            assert entry["size_vram"] == entry["size"]
            assert 'msg="inference compute" id=GPU-' in server.log
            assert "library=CUDA" in server.log

    def test_big_gpus_mean_a_long_context(self, directory: Path) -> None:
        with running(STAND_IN, directory, **self.gpu_environment(directory, 1)) as server:
            assert "default_num_ctx=262144" in server.log
            server.post("/api/generate", model="tiny")
            assert server.loaded()["tiny:latest"]["context_length"] == 262144

    def test_without_the_driver_the_processor_serves(self, directory: Path) -> None:
        environment = self.gpu_environment(directory, 1)
        Path(environment["LAB_CONFIGURATION"], "gpu-fault").write_text("no-driver")
        with running(STAND_IN, directory, **environment) as server:
            server.post("/api/generate", model="tiny")
            assert server.loaded()["tiny:latest"]["size_vram"] == 0
            assert "library=cpu" in server.log
            assert "default_num_ctx=4096" in server.log
