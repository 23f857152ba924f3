"""A pod's volumes on the node: hostPath with its type check, local-path, emptyDir, secret, configMap and projected."""

import base64
import shutil
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lab.standins.k3s.objects import Object, annotations_of, labels_of, name_of, namespace_of, uid_of

PODS = Path("/var/lib/kubelet/pods")
STORAGE = Path("/var/lib/rancher/k3s/storage")


class MountError(Exception):
    """A volume cannot be set up; the text is the kubelet's FailedMount message."""


class Unbound(Exception):
    """A claim has no volume yet: the real scheduler would not have placed the pod."""


class Objects(Protocol):
    """Where secrets, config maps and claimed volumes come from."""

    def secret(self, namespace: str, name: str) -> Object | None: ...
    def config_map(self, namespace: str, name: str) -> Object | None: ...
    def claimed(self, namespace: str, claim: str) -> Object | None: ...
    def token(self, pod: Object, audience: str, seconds: int) -> str: ...


@dataclass(frozen=True)
class Mount:
    """One bind mount into a container."""

    source: Path
    target: str
    read_only: bool

    def line(self) -> str:
        return f"{'ro' if self.read_only else 'rw'}\t{self.source}\t{self.target}\n"


def set_up(pod: Object, objects: Objects) -> dict[str, tuple[Path, bool]]:
    """Prepare every volume: its directory or file on the node by name, and whether it can only be read.

    Raises MountError for the first that fails, Unbound while a claim waits.
    """
    ready = {}
    for volume in pod["spec"].get("volumes") or []:
        try:
            ready[volume["name"]] = _set_up(volume, pod, objects)
        except (MountError, OSError) as error:
            raise MountError(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}') from error
    return ready


def mounts(container: Mapping[str, Any], volumes: Mapping[str, tuple[Path, bool]]) -> list[Mount]:
    """The container's mounts, outer directories before those inside them. Raises MountError."""
    found = []
    for mount in container.get("volumeMounts") or []:
        source, always_read_only = volumes[mount["name"]]
        if mount.get("subPath"):
            source = _sub_path(source, mount["subPath"])
        found.append(Mount(source, mount["mountPath"].rstrip("/"), always_read_only or bool(mount.get("readOnly"))))
    return sorted(found, key=lambda m: m.target)


def tear_down(uid: str) -> None:
    """Remove what the pod had on the node; hostPaths are left alone."""
    shutil.rmtree(PODS / uid, ignore_errors=True)


def reclaim(name: str) -> None:
    """Remove what is stored here of a local-path volume that is gone."""
    for directory in STORAGE.glob(f"{name}_*"):
        shutil.rmtree(directory, ignore_errors=True)


def pods_on_node() -> list[str]:
    """The uids of pods that have volumes here."""
    return [p.name for p in PODS.iterdir()] if PODS.exists() else []


def _set_up(volume: Object, pod: Object, objects: Objects) -> tuple[Path, bool]:
    directory = PODS / uid_of(pod) / "volumes"
    match _kind(volume):
        case "hostPath":
            return _host_path(Path(volume["hostPath"]["path"]), volume["hostPath"].get("type") or ""), False
        case "persistentVolumeClaim":
            return _claimed(volume["persistentVolumeClaim"], pod, objects)
        case "emptyDir":
            path = directory / "kubernetes.io~empty-dir" / volume["name"]
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o777)
            return path, False
        case "secret" | "configMap" | "projected" | "downwardAPI" as kind:
            files, mode = _SOURCES[kind](volume[kind], pod, objects)
            return _write(directory / f"kubernetes.io~{kind.lower()}" / volume["name"], files, mode), True
        case kind:
            raise MountError(f"no volume plugin matched: {kind} is not supported by this stand-in")


def _kind(volume: Object) -> str:
    return next((key for key in volume if key != "name"), "emptyDir")


def _claimed(source: Object, pod: Object, objects: Objects) -> tuple[Path, bool]:
    found = objects.claimed(namespace_of(pod), source["claimName"])
    if found is None:
        raise Unbound(source["claimName"])
    path = _host_path(Path(found["spec"]["hostPath"]["path"]), "DirectoryOrCreate")
    path.chmod(0o777)  # as the provisioner's helper makes it
    return path, bool(source.get("readOnly"))


_CHECKS: dict[str, tuple[Callable[[int], bool], str]] = {
    "Directory": (stat.S_ISDIR, "a directory"),
    "DirectoryOrCreate": (stat.S_ISDIR, "a directory"),
    "File": (stat.S_ISREG, "a file"),
    "FileOrCreate": (stat.S_ISREG, "a file"),
    "Socket": (stat.S_ISSOCK, "a socket file"),
    "CharDevice": (stat.S_ISCHR, "a character device"),
    "BlockDevice": (stat.S_ISBLK, "a block device"),
}


