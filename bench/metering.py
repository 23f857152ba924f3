"""What a command takes: wall time, CPU time and memory, of itself and of everything that it starts."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.results import Sample
from scout_ollama.errors import Trouble

ROOT = Path(__file__).parent.parent
_LONGEST_SECONDS = 900


@dataclass(frozen=True)
class Metered:
    """A command that has ended: its exit status, what it printed, and what it took."""

    status: int
    said: str
    sample: Sample


def meter(argv: Sequence[str], environment: Mapping[str, str] | None = None, input: str = "") -> Metered:
    """Run a command in the checkout, with these variables beside this process's own, and meter it.

    What it leaves behind, as Ansible does with its connections, is ended with it: every run begins cold.
    """
    with tempfile.TemporaryDirectory() as directory:
        result = Path(directory) / "result"
        done = subprocess.run(
            [sys.executable, "-m", "bench.metered", str(result), *argv],
            cwd=ROOT,
            env={**os.environ, "NO_COLOR": "1", "TERM": "dumb", **(environment or {})},
            input=input,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LONGEST_SECONDS,
            check=False,
        )
        return Metered(done.returncode, done.stdout, Sample.model_validate_json(result.read_text()))


def sample(argv: Sequence[str], environment: Mapping[str, str], status: int = 0) -> Sample:
    """Meter a command that ends with this status.

    Raises:
        Trouble: it ended with another one.
    """
    done = meter(argv, environment)
    if done.status != status:
        raise Trouble(f"{' '.join(argv)} ended with {done.status}, not {status}", why=done.said)
    return done.sample
