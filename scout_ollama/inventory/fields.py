"""The kinds of text that an inventory holds: each knows its shape and says it when it is refused."""

import ipaddress
import re
import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticOmit, core_schema

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_DNS_NAME = rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*"
_USER = r"[A-Za-z0-9_][-A-Za-z0-9_.@]*"
# Ollama's own rules for the parts of a name: https://github.com/ollama/ollama/blob/v0.24.0/types/model/name.go
_PART = r"[A-Za-z0-9_][-.A-Za-z0-9_]{0,79}"
_NAMESPACE = r"[A-Za-z0-9_][-A-Za-z0-9_]{0,79}"
_MODEL = rf"(([A-Za-z0-9_][-.:A-Za-z0-9_]{{0,349}}/)?{_NAMESPACE}/)?{_PART}(:{_PART})?"
_DURATION = r"-1|0|-?(\d+(\.\d+)?(ns|us|ms|s|m|h))+"


_brief = reprlib.Repr()
_brief.maxstring = _brief.maxother = 60


def shown(value: object) -> str:
    """A value as a message shows it: quoted, escaped, and not longer than a line."""
    return _brief.repr(value)


@dataclass(frozen=True)
class Derived:
    """Marks a field that follows from where its model stands: it is not written in a file, nor is it in the schema."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        raise PydanticOmit


@dataclass(frozen=True)
class Shape:
    """Text that matches ``pattern`` as a whole; ``name`` says in a message what it should have been."""

    pattern: str
    name: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "pattern": f"^({self.pattern})$"}

    def _check(self, text: str) -> str:
        if not re.fullmatch(self.pattern, text, re.ASCII):
            raise ValueError(f"{shown(text)} is not {self.name}")
        return text


DnsLabel = Annotated[str, Shape(_LABEL, "a DNS label: lowercase letters, digits and '-', at most 63")]
DnsName = Annotated[str, Shape(_DNS_NAME, "a DNS name: lowercase labels joined by '.', such as ollama.example.edu")]
UserName = Annotated[str, Shape(_USER, "a user name")]
JumpHost = Annotated[
    str, Shape(rf"({_USER}@)?([A-Za-z0-9][-A-Za-z0-9.]*|\[[0-9A-Fa-f:.]+\])(:\d{{1,5}})?", "[user@]host[:port]")
]
ModelName = Annotated[str, Shape(_MODEL, "a model name: [[host/]namespace/]model[:tag], such as gpt-oss:120b")]
Version = Annotated[str, Shape(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?", "a version such as 0.24.0, without a leading v")]
ChartVersion = Annotated[str, Shape(r"v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?", "a release such as v25.10.1, with its v")]
Image = Annotated[
    str,
    Shape(
        r"[a-z0-9-]+(\.[a-z0-9-]+)+(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+",
        "a repository with its registry and without a tag, such as docker.io/ollama/ollama",
    ),
]
ProjectName = Annotated[str, Shape(r"[a-z0-9]+([._-][a-z0-9]+)*", "the name of a Harbor project")]
HostPath = Annotated[
    str,
    Shape(r"(/(?!\.\.?(/|$))[-A-Za-z0-9._+@=]+)+", "an absolute path on the host, without '..' and trailing slash"),
]


def _duration(value: object) -> object:
    """An unquoted -1 is a number to YAML."""
    return "-1" if value == -1 and not isinstance(value, bool) else value


_DurationText = Annotated[str, Shape(_DURATION, "a duration such as 30m, 1h30m or 45s, or -1 for no limit")]
Duration = Annotated[_DurationText, BeforeValidator(_duration, json_schema_input_type=_DurationText | Literal[-1])]


def _address(text: str) -> str:
    """The address in its one spelling, so that two spellings of it are seen to be the same."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        # A name that consists of numbers only was meant as an address.
        if re.fullmatch(_DNS_NAME, text) and not re.fullmatch(r"[\d.]+", text):
            return text
        raise ValueError(f"{shown(text)} is neither an IP address nor a DNS name") from None


Address = Annotated[str, AfterValidator(_address)]


def _network(value: Any, parse: ValidatorFunctionWrapHandler) -> Any:
    try:
        return parse(value)
    except ValidationError:
        raise ValueError(f"{shown(value)} is not a network such as 192.0.2.0/28{_host_bits(value)}") from None


def _host_bits(value: Any) -> str:
    """The commonest slip: the address of a host with the length of its network."""
    try:
        return f"; did you mean {ipaddress.ip_network(value, strict=False)}?"
    except ValueError:
        return ""


Network = Annotated[ipaddress.IPv4Network | ipaddress.IPv6Network, WrapValidator(_network)]


def https_url(text: str) -> str:
    """A URL that paths are appended to. Not shown whole when refused: it may hold a password."""
    try:
        url = urlsplit(text)
        port, name = url.port, url.hostname or ""
    except ValueError as error:
        raise ValueError(f"is not a URL: {error}") from None
    if url.username is not None or url.password is not None:
        raise ValueError("holds a user name or password; a URL here is https://host[:port]")
    if url.scheme == "http":
        raise ValueError(f"is not encrypted: use https://{url.netloc}, plain http is refused")
    if url.scheme != "https" or not re.fullmatch(_DNS_NAME, name) or port == 0:
        raise ValueError(f"{shown(text)} is not a URL such as https://ollama.example.edu")
    if url.query or url.fragment or "?" in text or "#" in text:
        raise ValueError(f"has a query or fragment; right is https://{url.netloc}{url.path}")
    if text.endswith("/"):
        raise ValueError(f"ends in a slash; right is {_base(text)}")
    if url.path.endswith(("/api", "/v1")):
        raise ValueError(f"ends in {url.path[url.path.rindex('/') :]}, which clients add; right is {_base(text)}")
    return text


def _base(url: str) -> str:
    while url.endswith(("/api", "/v1", "/")):
        url = url.removesuffix("/api").removesuffix("/v1").removesuffix("/")
    return url


HttpsUrl = Annotated[str, AfterValidator(https_url)]


def _local_file(path: Path, info: ValidationInfo) -> Path:
    """Relative to the directory of the inventory file, which the loader gives as context; ``~`` is the user's home."""
    if path == Path():
        raise ValueError("is empty; it takes the name of a file")
    try:
        expanded = path.expanduser()
    except RuntimeError:
        raise ValueError("names the home of a user that this machine does not know") from None
    directory: Path = (info.context or {}).get("directory", Path())
    return directory / expanded


LocalFile = Annotated[Path, AfterValidator(_local_file)]
