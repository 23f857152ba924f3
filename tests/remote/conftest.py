from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scout_ollama.inventory import Host
from scout_ollama.known_hosts import KnownHosts
from scout_ollama.remote.ssh import SshRemote
from tests.remote.sshd import Sshd, keygen


@pytest.fixture(scope="session")
def user_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The operator's key, without a passphrase."""
    path = tmp_path_factory.mktemp("user") / "id_ed25519"
    keygen(path)
    return path


@pytest.fixture(scope="session")
def shared_sshd(tmp_path_factory: pytest.TempPathFactory, user_key: Path) -> Iterator[Sshd]:
    """One sshd for all tests that do it no harm."""
    sshd = Sshd(tmp_path_factory.mktemp("sshd"), user_key)
    sshd.start()
    yield sshd
    sshd.stop()


@pytest.fixture
def start_sshd(tmp_path: Path, user_key: Path) -> Iterator[Callable[..., Sshd]]:
    """Start an sshd for this test alone; takes Sshd's keyword arguments."""
    started: list[Sshd] = []
    numbers = itertools.count(1)

    def start(**options: object) -> Sshd:
        sshd = Sshd(tmp_path / f"sshd-{next(numbers)}", user_key, **options)  # type: ignore[arg-type]  # Sshd's own
        started.append(sshd)
        sshd.start()
        return sshd

    yield start
    for sshd in started:
        sshd.stop()


@pytest.fixture
def known_hosts(tmp_path: Path) -> Path:
    """The site's known_hosts file, empty."""
    path = tmp_path / "known_hosts"
    path.touch()
    return path


@pytest.fixture
def connect(known_hosts: Path) -> Iterator[Callable[[Host], SshRemote]]:
    """Make a remote for a host, with the site's known_hosts as it is now; closed after the test."""
    made: list[SshRemote] = []

    def make(host: Host) -> SshRemote:
        made.append(SshRemote(host, KnownHosts.load(known_hosts)))
        return made[-1]

    yield make
    for remote in made:
        remote.close()


@pytest.fixture
def ssh(shared_sshd: Sshd, known_hosts: Path, connect: Callable[[Host], SshRemote]) -> SshRemote:
    """A remote for the shared sshd, whose key is known."""
    shared_sshd.trusted_in(known_hosts)
    return connect(shared_sshd.host())
