"""Runs a command as a child and meters it: ``python -m bench.metered RESULT COMMAND…``; ``bench.metering`` starts it.

It imports little: a child begins with its parent's memory.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

_SET_CHILD_SUBREAPER = 36
_LOOK_SECONDS = 0.02


def run(result: Path, argv: Sequence[str]) -> int:
    """Run it to its end, end what it has left behind, write what both took; return its exit status."""
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    memory = Memory()
    began = time.monotonic()
    process = subprocess.Popen(argv)
    threading.Thread(target=memory.watch, daemon=True).start()
    status = process.wait()
    seconds = time.monotonic() - began
    _end_the_rest()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    taken = {"wall_seconds": seconds, "cpu_seconds": cpu, "largest_bytes": memory.largest, "all_bytes": memory.all}
    result.write_text(json.dumps(taken))
    return status


class Memory:
    """The most resident memory that one process had, and that all had together at any look, in bytes.

    What processes share is counted for each of them.
    """

    def __init__(self) -> None:
        self.largest = 0
        self.all = 0

    def watch(self) -> None:
        """Look again and again."""
        while True:
            self.look(os.getpid())
            time.sleep(_LOOK_SECONDS)

    def look(self, pid: int) -> None:
        """Look at what a process has started."""
        seen: dict[int, tuple[int, int]] = {}
        together = 0
        for parent, child in descendants(pid):
            peak, now = seen[child] = _memory(child)
            # Until a child has begun its own program it borrows its parent's memory, which may grow between two looks.
            if seen[child] not in (seen.get(parent), _memory(parent)):
                together += now
            self.largest = max(self.largest, peak)
        self.all = max(self.all, together)


def descendants(pid: int) -> Iterator[tuple[int, int]]:
    """Yield the children of a process, theirs, and so on; each after its parent."""
    for child in _children(pid):
        yield pid, child
        yield from descendants(child)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, file.read_text().split())
    return found


def _memory(pid: int) -> tuple[int, int]:
    """Return the resident memory of a process in bytes, at its peak and now; nothing for one that has ended."""
    with suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text()
        found = dict(re.findall(r"^(VmHWM|VmRSS):\s+(\d+) kB", status, re.MULTILINE))
        return int(found.get("VmHWM", 0)) * 1024, int(found.get("VmRSS", 0)) * 1024
    return 0, 0


def _end_the_rest() -> None:
    with suppress(ChildProcessError):
        while True:
            for pid in _children(os.getpid()):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            os.wait()


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), sys.argv[2:]))
