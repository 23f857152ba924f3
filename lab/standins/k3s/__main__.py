"""The `k3s` command: --version, crictl, and the service itself; `k3s kubectl` is in standins/bin/k3s."""

import os
import sys

USAGE = """\
NAME:
   k3s - Kubernetes, but small and simple (lab stand-in)

COMMANDS:
   server   Run management server
   agent    Run node agent
   kubectl  Run kubectl
   crictl   Run crictl
"""


def main(arguments: list[str]) -> int:
    """Run one command; the exit status."""
    match arguments:
        case ["--version" | "-v"]:
            return version()
        case ["crictl", *rest]:
            from lab.standins.k3s import crictl

            return crictl.main(rest)
        case ["server" | "agent", *_]:
            from lab.standins.k3s import service

            status = service.run()
            sys.stderr.flush()
            os._exit(status)  # the threads are abandoned where they are: everything that matters is on disk
    print(USAGE, end="")
    return 0 if not arguments or arguments[0] in ("-h", "--help", "help") else 1


def version() -> int:
    """Print K3s's version."""
    from lab.standins.k3s import hostinfo  # imported late: it must start fast

    try:
        print(f"k3s version {hostinfo.read_version()} (lab stand-in)")
    except (OSError, TypeError) as error:
        print(f"k3s: this host has no K3s in the lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
