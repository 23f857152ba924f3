"""The node's container runtime: configured from K3s's files when the service starts, and only then."""

import fcntl
import hashlib
import os
import shutil
from pathlib import Path

import yaml

from lab.standins.images import SYSTEM_IMAGES
from lab.standins.k3s import containerd_config
from lab.standins.k3s.image_store import ImageStore
from lab.standins.k3s.pull import Image
from lab.standins.k3s.registries import Registries, RegistriesError, parse

REGISTRIES_YAML = Path("/etc/rancher/k3s/registries.yaml")
CONFIG_YAML = Path("/etc/rancher/k3s/config.yaml")
NVIDIA_PATH = "/usr/local/nvidia/toolkit"  # looked at before PATH, as K3s does
STATE = Path("/run/k3s/containerd")
LOCK = STATE / "lock"
SNAPSHOT = STATE / "registries.yaml"


class RefusedError(Exception):
    """K3s does not start; the text is what its journal says."""


def configure() -> tuple[Registries, str]:
    """Read the files and write what containerd gets; (registries, config.toml). Raises RefusedError."""
    try:
        text = REGISTRIES_YAML.read_text() if REGISTRIES_YAML.exists() else ""
        found = parse(text)
    except (OSError, UnicodeDecodeError, RegistriesError) as error:
        raise RefusedError(f"failed to load private registry config {REGISTRIES_YAML}: {error}") from error
    nvidia = shutil.which("nvidia-container-runtime", path=f"{NVIDIA_PATH}:{os.environ['PATH']}")
    default = str(_settings().get("default-runtime") or "")
    if default and not (default == "nvidia" and nvidia):
        raise RefusedError(f"default runtime {default} was not found")
    config = containerd_config.config_toml(found, nvidia)
    _write(found, config)
    _private(SNAPSHOT, text)
    return found, config


def _settings() -> dict[str, object]:
    try:
        settings = yaml.safe_load(CONFIG_YAML.read_text()) if CONFIG_YAML.exists() else {}
    except (OSError, yaml.YAMLError) as error:
        raise RefusedError(f"failed to read config file {CONFIG_YAML}: {error}") from error
    if not isinstance(settings or {}, dict):
        raise RefusedError(f"failed to read config file {CONFIG_YAML}: not a mapping")
    return settings or {}


def _write(found: Registries, config: str) -> None:
    root = Path(containerd_config.ROOT)
    shutil.rmtree(root / "certs.d", ignore_errors=True)
    for host, text in containerd_config.hosts_tomls(found).items():
        directory = root / "certs.d" / host
        directory.mkdir(parents=True)
        (directory / "hosts.toml").write_text(text)
    _private(root / "config.toml", config)


def _private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)


def import_system_images(store: ImageStore) -> None:
    """What K3s loads from its air-gap archive at every start."""
    for name in SYSTEM_IMAGES:
        import_image(store, name)


def import_image(store: ImageStore, name: str) -> None:
    """Have an image without a registry, as from an archive."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    store.add(Image(name, f"sha256:{digest}", f"sha256:{digest[::-1]}", 40_000_000))


def hold_lock() -> int:
    """Mark the runtime as running while the returned descriptor is open. Raises RefusedError when it runs already."""
    STATE.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RefusedError(
            "containerd is already running: failed to listen on /run/k3s/containerd/containerd.sock"
        ) from None
    return descriptor


def is_running() -> bool:
    """Whether some process holds the lock."""
    try:
        with LOCK.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def registries_at_start() -> Registries:
    """What the running service has read. Raises OSError when there is none."""
    return parse(SNAPSHOT.read_text())
