"""The model store as data: names, manifests, and the blobs that they name."""

import hashlib
import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scout_ollama.errors import Trouble
from scout_ollama.store import (
    CONFIG,
    MODEL,
    Manifest,
    ModelName,
    StoreError,
    blob_digest,
    blob_file,
    manifest_digest,
)

LETTERS = string.ascii_letters + string.digits


def digest_of(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def part(extra: str, longest: int) -> st.SearchStrategy[str]:
    rest = st.text(LETTERS + "_-" + extra, max_size=longest - 1)
    return st.builds(str.__add__, st.sampled_from(LETTERS + "_"), rest)


NAMES = st.builds(ModelName, part(".:", 350), part("", 80), part(".", 80), part(".", 80))
SIZES = st.integers(0, 2**50)
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64).map("sha256:".__add__)


def layer(kind: str, text: str, size: int = 10, origin: str | None = None) -> dict[str, Any]:
    value = {"mediaType": kind, "digest": digest_of(text), "size": size}
    return {**value, "from": origin} if origin else value


def manifest(*layers: dict[str, Any], config: dict[str, Any] | None = None) -> bytes:
    value = {"schemaVersion": 2, "layers": list(layers)}
    return json.dumps(value | ({"config": config} if config else {})).encode()


BASE = manifest(layer(MODEL, "weights", 1000), layer("params", "base params"), config=layer(CONFIG, "base config"))
DERIVED = manifest(
    layer(MODEL, "weights", 1000, "gemma4:31b"), layer("params", "own"), config=layer(CONFIG, "own config")
)
LIBRARY = "registry.ollama.ai/library"


class TestNames:
    @pytest.mark.parametrize(
        ("text", "path", "short"),
        [
            ("gpt-oss:120b", f"{LIBRARY}/gpt-oss/120b", "gpt-oss:120b"),
            ("gemma4-31b-long", f"{LIBRARY}/gemma4-31b-long/latest", "gemma4-31b-long:latest"),
            ("someone/model", "registry.ollama.ai/someone/model/latest", "someone/model:latest"),
            ("hf.co/org/repo:Q4", "hf.co/org/repo/Q4", "hf.co/org/repo:Q4"),
            ("localhost:5000/a/b", "localhost:5000/a/b/latest", "localhost:5000/a/b:latest"),
        ],
    )
    def test_what_is_left_out_has_defaults(self, text: str, path: str, short: str) -> None:
        name = ModelName.parse(text)
        assert (str(name.manifest_path), str(name)) == (path, short)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            ":",
            "a:",
            ":b",
            "a b",
            "/a",
            "a/",
            "a//b",
            "a.b/c",
            "h/n/m/x",
            "-a",
            ".a",
            "a:b:c",
            "../../etc/x",
            "a" * 81,
            "é",
        ],
    )
    def test_refuses_what_ollama_refuses(self, text: str) -> None:
        with pytest.raises(StoreError, match="is no model name"):
            ModelName.parse(text)

    def test_the_refusal_says_what_would_be_right(self) -> None:
        with pytest.raises(Trouble) as caught:
            ModelName.parse("gemma 4")
        assert "why: a name is [[host/]namespace/]model[:tag]" in str(caught.value)

    @given(NAMES)
    def test_the_short_form_reads_back(self, name: ModelName) -> None:
        assert ModelName.parse(str(name)).matches(name)

    @given(NAMES)
    def test_the_path_reads_back(self, name: ModelName) -> None:
        assert ModelName.from_manifest_path(name.manifest_path) == name
        assert not name.manifest_path.is_absolute()
        assert ".." not in name.manifest_path.parts

    @given(st.text(max_size=100))
    def test_any_text_is_a_name_or_refused(self, text: str) -> None:
        try:
            name = ModelName.parse(text)
        except StoreError:
            return
        assert len(name.manifest_path.parts) == 4

    @pytest.mark.parametrize(
        "path", [f"{LIBRARY}/tiny/.DS_Store", f"{LIBRARY}/tiny", f"{LIBRARY}/tiny/latest/x", "README"]
    )
    def test_paths_that_are_no_names(self, path: str) -> None:
        assert ModelName.from_manifest_path(path) is None

    def test_case_counts_on_disk_but_not_for_ollama(self) -> None:
        small, large = ModelName.parse("tiny"), ModelName.parse("TINY:Latest")
        assert small != large
        assert small.matches(large)


class TestBlobFiles:
    @given(DIGESTS)
    def test_round_trip(self, digest: str) -> None:
        assert blob_digest(blob_file(digest)) == digest

    @pytest.mark.parametrize(
        "file", ["sha256-ab", f"sha256-{'a' * 64}-partial", f"sha256-{'a' * 64}-partial-3", ".sha256-x.AbC"]
    )
    def test_other_files_hold_no_digest(self, file: str) -> None:
        assert blob_digest(file) is None

    @pytest.mark.parametrize(
        "text", ["", "sha256:ab", f"sha256-{'a' * 64}", f"sha256:{'A' * 64}", f"sha256:{'a' * 64}/../x"]
    )
    def test_what_is_no_digest(self, text: str) -> None:
        with pytest.raises(StoreError, match="is no digest"):
            blob_file(text)


class TestManifests:
    def test_blobs_are_configuration_and_layers_each_once(self) -> None:
        twice = layer("template", "same", 7)
        parsed = Manifest.parse(manifest(twice, layer(MODEL, "weights", 1000), twice, config=twice))
        assert parsed.blobs == {digest_of("same"): 7, digest_of("weights"): 1000}

    def test_the_configuration_may_be_missing_or_empty(self) -> None:
        assert Manifest.parse(manifest(layer(MODEL, "weights"))).config is None
        assert Manifest.parse(manifest(config={"digest": "", "size": 0})).blobs == {}

    def test_weights_and_base(self) -> None:
        base, derived = Manifest.parse(BASE), Manifest.parse(DERIVED)
        assert base.weights
        assert derived.weights
        assert base.weights.digest == derived.weights.digest
        assert (base.base, derived.base) == (None, ModelName.parse("gemma4:31b"))

    def test_a_model_made_of_a_file_has_no_base(self) -> None:
        made = manifest(layer(MODEL, "weights", 1000, "/root/.ollama/blobs/sha256-x"))
        assert Manifest.parse(made).base is None

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"{",
            b"[]",
            b'"x"',
            b"\xff\xfe",
            b'{"layers": [1]}',
            b'{"layers": [{"digest": "sha256:short", "size": 1}]}',
            b'{"layers": [{"size": 1}]}',
            json.dumps({"layers": [{"digest": digest_of("x"), "size": -1}]}),
            json.dumps({"layers": [{"digest": digest_of("x"), "size": "1"}]}),
            manifest(layer("a", "x", 1), layer("b", "x", 2)),
        ],
    )
    def test_refuses_what_is_none(self, content: bytes | str) -> None:
        with pytest.raises(StoreError, match="not an Ollama manifest"):
            Manifest.parse(content)

    @given(st.binary(max_size=200))
    def test_any_bytes_parse_or_are_refused(self, content: bytes) -> None:
        try:
            Manifest.parse(content)
        except StoreError:
            return

    @given(st.dictionaries(DIGESTS, SIZES, max_size=8))
    def test_no_blob_is_lost(self, blobs: dict[str, int]) -> None:
        layers = [{"mediaType": "x", "digest": digest, "size": size} for digest, size in blobs.items()]
        assert Manifest.parse(manifest(*layers)).blobs == blobs

    def test_digest_is_that_of_the_bytes(self) -> None:
        assert manifest_digest(BASE) == hashlib.sha256(BASE).hexdigest()
