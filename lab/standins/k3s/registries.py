"""registries.yaml as K3s reads it: which URL an image's manifest is asked for, with which CA and credentials. Pure.

K3s turns the file into containerd's hosts.toml files and config.toml while it starts; nothing reads it afterwards.
"""

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import yaml

DOCKER_HUB = "docker.io"
DOCKER_HUB_HOST = "registry-1.docker.io"


class RegistriesError(Exception):
    """registries.yaml cannot be read; K3s refuses to start."""


@dataclass(frozen=True)
class Auth:
    """Credentials for a registry."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Tls:
    """How a registry's certificate is checked, and ours for it."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    insecure_skip_verify: bool = False


@dataclass(frozen=True)
class Endpoint:
    """Where one mirror (or the registry itself) is asked."""

    url: str  # with its /v2
    rewrites: dict[str, str] = field(default_factory=dict)
    auth: Auth | None = None
    tls: Tls = Tls()

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    def repository(self, repository: str) -> str:
        """The repository after the first rewrite that changes it."""
        for pattern, replacement in self.rewrites.items():
            rewritten = re.sub(pattern, _python_replacement(replacement), repository)
            if rewritten != repository:
                return rewritten
        return repository


@dataclass(frozen=True)
class Reference:
    """An image reference in full: `docker.io/library/busybox:latest`."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"

    @property
    def object(self) -> str:
        """What the manifest is asked for by: the digest if there is one, else the tag."""
        return self.digest or self.tag


REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


def parse_reference(image: str) -> Reference:
    """An image name as containerd normalises it. Raises ValueError with the kubelet's words."""
    rest, _, digest = image.partition("@")
    head, _, tail = rest.rpartition("/")
    name, _, tag = tail.partition(":")
    path = f"{head}/{name}" if head else name
    first, slash, remainder = path.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, repository = first, remainder
    else:
        registry, repository = DOCKER_HUB, path
    if registry in ("index.docker.io", DOCKER_HUB_HOST):
        registry = DOCKER_HUB
    if registry == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    if not REPOSITORY.fullmatch(repository) or (tag and not TAG.fullmatch(tag)):
        raise ValueError(f'couldn\'t parse image name "{image}": invalid reference format')
    return Reference(registry, repository, tag or ("" if digest else "latest"), digest)


@dataclass(frozen=True)
class Registries:
    """The parsed file: mirrors and configs by registry host."""

    mirrors: dict[str, list[Endpoint]] = field(default_factory=dict)
    configs: dict[str, tuple[Auth | None, Tls]] = field(default_factory=dict)

    def endpoints(self, registry: str) -> list[Endpoint]:
        """Every place an image of this registry is looked for, in order; the registry itself always comes last."""
        mirrors = self.mirrors.get(registry, self.mirrors.get("*", []))
        host = DOCKER_HUB_HOST if registry == DOCKER_HUB else registry
        auth, tls = self.configs.get(registry, self.configs.get(host, (None, Tls())))
        return [*mirrors, Endpoint(f"https://{host}/v2", {}, auth, tls)]


def parse(text: str) -> Registries:
    """Read registries.yaml. Unknown keys are ignored and wrong types refused, as K3s does.

    Raises RegistriesError with K3s's words.
    """
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RegistriesError(_yaml_error(error)) from error
    top = _mapping(document, "Registry")
    configs = {
        str(host): (_auth(config), _tls(config))
        for host, value in _mapping(top.get("configs"), "map[string]RegistryConfig").items()
        for config in [_mapping(value, "RegistryConfig")]
    }
    mirrors = {
        str(host): _endpoints(_mapping(value, "Mirror"), configs)
        for host, value in _mapping(top.get("mirrors"), "map[string]Mirror").items()
    }
    return Registries(mirrors, configs)


def _endpoints(mirror: dict[str, Any], configs: dict[str, tuple[Auth | None, Tls]]) -> list[Endpoint]:
    rewrites = {str(k): str(v) for k, v in _mapping(mirror.get("rewrite"), "map[string]string").items()}
    for pattern in rewrites:
        try:
            re.compile(pattern)
        except re.error as error:
            raise RegistriesError(f"error parsing regexp: {error}: `{pattern}`") from error
    addresses = mirror.get("endpoint") or []
    if not isinstance(addresses, list):
        raise RegistriesError(_cannot_unmarshal(addresses, "[]string"))
    found = []
    for address in addresses:
        url = endpoint_url(str(address))
        auth, tls = configs.get(urlsplit(url).netloc, (None, Tls()))
        found.append(Endpoint(url, rewrites, auth, tls))
    return found


def endpoint_url(address: str) -> str:
    """A mirror's address as a URL: https unless it says otherwise, path /v2 unless it has one."""
    parts = urlsplit(address if "://" in address else f"https://{address}")
    if not parts.netloc or parts.scheme not in ("http", "https"):
        raise RegistriesError(f"invalid endpoint URL {address} for mirror")
    path = parts.path if parts.path not in ("", "/", "/v2", "/v2/") else "/v2"
    return f"{parts.scheme}://{parts.netloc}{path.rstrip('/')}"


def _auth(config: dict[str, Any]) -> Auth | None:
    auth = _mapping(config.get("auth"), "AuthConfig")
    if not auth.get("username"):
        return None
    return Auth(str(auth["username"]), str(auth.get("password", "")))


def _tls(config: dict[str, Any]) -> Tls:
    tls = _mapping(config.get("tls"), "TLSConfig")
    return Tls(
        ca_file=str(tls.get("ca_file", "")),
        cert_file=str(tls.get("cert_file", "")),
        key_file=str(tls.get("key_file", "")),
        insecure_skip_verify=bool(tls.get("insecure_skip_verify", False)),
    )


def _mapping(value: Any, wanted: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RegistriesError(_cannot_unmarshal(value, wanted))
    return value


def _cannot_unmarshal(value: Any, wanted: str) -> str:
    kind = "!!seq" if isinstance(value, list) else "!!map" if isinstance(value, dict) else "!!str"
    shown = f"{kind} `{str(value)[:10]}`" if kind == "!!str" else kind
    return f"yaml: unmarshal errors:\n  cannot unmarshal {shown} into {wanted}"


def _yaml_error(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}: " if mark else ""
    return f"yaml: {where}{getattr(error, 'problem', None) or error}"


def _python_replacement(replacement: str) -> str:
    # Go writes groups as $1 or ${1}, Python as \g<1>.
    escaped = replacement.replace("\\", r"\\")
    return re.sub(r"\$(?:\{(\d+)\}|(\d+))", lambda m: rf"\g<{m[1] or m[2]}>", escaped)
