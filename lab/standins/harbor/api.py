"""Harbor's own API under /api/v2.0, read-only: what is there, found by asking the registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote

from lab.standins.harbor.registry import Manifest, Registry

PREFIX = "/api/v2.0"
VERSION = "v2.12.2-lab-stand-in"


class NotFound(Exception):
    """No such project, repository or artifact."""


def answer(registry: Registry, path: str, query: str) -> Any:
    """What GET `path` returns: a JSON value, or a plain string. Raises NotFound, RegistryError."""
    segments = path.removeprefix(PREFIX).strip("/").split("/")
    parameters = {key: values[0] for key, values in parse_qs(query).items()}
    single: dict[str, Callable[[], Any]] = {
        "ping": lambda: "Pong",
        "health": lambda: _health(registry),
        "systeminfo": lambda: {"auth_mode": "db_auth", "harbor_version": VERSION, "registry_url": "localhost"},
        "projects": lambda: _projects(registry, parameters),
    }
    if len(segments) == 1 and segments[0] in single:
        return single[segments[0]]()
    if segments[0] != "projects":
        raise NotFound(f"path {path} was not found")
    return _in_project(registry, segments[1], segments[2:])


def _in_project(registry: Registry, project: str, rest: list[str]) -> Any:
    found = {entry["name"]: entry for entry in _projects(registry, {})}
    if project not in found:
        raise NotFound(f"project {project} not found")
    if not rest:
        return found[project]
    if rest == ["repositories"]:
        names = [name for name in registry.repositories() if name.startswith(f"{project}/")]
        return [{"name": name, "artifact_count": len(registry.tags(name))} for name in names]
    if len(rest) not in (3, 4) or (rest[0], rest[2]) != ("repositories", "artifacts"):
        raise NotFound(f"path projects/{project}/{'/'.join(rest)} was not found")
    # A slash inside a repository's name is escaped twice.
    repository = f"{project}/{unquote(unquote(rest[1]))}"
    if len(rest) == 4:
        return _artifact(registry, repository, rest[3])
    tags = registry.tags(repository)
    if not tags:
        raise NotFound(f"repository {repository} not found")
    by_digest: dict[str, dict[str, Any]] = {}
    for tag in tags:
        entry = _artifact(registry, repository, tag)
        by_digest.setdefault(entry["digest"], {**entry, "tags": []})["tags"].append({"name": tag})
    return list(by_digest.values())


def _artifact(registry: Registry, repository: str, reference: str) -> dict[str, Any]:
    manifest = registry.manifest(repository, reference)
    if manifest is None:
        raise NotFound(f"artifact {repository}:{reference} not found")
    tags = [{"name": reference}] if ":" not in reference else []
    entry = {
        "type": "IMAGE",
        "digest": manifest.digest,
        "media_type": manifest.content.get("config", {}).get("mediaType"),
    }
    return {**entry, "manifest_media_type": manifest.media_type, "size": _size(manifest), "tags": tags}


def _size(manifest: Manifest) -> int:
    parts = [manifest.content.get("config") or {}, *(manifest.content.get("layers") or [])]
    return sum(int(part.get("size", 0)) for part in parts)


def _projects(registry: Registry, parameters: dict[str, str]) -> list[dict[str, Any]]:
    repositories = registry.repositories()
    names = sorted({name.partition("/")[0] for name in repositories})
    wanted = parameters.get("name", "")
    return [
        {
            "project_id": number,
            "name": name,
            "repo_count": sum(repository.startswith(f"{name}/") for repository in repositories),
            "metadata": {"public": "true"},
            **({"registry_id": number} if name.endswith("-proxy") else {}),
        }
        for number, name in enumerate(names, start=1)
        if wanted in name
    ]


def _health(registry: Registry) -> dict[str, Any]:
    registry_status = "healthy" if registry.is_up() else "unhealthy"
    components = [
        {"name": "core", "status": "healthy"},
        {"name": "registry", "status": registry_status},
    ]
    return {"status": registry_status, "components": components}
