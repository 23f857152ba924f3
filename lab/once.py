"""Things that take long to make and are kept: made by one process, whole or not at all."""

import fcntl
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path


def made_once(target: Path, make: Callable[[Path], None]) -> Path:
    """``target``, a file or directory, after ``make`` if it is not there; says on standard error how that goes.

    ``make`` is given another path to make it at. Whoever asks meanwhile waits; what a killed process left is removed.
    """
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f"{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            unfinished = target.with_name(f"new-{target.name}")
            _remove(unfinished)
            _say(f"making {target}, once: about a minute")
            begun = time.monotonic()
            make(unfinished)
            unfinished.rename(target)
            _say(f"made it in {time.monotonic() - begun:.0f} s")
    return target


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def _say(message: str) -> None:
    print(f"lab: {message}", file=sys.stderr, flush=True)
