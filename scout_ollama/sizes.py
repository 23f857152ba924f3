"""Numbers, sizes, rates and times as a person reads them."""

from __future__ import annotations

_UNITS = ("B", "kB", "MB", "GB", "TB")


def shown(size: float) -> str:
    """Return bytes in decimal units, as disks and Ollama count them: ``4.1 GB``."""
    for unit in _UNITS[:-1]:
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 99.5 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} {_UNITS[-1]}"


def left(seconds: float) -> str:
    """Return a time to wait: ``38 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def counted(number: int, noun: str) -> str:
    """Return how many: ``1 blob``, ``3 blobs``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
