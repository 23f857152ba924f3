"""The real Ollama, built from its source where Go is installed, without what runs models (llama.cpp, MLX).

Its module lacks the C++ headers that llama.cpp needs. To list, show and refuse takes none of it: the packages that
load models are replaced by those in `ollama_without_inference/`, everything else is as released.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from lab import paths
from lab.once import made_once
from lab.process import run
from lab.standins.ollama.settings import DEFAULT_VERSION

MODULE = "github.com/ollama/ollama"
_OURS = Path(__file__).with_name("ollama_without_inference")
_LEFT_OUT = ("llama/*.go", "ml/backend/ggml/*.go", "x/imagegen/*.go", "x/mlxrunner/*.go")
_NEEDS_MLX = "x/imagegen/manifest/weights.go"


def program() -> list[str]:
    """How to start it. The test is skipped, and says so, where there is no Go."""
    if not shutil.which("go"):
        pytest.skip("Go is not installed: only Ollama's stand-in was tested, NOT the real one")
    return [str(made_once(paths.cache() / f"ollama-{DEFAULT_VERSION}-{_digest()}", _build)), "serve"]


def _digest() -> str:
    ours = [Path(__file__), *sorted(_OURS.rglob("*.go"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in ours)).hexdigest()[:16]


def _build(target: Path) -> None:
    module = run(["go", "mod", "download", "-json", f"{MODULE}@v{DEFAULT_VERSION}"])
    source = target.with_name(f"{target.name}-source")
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(json.loads(module.stdout)["Dir"], source, copy_function=shutil.copyfile)
    run(["chmod", "--recursive", "u+w", str(source)])
    for replaced in (*_LEFT_OUT, _NEEDS_MLX):
        for file in source.glob(replaced):
            file.unlink()
    shutil.copytree(_OURS, source, dirs_exist_ok=True)
    environment = {**os.environ, "CGO_ENABLED": "0"}
    run(["go", "build", "-C", str(source), "-buildvcs=false", "-o", str(target), "."], env=environment)
    shutil.rmtree(source)
