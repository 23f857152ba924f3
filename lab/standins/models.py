"""Small valid models for the lab's model stores, and ways to spoil them.

`python3 -m lab.standins.models seed DIR [NAME …]` puts them under DIR (the value of OLLAMA_MODELS). Every byte
follows from the name, so a model has the same digests wherever it is made. The weights are a working GGUF file
of some 170 kilobytes: a llama of one layer with random numbers in it, which llama.cpp loads and which
answers gibberish.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from lab.standins.ollama import create, golang
from lab.standins.ollama.gguf import F16, F32, Kind, encode
from lab.standins.ollama.names import Name
from lab.standins.ollama.store import CONFIG_TYPE, Layer, Manifest, Store, StoreError, image_type

DEFAULT_NAME = "tiny:latest"
CONTEXT_LENGTH = 262144
TEMPLATE = "{{ if .System }}{{ .System }}\n{{ end }}{{ .Prompt }}\n{{ .Response }}"
LICENSE = "The weights of this model are random numbers made for the lab. Use them as you like.\n"

_WIDTH, _FEED_FORWARD, _HEADS = 64, 128, 4
_TOKENS = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
_TOKEN_TYPES = [2, 3, 3, *[6] * 256]
_SHAPES: dict[str, tuple[int, ...]] = {
    "token_embd.weight": (_WIDTH, len(_TOKENS)),
    "blk.0.attn_norm.weight": (_WIDTH,),
    "blk.0.attn_q.weight": (_WIDTH, _WIDTH),
    "blk.0.attn_k.weight": (_WIDTH, _WIDTH),
    "blk.0.attn_v.weight": (_WIDTH, _WIDTH),
    "blk.0.attn_output.weight": (_WIDTH, _WIDTH),
    "blk.0.ffn_norm.weight": (_WIDTH,),
    "blk.0.ffn_gate.weight": (_WIDTH, _FEED_FORWARD),
    "blk.0.ffn_up.weight": (_WIDTH, _FEED_FORWARD),
    "blk.0.ffn_down.weight": (_FEED_FORWARD, _WIDTH),
    "output_norm.weight": (_WIDTH,),
    "output.weight": (_WIDTH, len(_TOKENS)),
}


@dataclass(frozen=True)
class SeededModel:
    """A model in a store, with the files it is made of."""

    store: Store
    name: Name

    @property
    def manifest(self) -> Manifest:
        return self.store.manifest(self.name)

    @property
    def manifest_path(self) -> Path:
        return self.store.root / "manifests" / self.name.path

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest file in hexadecimal, as /api/tags shows it."""
        return self.manifest.digest

    def blob(self, kind: str) -> Path:
        """The file of a layer by its kind (`model`, `template`, `params`, `license`), or of the `config`."""
        wanted = CONFIG_TYPE if kind == "config" else image_type(kind)
        manifest = self.manifest
        for layer in (manifest.config, *manifest.layers):
            if layer.media_type == wanted:
                return self.store.blob_path(layer.digest)
        raise KeyError(f"{self.name.short} has no {kind}")

    def corrupt_weights(self) -> None:
        """Flip the last bytes of the weights: same size, readable header, wrong digest."""
        path = self.blob("model")
        content = path.read_bytes()
        _replace(path, content[:-64] + bytes(byte ^ 0xFF for byte in content[-64:]))

    def shorten(self, kind: str = "model", size: int = 4096) -> None:
        """Cut a blob to its first `size` bytes, as a broken copy leaves it."""
        path = self.blob(kind)
        _replace(path, path.read_bytes()[:size])

    def lose(self, kind: str) -> None:
        """Delete a blob."""
        self.blob(kind).unlink()


def add(
    root: Path,
    name: str = DEFAULT_NAME,
    *,
    parameters: dict[str, Any] | None = None,
    seed: str = "",
    content: bytes | None = None,
) -> SeededModel:
    """Put the model `name` into the store at `root`, as if pulled. Another name or `seed` has other weights.

    `content` are weights that are to be wrong.
    """
    store, parsed = Store(root), _parse(name)
    layers = [
        _blob(store, content or weights(seed or parsed.short), "model"),
        _blob(store, TEMPLATE.encode(), "template"),
        _blob(store, LICENSE.encode(), "license"),
        _blob(store, golang.encode_json(dict(sorted((parameters or {"temperature": 0}).items()))), "params"),
    ]
    config = {
        "model_format": "gguf",
        "model_family": "llama",
        "model_families": ["llama"],
        "model_type": golang.human_count(_parameter_count()),
        "file_type": "F16",
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
    }
    config_layer, _ = store.add_blob(BytesIO(golang.encode_json(config)), CONFIG_TYPE)
    store.write_manifest(parsed, config_layer, layers)
    return SeededModel(store, parsed)


