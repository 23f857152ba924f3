"""The real Open WebUI from PyPI, in virtual environments that are made once and kept in the cache.

Without torch and what only it needs: with embeddings through Ollama, as Scout has them, nothing of it is ever loaded,
and the registry's default build of it brings gigabytes of CUDA. So each takes a minute and 2 GB.

    python -m lab.open_webui            # installs those that the tests use
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from lab import paths
from lab.once import made_once
from lab.process import run
from scout_ollama.errors import Trouble

VERSIONS = ("0.11.0", "0.12.4")
"""Scout's, and the newest."""
PYTHON = Path("/usr/bin/python3")
"""The machine's own, which the lab's hosts have at the same place."""
NEWEST_PYTHON = (3, 12)
LEFT_OUT = ("torch",)


def directory() -> Path:
    """The directory of all environments."""
    found = paths.cache() / "open-webui"
    found.mkdir(parents=True, exist_ok=True)
    return found


def installed(version: str) -> bool:
    """Whether a version is there already."""
    return _environment(version).exists()


def install(version: str) -> Path:
    """The environment of a version. Raises ``Trouble`` where it cannot be made."""
    python = run([str(PYTHON), "-c", "import sys; print(*sys.version_info[:2])"]).stdout.split()
    if tuple(map(int, python)) > NEWEST_PYTHON:
        raise Trouble(
            f"Open WebUI {version} cannot be installed",
            why=f"it needs Python {'.'.join(map(str, NEWEST_PYTHON))} or earlier, and {PYTHON} is {'.'.join(python)}",
            next="run the tests on a machine with an earlier one",
        )
    return made_once(_environment(version), lambda new: _make(version, new))


def _environment(version: str) -> Path:
    digest = hashlib.sha256(repr((version, str(PYTHON), LEFT_OUT)).encode()).hexdigest()[:8]
    return directory() / f"{version}-{digest}"


def _make(version: str, new: Path) -> None:
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    overrides = new.with_suffix(".overrides")
    overrides.write_text("".join(f"{package}; sys_platform == 'never'\n" for package in LEFT_OUT))
    python = str(new / "bin/python")
    try:
        run([uv, "venv", "--quiet", "--python", str(PYTHON), str(new)])
        what = ["--overrides", str(overrides), f"open-webui=={version}"]
        run([uv, "pip", "install", "--quiet", "--link-mode=copy", "--compile-bytecode", "--python", python, *what])
    except (Trouble, subprocess.SubprocessError) as error:
        shutil.rmtree(new, ignore_errors=True)
        why = f"it is installed from the package registry, and there\n{error}"
        raise Trouble(f"Open WebUI {version} cannot be installed", why=why, next="scripts/test --open-webui") from error
    finally:
        overrides.unlink()


def main() -> None:
    """Install every version; what cannot be is told without a traceback, with status 1."""
    try:
        for version in VERSIONS:
            print(install(version))
    except Trouble as trouble:
        sys.exit(str(trouble))


if __name__ == "__main__":
    main()
