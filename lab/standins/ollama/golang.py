"""How Go programs write and read things: durations, JSON, errors, sizes, log lines.

Digests of created models and the errors an operator greps for depend on these forms.
"""

from __future__ import annotations

import json
import os
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

NANOSECOND = 1e-9
FOREVER = (2**63 - 1) * NANOSECOND
"""The longest time.Duration, in seconds (292 years): how Ollama writes an infinite keep-alive."""

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")


def parse_duration(text: str) -> float:
    """Seconds in a Go duration such as `1h30m` or `-1m`.

    Raises ValueError with Go's own words. A number without a unit is an error, but for a bare zero.
    """
    quoted = json.dumps(text, ensure_ascii=False)
    body = text[1:] if text[:1] in ("+", "-") else text
    if body == "0":
        return 0.0
    if not body:
        raise ValueError(f"time: invalid duration {quoted}")
    if re.fullmatch(r"[0-9.]+", body) and any(c.isdigit() for c in body):
        raise ValueError(f"time: missing unit in duration {quoted}")
    if not re.fullmatch(f"({_DURATION.pattern})+", body):
        raise ValueError(f"time: invalid duration {quoted}")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(body))
    if seconds > FOREVER:
        raise ValueError(f"time: invalid duration {quoted}")
    return -seconds if text.startswith("-") else seconds


def format_duration(seconds: float) -> str:
    """The Go form of a duration: `5m0s`, `24h0m0s`, `2562047h47m16.854775807s` for one without end."""
    if seconds >= FOREVER:
        return "2562047h47m16.854775807s"
    sign, rest = ("-" if seconds < 0 else ""), abs(seconds)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    text = f"{rest:g}s"
    if hours:
        return f"{sign}{hours:.0f}h{minutes:.0f}m{text}"
    return f"{sign}{minutes:.0f}m{text}" if minutes else f"{sign}{text}"


def encode_json(value: Any) -> bytes:
    """The bytes of Go's json.Encoder: no spaces, whole floats as integers, <>& escaped, a newline at the end.

    Keys keep their order: sort those of a map, leave those of a struct.
    """
    text = json.dumps(_whole_numbers(value), ensure_ascii=False, separators=(",", ":"))
    for character, escape in (("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e")):
        text = text.replace(character, escape)
    return text.encode() + b"\n"


def _whole_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return int(value)
    if isinstance(value, dict):
        return {key: _whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    return value


def error_text(error: OSError, operation: str, path: Path | str) -> str:
    """An operating-system error as Go says it: `unlink /x: read-only file system`."""
    return f"{operation} {path}: {os.strerror(error.errno or 0).lower()}"


def human_count(number: int) -> str:
    """A parameter count as Ollama shows it: `268.10M`, `8.0B`, `70K`."""
    for size, letter, digits in ((10**9, "B", 1), (10**6, "M", 2)):
        if number >= size:
            return f"{number // size}{letter}" if number % size == 0 else f"{number / size:.{digits}f}{letter}"
    return f"{number / 1000:.0f}K" if number >= 1000 else str(number)


def human_bytes(size: int) -> str:
    """A size in binary units, as log lines show memory: `79.6 GiB`."""
    for shift, unit in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size >= 1 << shift:
            return f"{size / (1 << shift):.1f} {unit}"
    return f"{size} B"


def timestamp(moment: datetime | None = None, *, after: float = 0.0) -> str:
    """RFC 3339 with microseconds, `after` seconds past `moment` (now)."""
    moment = (moment or datetime.now(UTC)) + timedelta(seconds=after)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def log(level: str, message: str, **fields: object) -> None:
    """One line in the form of Go's slog text handler, to standard error."""
    now = datetime.now().astimezone().isoformat(timespec="milliseconds")
    words = [f"time={now}", f"level={level}", "source=lab-stand-in", f"msg={_quoted(message)}"]
    words += [f"{key}={_quoted(str(value))}" for key, value in fields.items()]
    sys.stderr.write(" ".join(words) + "\n")
    sys.stderr.flush()


def _quoted(text: str) -> str:
    return text if text and not re.search(r'[\s"=]', text) else json.dumps(text, ensure_ascii=False)
