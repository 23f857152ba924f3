"""The `k3s` command: --version, kubectl, crictl, and the service itself."""

import os
import sys
from typing import NoReturn

from lab.standins.k3s import hostinfo

KUBECTL = "/opt/lab/bin/kubectl"
K3S_YAML = "/etc/rancher/k3s/k3s.yaml"
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
        case ["kubectl", *rest]:
            kubectl(rest)
        case ["crictl", *rest]:
            from lab.standins.k3s import crictl  # imported late: `k3s kubectl` must start fast

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
    try:
        print(f"k3s version {hostinfo.read_version()} (lab stand-in)")
    except (OSError, TypeError) as error:
        print(f"k3s: this host has no K3s in the lab: {error}", file=sys.stderr)
        return 1
    return 0


def kubectl(arguments: list[str]) -> NoReturn:
    """Become kubectl with K3s's own kubeconfig; without permission to read it K3s says what to do."""
    environment = dict(os.environ)
    if "KUBECONFIG" not in environment and not any(a.startswith("--kubeconfig") for a in arguments):
        if os.path.exists(K3S_YAML) and not os.access(K3S_YAML, os.R_OK):  # noqa: PTH110 - fast start, see above
            print(
                f"WARN[0000] Unable to read {K3S_YAML}, please start server with --write-kubeconfig-mode or "
                "--write-kubeconfig-group to modify kube config permissions",
                file=sys.stderr,
            )
            print(f'error: error loading config file "{K3S_YAML}": open {K3S_YAML}: permission denied', file=sys.stderr)
            sys.exit(1)
        environment["KUBECONFIG"] = K3S_YAML
    os.execve(KUBECTL, ["kubectl", *arguments], environment)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
