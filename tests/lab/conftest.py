import os
import subprocess
from collections.abc import Callable, Iterator

import pytest

from lab.lab import Lab
from lab.namespaces import Namespaces
from lab.topology import ssh_hosts

Ssh = Callable[[str, str], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def namespaces() -> None:
    """What needs the lab's own hosts asks for this."""
    if not Namespaces.are_possible():
        pytest.skip("network namespaces are made by root on Linux; run the tests as root there")


@pytest.fixture
def lab(namespaces: None) -> Iterator[Lab]:  # noqa: ARG001  fixtures are asked for by name
    """Two hosts with SSH and nothing else, ``node-1`` and ``node-2``."""
    with Lab.running(f"test-{os.getpid()}", ssh_hosts(2), k3s=False) as running:
        yield running


@pytest.fixture
def ssh(lab: Lab) -> Ssh:
    """Runs a command on a host of ``lab`` as its operator would: by OpenSSH, with the inventory's keys."""

    def run(host: str, command: str) -> subprocess.CompletedProcess[str]:
        options = [
            "BatchMode=yes",
            "ConnectTimeout=2",
            "KexAlgorithms=curve25519-sha256",
            "StrictHostKeyChecking=yes",
            f"UserKnownHostsFile={lab.site}/known_hosts",
            f"IdentityFile={lab.site}/keys/operator",
        ]
        flags = [word for option in options for word in ("-o", option)]
        argv = ["ssh", *flags, f"scout@{lab.host(host).address}", command]
        return subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False)

    return run
