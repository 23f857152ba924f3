"""The models that an inventory wants on a cluster, and how each of them is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from scout_ollama.inventory import Ollama
from scout_ollama.store import ModelName


@dataclass(frozen=True)
class WantedModel:
    """A model that shall be served. With a ``base`` it is a variant: the base's weights, other ``parameters``."""

    name: ModelName
    base: ModelName | None = None
    parameters: Mapping[str, int] = field(default_factory=dict)
    preload: bool = False

    @property
    def pulled(self) -> ModelName:
        """What comes from the registry for it."""
        return self.base or self.name


def of(ollama: Ollama) -> list[WantedModel]:
    """Return every model that a cluster shall serve: those declared, then the variants made from others."""
    plain = [WantedModel(ModelName.parse(model.name), preload=model.preload) for model in ollama.models]
    variants = [
        WantedModel(
            ModelName.parse(variant.name),
            ModelName.parse(variant.base),
            variant.model_dump(include={"num_ctx", "num_keep", "num_predict"}, exclude_none=True),
            variant.preload,
        )
        for variant in ollama.scout_models
    ]
    return plain + variants


def names(models: Iterable[WantedModel]) -> str:
    """Return their names, with commas."""
    return ", ".join(str(model.name) for model in models)