def _host_path(path: Path, kind: str) -> Path:
    if kind == "DirectoryOrCreate" or (not kind and not path.exists()):
        path.mkdir(parents=True, exist_ok=True)
    elif kind == "FileOrCreate" and not path.exists():
        path.touch()
    if kind:
        check, noun = _CHECKS[kind]
        if not path.exists() or not check(path.stat().st_mode):
            raise MountError(f"hostPath type check failed: {path} is not {noun}")
    return path


Files = dict[str, tuple[bytes, int]]


def _secret(source: Object, pod: Object, objects: Objects) -> tuple[Files, int]:
    name = source.get("secretName") or source.get("name") or ""
    mode = source.get("defaultMode", 0o644)
    secret = objects.secret(namespace_of(pod), name)
    if secret is None:
        if source.get("optional"):
            return {}, mode
        raise MountError(f'secret "{name}" not found')
    data = {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}
    return _select(data, source, mode, f"secret {namespace_of(pod)}/{name}"), mode


def _config_map(source: Object, pod: Object, objects: Objects) -> tuple[Files, int]:
    name, mode = source.get("name") or "", source.get("defaultMode", 0o644)
    config_map = objects.config_map(namespace_of(pod), name)
    if config_map is None:
        if source.get("optional"):
            return {}, mode
        raise MountError(f'configmap "{name}" not found')
    data = {key: value.encode() for key, value in (config_map.get("data") or {}).items()}
    data |= {key: base64.b64decode(value) for key, value in (config_map.get("binaryData") or {}).items()}
    return _select(data, source, mode, f"configmap {namespace_of(pod)}/{name}"), mode


def _downward(source: Object, pod: Object, _objects: Objects) -> tuple[Files, int]:
    mode = source.get("defaultMode", 0o644)
    return {
        item["path"]: (field_value(pod, item["fieldRef"]["fieldPath"]).encode(), item.get("mode", mode))
        for item in source.get("items") or []
    }, mode


def _token(source: Object, pod: Object, objects: Objects) -> tuple[Files, int]:
    seconds = int(source.get("expirationSeconds", 3600))
    token = objects.token(pod, str(source.get("audience", "")), seconds)
    return {source["path"]: (token.encode(), source["defaultMode"])}, source["defaultMode"]


def _projected(source: Object, pod: Object, objects: Objects) -> tuple[Files, int]:
    mode = source.get("defaultMode", 0o644)
    files: Files = {}
    for part in source.get("sources") or []:
        for kind, value in part.items():
            if kind not in ("secret", "configMap", "downwardAPI", "serviceAccountToken"):
                raise MountError(f"projected {kind} is not supported by this stand-in")
            files |= _SOURCES[kind]({"defaultMode": mode, **value}, pod, objects)[0]
    return files, mode


_SOURCES: dict[str, Callable[[Object, Object, Objects], tuple[Files, int]]] = {
    "secret": _secret,
    "configMap": _config_map,
    "downwardAPI": _downward,
    "projected": _projected,
    "serviceAccountToken": _token,
}


def _select(data: dict[str, bytes], source: Object, mode: int, what: str) -> Files:
    if "items" not in source:
        return {key: (value, mode) for key, value in data.items()}
    files: Files = {}
    for item in source["items"]:
        if item["key"] not in data:
            if source.get("optional"):
                continue
            raise MountError(f"references non-existent {what.split()[0]} key: {item['key']}")
        files[item["path"]] = (data[item["key"]], item.get("mode", mode))
    return files


def _write(directory: Path, files: Files, mode: int) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for old in [p for p in directory.rglob("*") if p.is_file()]:
        if str(old.relative_to(directory)) not in files:
            old.unlink()
    for name, (data, file_mode) in files.items():
        path = directory / name
        if path.exists() and path.read_bytes() == data:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=file_mode or mode)
        path.chmod(file_mode or mode)
        path.write_bytes(data)
    return directory


def _sub_path(source: Path, sub_path: str) -> Path:
    path = source / sub_path
    if ".." in Path(sub_path).parts or Path(sub_path).is_absolute():
        raise MountError(f'failed to prepare subPath for volumeMount "{sub_path}": must not contain ".."')
    if not path.exists():
        path.mkdir(parents=True)
    return path


def field_value(pod: Object, path: str) -> str:
    """What a fieldRef names. Raises MountError when the kubelet does not know it."""
    status, spec = pod.get("status") or {}, pod["spec"]
    simple = {
        "metadata.name": name_of(pod),
        "metadata.namespace": namespace_of(pod),
        "metadata.uid": uid_of(pod),
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        "status.podIP": status.get("podIP", ""),
        "status.hostIP": status.get("hostIP", ""),
    }
    if path in simple:
        return str(simple[path])
    for prefix, values in (("metadata.labels", labels_of(pod)), ("metadata.annotations", annotations_of(pod))):
        if path.startswith(f"{prefix}['") and path.endswith("']"):
            return values.get(path[len(prefix) + 2 : -2], "")
        if path == prefix:
            return "\n".join(f'{key}="{value}"' for key, value in sorted(values.items()))
    raise MountError(f"unsupported fieldPath: {path}")
