"""`python3 -m lab.standins.ollama [serve]`: a real `ollama` if one is on PATH, else its stand-in."""

import os
import shutil
import sys

from lab.standins.ollama import settings
from lab.standins.ollama.server import CannotStart, serve


def main() -> int:
    """Serve until told to stop; 1 if the server cannot start, 2 for a command the stand-in does not have."""
    arguments = sys.argv[1:] or ["serve"]
    if real := shutil.which("ollama"):
        os.execv(real, ["ollama", *arguments])  # noqa: S606 (a fixed program, no shell)
    if arguments == ["--version"]:
        sys.stdout.write(f"ollama version is {settings.read().version} (lab stand-in)\n")
        return 0
    if arguments != ["serve"]:
        sys.stderr.write(f'Error: the lab\'s stand-in for Ollama knows only "serve", not "{arguments[0]}"\n')
        return 2
    try:
        serve(settings.read())
    except CannotStart as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
