"""Where the lab keeps things on this machine."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
CHECKOUT = PACKAGE.parent


def cache() -> Path:
    """The directory of what is made once for all labs and every checkout."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scout-ollama"


def labs() -> Path:
    """The directory with one directory for each lab that exists."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "scout-ollama/labs"
