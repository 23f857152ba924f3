"""Files of this machine that others may read while they are written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from scout_ollama.errors import Trouble


def text_of(path: Path) -> str:
    """Return the text of a file; empty if there is none.

    Raises:
        Trouble: it cannot be read.
    """
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise Trouble(f"{path} cannot be read", why=error.strerror or str(error), next=f"ls -l {path}") from None


def write(path: Path, content: bytes) -> None:
    """Make or replace a file in one step, with the mode that it had (else 0644). The directory must be there.

    Raises:
        OSError: it cannot be written; what was there is untouched.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
