"""Standard output whose reader may leave before all is said, as ``head`` does."""

from __future__ import annotations

import os
import sys


def let_reader_go() -> None:
    """Let what is still said on standard output go nowhere; Python, which flushes at its end, would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
