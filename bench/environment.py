"""Where it is measured, and with what."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path

from bench import contenders
from bench.results import Environment


def here() -> Environment:
    """Return this machine as it is now."""
    processor = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return Environment(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        processor=processor[1] if processor else platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        kernel=platform.release(),
        python=platform.python_version(),
        load=os.getloadavg()[0],
        versions=contenders.versions(),
    )
