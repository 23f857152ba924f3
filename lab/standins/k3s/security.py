"""A container's securityContext as arguments of setpriv(1). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.standins.k3s.environment import ConfigError
from lab.standins.k3s.objects import Object, name_of, namespace_of, uid_of

# What a container may do when nothing is said, as in containerd.
DEFAULT_CAPABILITIES = (
    "audit_write", "chown", "dac_override", "fowner", "fsetid", "kill", "mknod", "net_bind_service", "net_raw",
    "setfcap", "setgid", "setpcap", "setuid", "sys_chroot",
)  # fmt: skip


@dataclass(frozen=True)
class Security:
    """As whom and with which rights a container runs."""

    user: int
    group: int
    groups: tuple[int, ...]
    capabilities: tuple[str, ...] | None  # None: all of them
    no_new_privileges: bool
    read_only_root: bool

    def setpriv(self) -> list[str]:
        """The command that gives all else up and becomes the program after it."""
        groups = ["--groups", ",".join(map(str, self.groups))] if self.groups else ["--clear-groups"]
        command = ["setpriv", "--reuid", str(self.user), "--regid", str(self.group), *groups]
        if self.capabilities is not None:
            kept = "".join(f",+{name}" for name in self.capabilities)
            command += ["--inh-caps=-all", f"--bounding-set=-all{kept}"]
        return [*command, *(["--no-new-privs"] if self.no_new_privileges else []), "--"]


def security(pod: Object, container: Mapping[str, Any]) -> Security:
    """What the pod's and the container's context say together; all images of the lab run as root unless told otherwise.

    Raises ConfigError when root is to run what must not run as root.
    """
    of_pod = pod["spec"].get("securityContext") or {}
    context = {**of_pod, **(container.get("securityContext") or {})}
    user = int(context.get("runAsUser", 0))
    if context.get("runAsNonRoot") and user == 0:
        why = "container's runAsUser breaks non-root policy" if "runAsUser" in context else _IMAGE_IS_ROOT
        where = f'pod: "{name_of(pod)}_{namespace_of(pod)}({uid_of(pod)})", container: {container["name"]}'
        raise ConfigError(f"{why} ({where})")
    groups = [*(of_pod.get("supplementalGroups") or []), *([of_pod["fsGroup"]] if "fsGroup" in of_pod else [])]
    return Security(
        user=user,
        group=int(context.get("runAsGroup", 0)),
        groups=tuple(map(int, groups)),
        capabilities=None if context.get("privileged") else _capabilities(context.get("capabilities") or {}),
        no_new_privileges=context.get("allowPrivilegeEscalation") is False,
        read_only_root=bool(context.get("readOnlyRootFilesystem")),
    )


_IMAGE_IS_ROOT = "container has runAsNonRoot and image will run as root"


def _capabilities(wanted: Mapping[str, Any]) -> tuple[str, ...] | None:
    dropped = {_name(c) for c in wanted.get("drop") or []}
    added = {_name(c) for c in wanted.get("add") or []}
    if "all" in added:
        return None
    kept = set() if "all" in dropped else set(DEFAULT_CAPABILITIES) - dropped
    return tuple(sorted(kept | added))


def _name(capability: str) -> str:
    return capability.lower().removeprefix("cap_")
