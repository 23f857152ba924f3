"""How a script travels: one channel, its text and its data on standard input, nothing long or secret in argv."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

HOST_SCRIPTS = Path(__file__).resolve().parents[2] / "scripts" / "host"

# The first thing the far side says: whatever a login shell's rc files print before it is not the script's output.
STARTED = b"--- scout-ollama: script starts ---\n"

# `head -c` reads exactly that many bytes and leaves the rest of standard input to the script.
# K3s installs to /usr/local/bin, which is not in sudo's secure_path on Red Hat's systems.
_BOOTSTRAP = "; ".join(
    (
        "PATH=$PATH:/usr/local/bin",
        f"echo '{STARTED.decode().strip()}'",
        'script=$(head -c "$1") || exit',
        "shift",
        'eval "$script"',
    )
)

# Becomes the command that follows, as root: by sudo, unless the user is root already and there may be no sudo.
_AS_ROOT = ["sh", "-c", '[ "$(id -u)" -eq 0 ] || set -- sudo -n -- "$@"; exec "$@"', "as-root"]

# `timeout` ends the command on the host even when nobody is connected any more to end it.
_GRACE_SECONDS = 5
TIMED_OUT = (124, 137)
"""How timeout(1) ends when it ended its command, and when it had to kill it."""


@dataclass(frozen=True)
class Script:
    """A POSIX sh script; ``name`` is its ``$0``."""

    name: str
    text: str

    @classmethod
    def load(cls, *names: str) -> Script:
        """The scripts ``scripts/host/NAME.sh`` of this checkout, one after the other, under the last one's name."""
        return cls(names[-1], "\n".join((HOST_SCRIPTS / f"{name}.sh").read_text() for name in names))

    def payload(self, stdin: bytes) -> tuple[int, bytes]:
        """What goes to standard input: the script's length in bytes, and the script followed by its own input.

        The braces make a script that was cut off on its way a syntax error: sh runs all of it or nothing.
        """
        text = f"{{ {self.text}\n}}\n".encode()
        return len(text), text + stdin

    def argv(self, length: int, args: tuple[str, ...], *, sudo: bool, timeout: float) -> list[str]:
        """The command that reads ``length`` bytes of script from standard input and runs it for ``timeout`` seconds.

        With ``sudo`` it runs as root.
        """
        limit = ["timeout", "-k", str(_GRACE_SECONDS), str(math.ceil(timeout))]
        return [*(_AS_ROOT if sudo else []), *limit, "sh", "-c", _BOOTSTRAP, self.name, str(length), *args]


def local_deadline(timeout: float) -> float:
    """Seconds to wait here for a command that the host itself ends after ``timeout`` seconds."""
    return timeout + 2 * _GRACE_SECONDS
