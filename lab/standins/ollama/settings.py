"""The OLLAMA_* environment, read as `ollama serve` reads it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.standins.ollama import golang

DEFAULT_VERSION = "0.24.0"
_TRUE = {"1", "t", "T", "TRUE", "true", "True"}
_FALSE = {"0", "f", "F", "FALSE", "false", "False"}
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")


@dataclass(frozen=True)
class Settings:
    """How this server was told to run. Durations are seconds; `FOREVER` stands for no end."""

    version: str
    home: Path
    models: Path
    address: str
    port: int
    keep_alive: float
    load_timeout: float
    context_length: int
    num_parallel: int
    max_loaded_models: int
    max_queue: int
    gpu_overhead: int
    no_prune: bool
    no_cloud: bool
    load_seconds: float
    token_seconds: float
    shown: dict[str, str]
    """What the log line `server config` prints."""

    @property
    def cloud_source(self) -> str:
        """Who disabled the cloud: only the environment is read."""
        return "env" if self.no_cloud else "none"


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings in `environment`. LAB_LOAD_SECONDS and LAB_TOKEN_SECONDS slow a load and each word of an answer."""
    get = _Variables(environment)
    home = Path(get.text("HOME") or "/")
    models = Path(get.text("OLLAMA_MODELS") or home / ".ollama" / "models")
    address, port = _host(get.text("OLLAMA_HOST"))
    keep_alive = get.duration("OLLAMA_KEEP_ALIVE", 300)
    load_timeout = get.duration("OLLAMA_LOAD_TIMEOUT", 300)
    settings = Settings(
        version=get.text("LAB_IMAGE_TAG") or DEFAULT_VERSION,
        home=home,
        models=models,
        address=address,
        port=port,
        keep_alive=golang.FOREVER if keep_alive < 0 else keep_alive,
        load_timeout=golang.FOREVER if load_timeout <= 0 else load_timeout,
        context_length=get.number("OLLAMA_CONTEXT_LENGTH", 0),
        num_parallel=max(1, get.number("OLLAMA_NUM_PARALLEL", 1)),
        max_loaded_models=get.number("OLLAMA_MAX_LOADED_MODELS", 0),
        max_queue=get.number("OLLAMA_MAX_QUEUE", 512),
        gpu_overhead=get.number("OLLAMA_GPU_OVERHEAD", 0),
        no_prune=get.flag("OLLAMA_NOPRUNE"),
        no_cloud=get.flag("OLLAMA_NO_CLOUD"),
        load_seconds=float(get.text("LAB_LOAD_SECONDS") or 0),
        token_seconds=float(get.text("LAB_TOKEN_SECONDS") or 0),
        shown={},
    )
    settings.shown.update(_shown(settings, get))
    return settings


class _Variables:
    """Typed access to environment variables, stripped of quotes and spaces."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str) -> str:
        return self._environment.get(name, "").strip().strip("\"'")

    def flag(self, name: str) -> bool:
        # Any word that is not a boolean counts as true.
        value = self.text(name)
        return bool(value) and value not in _FALSE

    def number(self, name: str, default: int) -> int:
        value = self.text(name)
        if value and not (value.isascii() and value.isdigit()):
            golang.log("WARN", "invalid environment variable, using default", key=name, value=value, default=default)
            return default
        return int(value) if value else default

    def duration(self, name: str, default: float) -> float:
        value = self.text(name)
        try:
            return golang.parse_duration(value) if value else default
        except ValueError:
            pass
        try:
            return float(int(value))
        except ValueError:
            return default


def _host(text: str) -> tuple[str, int]:
    """Address and port of OLLAMA_HOST: `host`, `host:port`, `scheme://host:port/…` or nothing."""
    scheme, found, rest = text.partition("://")
    default = {"http": 80, "https": 443}.get(scheme, 11434) if found else 11434
    hostport = (rest if found else text).partition("/")[0]
    host, colon, port = hostport.rpartition(":")
    if not colon or port.endswith("]") or (":" in host and not host.startswith("[")):
        host, port = hostport, ""
    number = int(port) if port.isascii() and port.isdigit() and int(port) < 65536 else default
    return host.strip("[]") or ("127.0.0.1" if not colon else "0.0.0.0"), number  # noqa: S104 (":11434" binds all)


def _shown(settings: Settings, get: _Variables) -> dict[str, str]:
    def boolean(value: bool) -> str:
        return "true" if value else "false"

    return {
        **{name: get.text(name) for name in _PROXIES},
        "CUDA_VISIBLE_DEVICES": get.text("CUDA_VISIBLE_DEVICES"),
        "OLLAMA_CONTEXT_LENGTH": str(settings.context_length),
        "OLLAMA_DEBUG": "DEBUG" if get.text("OLLAMA_DEBUG") in _TRUE else "INFO",
        "OLLAMA_DEBUG_LOG_REQUESTS": boolean(get.flag("OLLAMA_DEBUG_LOG_REQUESTS")),
        "OLLAMA_FLASH_ATTENTION": boolean(get.flag("OLLAMA_FLASH_ATTENTION")),
        "OLLAMA_GPU_OVERHEAD": str(settings.gpu_overhead),
        "OLLAMA_HOST": f"http://{settings.address}:{settings.port}",
        "OLLAMA_KEEP_ALIVE": golang.format_duration(settings.keep_alive),
        "OLLAMA_KV_CACHE_TYPE": get.text("OLLAMA_KV_CACHE_TYPE"),
        "OLLAMA_LOAD_TIMEOUT": golang.format_duration(settings.load_timeout),
        "OLLAMA_MAX_LOADED_MODELS": str(settings.max_loaded_models),
        "OLLAMA_MAX_QUEUE": str(settings.max_queue),
        "OLLAMA_MODELS": str(settings.models),
        "OLLAMA_NOPRUNE": boolean(settings.no_prune),
        "OLLAMA_NO_CLOUD": boolean(settings.no_cloud),
        "OLLAMA_NUM_PARALLEL": str(settings.num_parallel),
        "OLLAMA_ORIGINS": get.text("OLLAMA_ORIGINS"),
        "OLLAMA_SCHED_SPREAD": boolean(get.flag("OLLAMA_SCHED_SPREAD")),
    }