def derive(root: Path, name: str, base: str, parameters: dict[str, Any]) -> SeededModel:
    """Create `name` from `base`, which must be there, with other parameters and the same weights blob."""
    store, parsed = Store(root), _parse(name)
    for _ in create.create(store, parsed, {"from": base, "parameters": parameters}):
        pass
    return SeededModel(store, parsed)


def find(root: Path, name: str) -> SeededModel:
    """A model that is in the store already."""
    return SeededModel(Store(root), _parse(name))


@cache
def weights(seed: str = DEFAULT_NAME) -> bytes:
    """A GGUF file whose numbers follow from `seed`."""
    tensors = [(name, shape, *_numbers(f"{seed}/{name}", shape)) for name, shape in _SHAPES.items()]
    return encode(_metadata(seed), tensors)


def _metadata(seed: str) -> dict[str, tuple[Kind, Any]]:
    llama: dict[str, tuple[Kind, Any]] = {
        "context_length": (Kind.UINT32, CONTEXT_LENGTH),
        "embedding_length": (Kind.UINT32, _WIDTH),
        "block_count": (Kind.UINT32, 1),
        "feed_forward_length": (Kind.UINT32, _FEED_FORWARD),
        "attention.head_count": (Kind.UINT32, _HEADS),
        "attention.head_count_kv": (Kind.UINT32, _HEADS),
        "attention.layer_norm_rms_epsilon": (Kind.FLOAT32, 1e-5),
        "rope.dimension_count": (Kind.UINT32, _WIDTH // _HEADS),
        "vocab_size": (Kind.UINT32, len(_TOKENS)),
    }
    return {
        "general.architecture": (Kind.STRING, "llama"),
        "general.name": (Kind.STRING, f"lab {seed}"),
        "general.file_type": (Kind.UINT32, F16),
        "general.quantization_version": (Kind.UINT32, 2),
        **{f"llama.{key}": value for key, value in llama.items()},
        "tokenizer.ggml.model": (Kind.STRING, "llama"),
        "tokenizer.ggml.tokens": (Kind.ARRAY, (Kind.STRING, _TOKENS)),
        "tokenizer.ggml.scores": (Kind.ARRAY, (Kind.FLOAT32, [0.0] * len(_TOKENS))),
        "tokenizer.ggml.token_type": (Kind.ARRAY, (Kind.INT32, _TOKEN_TYPES)),
        "tokenizer.ggml.unknown_token_id": (Kind.UINT32, 0),
        "tokenizer.ggml.bos_token_id": (Kind.UINT32, 1),
        "tokenizer.ggml.eos_token_id": (Kind.UINT32, 2),
    }


def _numbers(seed: str, shape: tuple[int, ...]) -> tuple[int, bytes]:
    """A tensor's type and data: F32 ones for a norm (one dimension), else small F16 numbers from the seed's hash."""
    count = _count(shape)
    if len(shape) == 1:
        return F32, struct.pack(f"<{count}f", *[1.0] * count)
    raw = struct.unpack(f"<{count}h", hashlib.shake_256(seed.encode()).digest(2 * count))
    return F16, struct.pack(f"<{count}e", *(number / 2**18 for number in raw))


def _count(shape: tuple[int, ...]) -> int:
    return shape[0] * (shape[1] if len(shape) > 1 else 1)


def _parameter_count() -> int:
    return sum(_count(shape) for shape in _SHAPES.values())


def _blob(store: Store, content: bytes, kind: str) -> Layer:
    layer, _ = store.add_blob(BytesIO(content), image_type(kind))
    return layer


def _parse(name: str) -> Name:
    parsed = Name.parse(name)
    if not parsed.is_valid:
        raise ValueError(f"{name!r} is no model name")
    return parsed


def _replace(path: Path, content: bytes) -> None:
    """A new file under the old name: a server that has the old one open keeps reading that."""
    spoiled = path.with_name("spoiled")
    spoiled.write_bytes(content)
    spoiled.replace(path)


def main(arguments: list[str]) -> int:
    """Seed a store from the command line and print each model's digest."""
    if len(arguments) < 2 or arguments[0] != "seed":
        sys.stderr.write("usage: python3 -m lab.standins.models seed DIR [NAME …]\n")
        return 2
    try:
        for name in arguments[2:] or [DEFAULT_NAME]:
            model = add(Path(arguments[1]), name)
            sys.stdout.write(f"{model.digest} {model.name.short}\n")
    except (StoreError, ValueError, OSError) as error:
        sys.stderr.write(f"models: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
