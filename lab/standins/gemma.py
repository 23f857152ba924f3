"""Gemma 3 270M, the one real model of a lab: the registry has it where the host has what ``lab.inference`` makes."""

from __future__ import annotations

from pathlib import Path

from lab.standins.ollama import create
from lab.standins.ollama.names import Name
from lab.standins.ollama.store import Store, image_type

NAME = "gemma3:270m"
DIRECTORY = Path("/opt/lab/inference")
WEIGHTS, TERMS = "gemma-3-270m-q4_k_m.gguf", "GEMMA_TERMS.html"
# These weights continue a text; they were not taught the turns of a chat. The text makes them answer.
TEMPLATE = "{{ if .System }}{{ .System }}\n{{ end }}Question: {{ .Prompt }}\nAnswer:{{ .Response }}"
PARAMETERS = {"stop": ["\nQuestion:", "\n\n"], "temperature": 1, "top_k": 64, "top_p": 0.95}


def add(root: Path, directory: Path = DIRECTORY) -> None:
    """Put the model into the store at ``root``, as if pulled."""
    store = Store(root)
    with (directory / WEIGHTS).open("rb") as weights:
        layer, _ = store.add_blob(weights, image_type("model"))
    request = {
        "files": {WEIGHTS: layer.digest},
        "template": TEMPLATE,
        "license": (directory / TERMS).read_text(),
        "parameters": PARAMETERS,
    }
    for _ in create.create(store, Name.parse(NAME), request):
        pass
