"""Commands on this machine, their failures as ``Trouble``."""

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

from scout_ollama.errors import Trouble


def run(
    argv: Sequence[str],
    *,
    input: str = "",
    check: bool = True,
    host: str | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run ``argv`` to its end with ``input`` as its whole standard input.

    ``env`` replaces the environment, ``host`` is the lab host that a message is about.
    Raises ``Trouble`` with the last lines written when the command is missing or, under ``check``, fails.
    """
    try:
        done = subprocess.run(argv, input=input, capture_output=True, text=True, errors="replace", env=env, check=False)
    except FileNotFoundError as error:
        raise Trouble(f"{argv[0]} is not installed", host=host, why=str(error)) from error
    if check and done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-10:]
        raise Trouble(f"{argv[0]} failed with status {done.returncode}", host=host, why="\n".join(last))
    return done


def holds_in_time(condition: Callable[[], bool], seconds: float = 30) -> bool:
    """Wait until ``condition`` holds, but not longer than that; whether it does.

    Looking that is quick takes a third of the time at most: the condition may itself need the processor.
    """
    deadline = time.monotonic() + seconds
    while True:
        looked_at = time.monotonic()
        if condition():
            return True
        now = time.monotonic()
        if now > deadline:
            return False
        time.sleep(min(max(0.02, 2 * (now - looked_at)), 0.3))
