"""The forms under Ollama's stand-in: Go's durations and JSON, model names, GGUF; and the seeding command."""

import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.standins import models
from lab.standins.ollama import gguf, golang, settings
from lab.standins.ollama.names import Name
from scout_ollama.models.sets import closure
from scout_ollama.models.stored import BlobFile, Stored
from scout_ollama.store import Manifest, ModelName, StoreError, blob_digest
from tests.lab.ollama_server import REPOSITORY


class TestDurations:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [("5m", 300), ("1h30m", 5400), ("-1m", -60), ("300ms", 0.3), ("1.5h", 5400), ("0", 0), ("-0", 0), (".5s", 0.5)],
    )
    def test_reading(self, text: str, seconds: float) -> None:
        assert golang.parse_duration(text) == pytest.approx(seconds)

    @pytest.mark.parametrize("text", ["-1", "24", "1.5"])
    def test_a_unit_must_be_there(self, text: str) -> None:
        with pytest.raises(ValueError, match="missing unit in duration"):
            golang.parse_duration(text)

    @pytest.mark.parametrize("text", ["", "x", "5 m", "m", "5minutes", "--1s", ".", "9999999999h"])
    def test_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="invalid duration"):
            golang.parse_duration(text)

    @pytest.mark.parametrize(
        ("seconds", "text"), [(300, "5m0s"), (86400, "24h0m0s"), (1.5, "1.5s"), (0, "0s"), (-60, "-1m0s")]
    )
    def test_writing(self, seconds: float, text: str) -> None:
        assert golang.format_duration(seconds) == text

    @given(st.integers(0, 10**8))
    def test_round_trip(self, seconds: int) -> None:
        assert golang.parse_duration(golang.format_duration(seconds)) == seconds


def test_json_as_go_writes_it() -> None:
    value = {"b": 1.0, "a": ["<é&>", 0.7, True, None]}
    assert golang.encode_json(value) == '{"b":1,"a":["\\u003cé\\u0026\\u003e",0.7,true,null]}\n'.encode()


@pytest.mark.parametrize(
    ("count", "text"),
    [(999, "999"), (74304, "74K"), (268_098_176, "268.10M"), (8 * 10**9, "8B"), (8_030_261_248, "8.0B")],
)
def test_counts(count: int, text: str) -> None:
    assert golang.human_count(count) == text


@given(st.text("aZ0_-.:/ @", max_size=30))
def test_names_are_valid_where_the_product_says_so(text: str) -> None:
    """Two readings of the same rules, written apart from each other."""
    name = Name.parse(text)
    try:
        expected = ModelName.parse(text)
    except StoreError:
        assert not name.is_valid
    else:
        assert name.is_valid
        assert (str(name.path), name.short) == (str(expected.manifest_path), str(expected))


class TestSettings:
    @pytest.mark.parametrize(
        ("text", "host"),
        [
            ("", ("127.0.0.1", 11434)),
            ("198.51.100.1", ("198.51.100.1", 11434)),
            ("198.51.100.1:80", ("198.51.100.1", 80)),
            ("http://10.0.0.1", ("10.0.0.1", 80)),
            ("http://10.0.0.1:1234/path", ("10.0.0.1", 1234)),
            ("[::1]:1234", ("::1", 1234)),
            ("::1", ("::1", 11434)),
            ("'127.0.0.1:99999'", ("127.0.0.1", 11434)),
        ],
    )
    def test_host(self, text: str, host: tuple[str, int]) -> None:
        read = settings.read({"OLLAMA_HOST": text})
        assert (read.address, read.port) == host

    @pytest.mark.parametrize(("text", "flag"), [("", False), ("0", False), ("false", False), ("1", True), ("no", True)])
    def test_any_word_that_is_no_boolean_is_true(self, text: str, flag: bool) -> None:
        assert settings.read({"OLLAMA_NOPRUNE": text}).no_prune is flag

    @pytest.mark.parametrize(
        ("text", "seconds"), [("", 300), ("24h", 86400), ("300", 300), ("0", 0), ("-1", golang.FOREVER), ("x", 300)]
    )
    def test_keep_alive(self, text: str, seconds: float) -> None:
        assert settings.read({"OLLAMA_KEEP_ALIVE": text}).keep_alive == seconds

    def test_load_timeout_of_zero_is_without_end(self) -> None:
        assert settings.read({"OLLAMA_LOAD_TIMEOUT": "0"}).load_timeout == golang.FOREVER


