"""The root file system under every lab host: made once with mmdebstrap, then kept in the cache.

It holds the packages of the machine's own distribution and what ``rootfs_customize.py`` adds to them. Everything that
differs from lab to lab or host to host is laid over it (``contents.py``).
"""

import hashlib
import os
import platform
import shlex
import shutil
import sys
from pathlib import Path

from lab import paths
from lab.once import made_once
from lab.process import run
from scout_ollama.errors import Trouble

PACKAGES = (
    "ca-certificates",
    "curl",
    "docker-registry",
    "haproxy",
    "iproute2",
    "iputils-ping",
    "libgomp1",
    "nftables",
    "openssh-server",
    "openssl",
    "procps",
    "python3",
    "rsync",
    "sudo",
    "tini",
    "util-linux",
)
_LEFT_OUT = ("doc", "info", "lintian", "locale", "man")


def directory() -> Path:
    """The root file system as a directory. Raises ``Trouble`` where it cannot be made."""
    return made_once(paths.cache() / f"rootfs-{_digest()}", _debootstrap)


def archive() -> Path:
    """The root file system as a tar file, or the file that ``SCOUT_LAB_ROOTFS`` names, made elsewhere."""
    if given := os.environ.get("SCOUT_LAB_ROOTFS"):
        if not Path(given).is_file():
            raise Trouble(
                f"{given} is not a file", why="SCOUT_LAB_ROOTFS names it as the root file system", next="ls -l"
            )
        return Path(given)
    made = paths.cache() / f"rootfs-{_digest()}"

    def make(new: Path) -> None:
        if made.is_dir():
            run(["tar", "--create", "--numeric-owner", f"--file={new}", f"--directory={made}", "."])
        else:
            _debootstrap(new)

    return made_once(made.with_suffix(".tar"), make)


def _digest() -> str:
    """Identifies the content: what it is made of, how, and for which release and architecture."""
    digest = hashlib.sha256(repr((_suite(), platform.machine(), PACKAGES, _LEFT_OUT)).encode())
    for name in ("rootfs_customize.py", "requirements.lock", "kubectl.lock"):
        digest.update((paths.PACKAGE / name).read_bytes())
    return digest.hexdigest()[:16]


def _suite() -> str:
    """The code name of the machine's release of Debian or Ubuntu, such as ``bookworm``."""
    try:
        return platform.freedesktop_os_release()["VERSION_CODENAME"]
    except (OSError, KeyError) as error:
        raise Trouble(
            "the lab's root file system can only be made on Debian or Ubuntu",
            why=f"this is {platform.platform()}",
            next="python -m lab.rootfs on such a machine; copy the file that it names, set SCOUT_LAB_ROOTFS to it",
        ) from error


def _sources() -> list[str]:
    """The files in which the machine's apt finds its own release."""
    listed = run(
        ["apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(SOURCESENTRY)", "Created-By: Packages"]
    )
    entries = [line.split(" ", 2) for line in listed.stdout.splitlines()]
    release = [_suite(), "main"]
    files = {source.rpartition(":")[0] for *entry, source in entries if entry == release}
    if not files:
        raise Trouble(f"no apt source of this machine serves {' '.join(release)}", next="apt-get indextargets")
    return sorted(files)


def _debootstrap(target: Path) -> None:
    """Make the root file system as a directory, or as a tar file if that is what the name of ``target`` ends in."""
    if not shutil.which("mmdebstrap"):
        why = "it makes the root file system of the lab's hosts"
        raise Trouble("mmdebstrap is not installed", why=why, next="apt-get install mmdebstrap")
    customize = shlex.join(["env", f"PYTHONPATH={paths.CHECKOUT}", sys.executable, "-m", "lab.rootfs_customize"])
    run(
        [
            "mmdebstrap",
            "--variant=minbase",
            f"--mode={'root' if os.geteuid() == 0 else 'unshare'}",
            f"--format={'tar' if target.suffix == '.tar' else 'directory'}",
            f"--include={','.join(PACKAGES)}",
            *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT),
            f'--customize-hook={customize} "$1"',
            _suite(),
            str(target),
            *_sources(),
        ]
    )


if __name__ == "__main__":
    print(archive())
