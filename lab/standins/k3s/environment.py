"""A container's environment, from its env and envFrom. Pure but for looking objects up."""

import base64
import re
from collections.abc import Mapping
from typing import Any

from lab.standins.k3s.objects import Object, namespace_of, quantity
from lab.standins.k3s.volumes import Objects, field_value


class ConfigError(Exception):
    """A container cannot be created as configured: the message of CreateContainerConfigError."""


def build(pod: Object, container: Mapping[str, Any], objects: Objects) -> dict[str, str]:
    """The variables in order, with $(NAME) expanded. Raises ConfigError."""
    made: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        made |= _from_object(source, namespace_of(pod), objects)
    for variable in container.get("env") or []:
        if "valueFrom" in variable:
            value = _value_from(variable["valueFrom"], pod, container, objects)
            if value is not None:
                made[variable["name"]] = value
        else:
            made[variable["name"]] = expand(str(variable.get("value", "")), made)
    return made


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace $(NAME) where NAME is known; $$(NAME) stays $(NAME)."""

    def replace(match: re.Match[str]) -> str:
        if match[0].startswith("$$"):
            return match[0][1:]
        return variables.get(match[1], match[0])

    return re.sub(r"\$?\$\(([A-Za-z_.\-][A-Za-z0-9_.\-]*)\)", replace, text)


def _from_object(source: Mapping[str, Any], namespace: str, objects: Objects) -> dict[str, str]:
    prefix = source.get("prefix", "")
    for kind in ("secretRef", "configMapRef"):
        if kind in source:
            data = _data(kind.removesuffix("Ref"), source[kind], namespace, objects)
            return {prefix + key: value for key, value in (data or {}).items()}
    return {}


def _value_from(source: Mapping[str, Any], pod: Object, container: Mapping[str, Any], objects: Objects) -> str | None:
    namespace = namespace_of(pod)
    for kind, noun in (("secret", "Secret"), ("configMap", "ConfigMap")):
        if f"{kind}KeyRef" in source:
            reference = source[f"{kind}KeyRef"]
            data = _data(kind, reference, namespace, objects)
            if data is not None and reference["key"] in data:
                return data[reference["key"]]
            if reference.get("optional"):
                return None
            raise ConfigError(f"couldn't find key {reference['key']} in {noun} {namespace}/{reference['name']}")
    if "fieldRef" in source:
        return field_value(pod, source["fieldRef"]["fieldPath"])
    if "resourceFieldRef" in source:
        return _resource(source["resourceFieldRef"], container)
    raise ConfigError("invalid environment variable source")


def _data(kind: str, reference: Mapping[str, Any], namespace: str, objects: Objects) -> dict[str, str] | None:
    """The decoded data; None when the object is missing and that is allowed."""
    name = reference["name"]
    found = objects.secret(namespace, name) if kind == "secret" else objects.config_map(namespace, name)
    if found is None:
        if reference.get("optional"):
            return None
        raise ConfigError(f'{kind.lower()} "{name}" not found')
    data: dict[str, str] = found.get("data") or {}
    return {k: base64.b64decode(v).decode() for k, v in data.items()} if kind == "secret" else data


def _resource(reference: Mapping[str, Any], container: Mapping[str, Any]) -> str:
    bound, _, resource = reference["resource"].partition(".")
    amounts = (container.get("resources") or {}).get(bound) or {}
    divisor = quantity(reference.get("divisor") or 1)
    return str(int(-(-quantity(amounts.get(resource, 0)) // (divisor or 1))))