class TestGguf:
    def test_header_of_the_lab_weights(self, tmp_path: Path) -> None:
        path = tmp_path / "weights"
        path.write_bytes(models.weights())
        header = gguf.read_header(path)
        assert header.architecture == "llama"
        assert header.file_type == "F16"
        assert header.of_architecture("context_length") == models.CONTEXT_LENGTH
        assert header.file_size == path.stat().st_size

    @pytest.mark.parametrize("size", [0, 3, 4, 23, 24, 30, 1000, 6000, 20_000, len(models.weights()) - 1])
    def test_a_shorter_file_is_refused(self, size: int, tmp_path: Path) -> None:
        path = tmp_path / "weights"
        path.write_bytes(models.weights()[:size])
        with pytest.raises(gguf.BadFile):
            gguf.read_header(path)

    @given(position=st.integers(0, 10_000), byte=st.integers(0, 255))
    @hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
    def test_damage_in_the_header_is_refused_or_harmless(self, tmp_path: Path, position: int, byte: int) -> None:
        content = bytearray(models.weights())
        content[position] = byte
        path = tmp_path / "weights"
        path.write_bytes(content)
        try:
            gguf.read_header(path)
        except gguf.BadFile:
            return


class TestSeeding:
    def test_the_same_everywhere_and_complete(self, tmp_path: Path) -> None:
        outputs = []
        for name in ("one", "two"):
            command = [sys.executable, "-m", "lab.standins.models", "seed", str(tmp_path / name), "tiny", "gemma4:31b"]
            result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
            outputs.append(result.stdout)
            store = self.read(tmp_path / name)
            assert sorted(map(str, store.manifests)) == ["gemma4:31b", "tiny:latest"]
            assert not any(self.lacks(store, name) for name in map(str, store.manifests))
            assert store.blobs.keys() == closure(store.manifests.values()).keys()
        assert outputs[0] == outputs[1]

    def test_derived_models_share_weights(self, tmp_path: Path) -> None:
        models.add(tmp_path, "base")
        models.derive(tmp_path, "derived", "base", {"num_ctx": 4096})
        store = self.read(tmp_path)
        base, derived = (Manifest.parse(store.manifests[ModelName.parse(name)]) for name in ("base", "derived"))
        assert base.weights
        assert derived.weights
        assert base.weights.digest == derived.weights.digest
        assert derived.base == ModelName.parse("base")

    def test_defects_show(self, tmp_path: Path) -> None:
        models.add(tmp_path, "short").shorten("model", 1000)
        models.add(tmp_path, "lost").lose("config")
        models.add(tmp_path, "corrupt").corrupt_weights()
        store = self.read(tmp_path)
        (short,), (lost,) = self.lacks(store, "short"), self.lacks(store, "lost")
        assert store.blobs[short].size == 1000
        assert lost not in store.blobs
        assert self.lacks(store, "corrupt") == []

    def test_a_bad_name(self, tmp_path: Path) -> None:
        command = [sys.executable, "-m", "lab.standins.models", "seed", str(tmp_path), "a b"]
        result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert (result.returncode, result.stderr) == (1, "models: 'a b' is no model name\n")

    @staticmethod
    def read(root: Path) -> Stored:
        paths = root.glob("manifests/*/*/*/*")
        named = {ModelName.from_manifest_path(str(path.relative_to(root / "manifests"))): path for path in paths}
        sizes = {blob_digest(path.name): path.stat().st_size for path in (root / "blobs").iterdir()}
        return Stored(
            manifests={name: path.read_bytes() for name, path in named.items() if name},
            blobs={digest: BlobFile(size, "") for digest, size in sizes.items() if digest},
        )

    @staticmethod
    def lacks(store: Stored, name: str) -> list[str]:
        """The blobs of a model that are missing or have another size."""
        wanted = Manifest.parse(store.manifests[ModelName.parse(name)]).blobs
        return [digest for digest, size in wanted.items() if not store.is_there(digest, size)]
