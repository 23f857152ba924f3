"""From what a client calls a model to the model, with each refusal in the words of the call that refuses."""

from __future__ import annotations

from lab.standins.ollama import model
from lab.standins.ollama.model import Model
from lab.standins.ollama.names import Name
from lab.standins.ollama.settings import Settings
from lab.standins.ollama.store import Store, StoreError
from lab.standins.ollama.web import ApiError

_CLOUD = "remote model is unavailable"


def parse(raw: str, settings: Settings, *, empty: ApiError) -> Name:
    """The name in `raw`; `:local` after it means nothing, `:cloud` asks for a cloud model.

    Raises `empty` if there is none, ApiError 400 for an invalid one, 403 or 502 for a cloud model.
    """
    text = raw.strip()
    if not text:
        raise empty
    head, colon, suffix = text.rpartition(":")
    if colon and (suffix.lower() == "cloud" or suffix.lower().endswith("-cloud")):
        if settings.no_cloud:
            raise ApiError(403, f"ollama cloud is disabled: {_CLOUD}")
        raise ApiError(502, "the lab has no way to Ollama's cloud")
    name = Name.parse(head if colon and suffix.lower() == "local" else text)
    if not name.is_valid:
        raise ApiError(400, "invalid model name")
    return name


def find(store: Store, name: Name, called: str) -> Model:
    """The model of that name, whatever its case. Raises ApiError 404 if there is none, 500 if it is broken."""
    return read(store, existing(store, name, called), ApiError(404, f"model '{called}' not found"))


def existing(store: Store, name: Name, called: str) -> Name:
    """`name` spelled as on disk. Raises ApiError 404 if the manifests cannot be listed.

    So one manifest that vanishes meanwhile makes every model "not found", as with the real server.
    """
    try:
        return store.existing(name)
    except StoreError as error:
        raise ApiError(404, f"model '{called}' not found") from error


def read(store: Store, name: Name, absent: ApiError) -> Model:
    """The model of exactly that name. Raises `absent` if one of its files is missing, ApiError 500 if one is broken."""
    try:
        return model.load(store, name)
    except StoreError as error:
        raise (absent if error.missing else ApiError(500, str(error))) from error
    except ValueError as error:
        raise ApiError(500, str(error)) from error
