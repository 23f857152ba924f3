"""`python3 -m lab.standins.harbor serve` in front of the registry, `… seed [IMAGE …]` to put images into it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lab.standins.harbor import images
from lab.standins.harbor.registry import Registry, RegistryError
from lab.standins.harbor.server import Settings, serve


def main() -> int:
    """Run one of the two commands; 1 if it cannot."""
    default = Settings()
    parser = argparse.ArgumentParser(prog="harbor", description="the lab's stand-in for Harbor")
    parser.add_argument("--registry", default=default.registry, help="host:port of the registry")
    commands = parser.add_subparsers(dest="command", required=True)
    front = commands.add_parser("serve", help="serve HTTPS in front of the registry")
    front.add_argument("--address", default=default.address)
    front.add_argument("--port", type=int, default=default.port)
    front.add_argument("--certificate", type=Path, default=default.certificate)
    front.add_argument("--key", type=Path, default=default.key)
    front.add_argument("--users", type=Path, default=default.users, help="lines name:password; none: no login")
    seed = commands.add_parser("seed", help="put small images into the registry")
    seed.add_argument("images", nargs="*", metavar="PROJECT/REPOSITORY:TAG")
    given = vars(parser.parse_args())
    command = given.pop("command")
    try:
        if command == "serve":
            serve(Settings(**given))
        else:
            for image in given["images"] or images.IMAGES:
                sys.stdout.write(f"{images.push(Registry(given['registry']), image)} {image}\n")
    except (RegistryError, OSError) as error:
        sys.stderr.write(f"harbor: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
