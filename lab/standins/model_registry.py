"""What stands for registry.ollama.ai in a lab: models in the docker-registry behind Harbor's front, on staging.

`python3 -m lab.standins.model_registry [NAME[=SEED] …]` puts them there; another SEED gives a name other weights, as
when a tag moves, and the SEED `broken` gives it weights that no runner can load.
A host that has the real model (`gemma.py`) pushes that by its name.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from lab.standins import gemma, models
from lab.standins.harbor.registry import Registry, RegistryError

HOST = "registry.ollama.ai"
MODELS = ("tiny:latest", "small:latest", "gemma4:31b")


_NO_WEIGHTS = b"these are no weights\n" * 1000


def push(registry: Registry, name: str, seed: str = "") -> str:
    """Put a model into the registry; its manifest's digest."""
    with tempfile.TemporaryDirectory() as directory:
        model = _make(Path(directory), name, seed)
        repository = f"{model.name.namespace}/{model.name.model}"
        for blob in (Path(directory) / "blobs").iterdir():
            registry.push_blob(repository, blob.read_bytes())
        return registry.push_manifest(repository, model.name.tag, json.loads(model.manifest_path.read_bytes()))


def _make(root: Path, name: str, seed: str) -> models.SeededModel:
    if name == gemma.NAME and gemma.DIRECTORY.exists():
        gemma.add(root)
        return models.find(root, name)
    return models.add(root, name, seed=seed, content=_NO_WEIGHTS if seed == "broken" else None)


def main(arguments: list[str]) -> int:
    """Push what the command line names, else ``MODELS``; 1 if the registry refuses."""
    try:
        for argument in arguments or MODELS:
            name, _, seed = argument.partition("=")
            sys.stdout.write(f"{push(Registry('localhost:5000'), name, seed)} {name}\n")
    except (RegistryError, OSError) as error:
        sys.stderr.write(f"model_registry: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
