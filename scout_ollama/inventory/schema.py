"""JSON Schema of a cluster file, for editors: ``python -m scout_ollama.inventory.schema > hosts/schema.json``."""

import json
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from .models import Cluster


def schema() -> dict[str, Any]:
    """The schema of one YAML document; ``kind`` says which of the three it is."""
    found = TypeAdapter(Annotated[Cluster, Field(discriminator="kind")]).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A cluster of the inventory", **found}


def text() -> str:
    """The schema as the file has it."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    print(text(), end="")
