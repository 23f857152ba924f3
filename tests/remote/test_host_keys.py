"""An unknown, changed or revoked host key is refused, on the jump host too; known_hosts is the only truth."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import fabric
import pytest

from scout_ollama.inventory import Host
from scout_ollama.known_hosts import KnownHosts, add
from scout_ollama.remote import HostKeyRefused, Script
from scout_ollama.remote.ssh import SshRemote
from tests.remote.sshd import ADDRESS, Sshd, keygen, public_key

HELLO = Script("hello", "echo hello")

StartSshd = Callable[..., Sshd]
Connect = Callable[[Host], SshRemote]


def test_stock_fabric_accepts_any_unknown_key_and_ours_does_not(shared_sshd: Sshd, connect: Connect) -> None:
    stock = fabric.Connection(
        ADDRESS,
        user=shared_sshd.user,
        port=shared_sshd.port,
        connect_kwargs={"key_filename": str(shared_sshd.user_key), "allow_agent": False, "look_for_keys": False},
    )
    with stock:
        assert stock.run("echo hello", hide=True, in_stream=False).stdout == "hello\n"

    with pytest.raises(HostKeyRefused) as caught:
        connect(shared_sshd.host()).read(HELLO)
    message = str(caught.value)
    assert message.startswith("gpu-1: presents a host key that is not known")
    assert shared_sshd.host_key.fingerprint in message
    assert f"inv trust-host --hosts gpu-1 --fingerprint {shared_sshd.host_key.fingerprint}" in message


def test_the_fingerprint_is_the_one_that_ssh_keygen_prints(shared_sshd: Sshd) -> None:
    listed = subprocess.run(
        ["ssh-keygen", "-lf", shared_sshd.host_key_file], check=True, capture_output=True, text=True
    )
    assert shared_sshd.host_key.fingerprint == listed.stdout.split()[1]


def test_a_changed_key_is_refused_with_both_fingerprints(
    shared_sshd: Sshd, known_hosts: Path, tmp_path: Path, connect: Connect
) -> None:
    keygen(tmp_path / "old")
    old = public_key(tmp_path / "old")
    known_hosts.write_text("# ours\n")
    add(known_hosts, shared_sshd.name, old)
    with pytest.raises(HostKeyRefused) as caught:
        connect(shared_sshd.host()).read(HELLO)
    assert f"received {shared_sshd.host_key}" in caught.value.why
    assert f"expected {old}" in caught.value.why
    assert f"delete line 2 of {known_hosts}" in caught.value.next


def test_a_revoked_key_is_refused_though_it_is_known(shared_sshd: Sshd, known_hosts: Path, connect: Connect) -> None:
    shared_sshd.trusted_in(known_hosts)
    known_hosts.write_text(known_hosts.read_text() + "@revoked * " + known_hosts.read_text().split(" ", 1)[1])
    with pytest.raises(HostKeyRefused, match="presents a host key that is revoked"):
        connect(shared_sshd.host()).read(HELLO)


def test_a_name_that_ssh_keygen_hashed_is_found(shared_sshd: Sshd, known_hosts: Path, connect: Connect) -> None:
    shared_sshd.trusted_in(known_hosts)
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", known_hosts], check=True, capture_output=True)
    assert known_hosts.read_text().startswith("|1|")
    assert connect(shared_sshd.host()).read(HELLO).stdout == "hello\n"


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_the_kind_of_key_that_is_known_is_the_kind_that_is_negotiated(
    kind: str, start_sshd: StartSshd, known_hosts: Path, tmp_path: Path, connect: Connect
) -> None:
    keys = {name: tmp_path / f"host_{name}" for name in ("ed25519", "ecdsa", "rsa")}
    for name, path in keys.items():
        keygen(path, name)
    sshd = start_sshd(settings="".join(f"HostKey {path}\n" for path in keys.values()))
    add(known_hosts, sshd.name, public_key(keys[kind]))
    assert connect(sshd.host()).read(HELLO).stdout == "hello\n"


def test_two_keys_of_one_kind_are_both_known_while_a_host_changes_over(
    shared_sshd: Sshd, known_hosts: Path, tmp_path: Path, connect: Connect
) -> None:
    keygen(tmp_path / "old")
    add(known_hosts, shared_sshd.name, public_key(tmp_path / "old"))
    shared_sshd.trusted_in(known_hosts)
    assert connect(shared_sshd.host()).read(HELLO).stdout == "hello\n"


def test_the_operators_own_known_hosts_is_not_believed(
    shared_sshd: Sshd, tmp_path: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    shared_sshd.trusted_in(home / ".ssh" / "known_hosts")
    monkeypatch.setenv("HOME", str(home))
    with pytest.raises(HostKeyRefused):
        connect(shared_sshd.host()).read(HELLO)


def test_a_host_behind_a_jump_host(
    start_sshd: StartSshd, shared_sshd: Sshd, known_hosts: Path, connect: Connect
) -> None:
    jump = start_sshd()
    jump.trusted_in(known_hosts)
    shared_sshd.trusted_in(known_hosts)
    remote = connect(shared_sshd.host(jump=jump))
    assert remote.read(HELLO).stdout == "hello\n"
    assert jump.sessions()  # it went that way
    remote.close()
    assert "Failed" not in jump.log()


def test_an_unknown_jump_host_is_refused_before_the_host_is_tried(
    start_sshd: StartSshd, shared_sshd: Sshd, known_hosts: Path, connect: Connect
) -> None:
    jump = start_sshd()
    shared_sshd.trusted_in(known_hosts)
    with pytest.raises(HostKeyRefused) as caught:
        connect(shared_sshd.host(jump=jump)).read(HELLO)
    assert str(caught.value).startswith(f"gpu-1 (its jump host {ADDRESS}): presents a host key that is not known")
    assert jump.host_key.fingerprint in str(caught.value)
    assert "Accepted" not in jump.log()


def test_an_unknown_host_behind_a_known_jump_host_is_refused(
    start_sshd: StartSshd, shared_sshd: Sshd, known_hosts: Path, connect: Connect
) -> None:
    jump = start_sshd()
    jump.trusted_in(known_hosts)
    with pytest.raises(HostKeyRefused, match=r"gpu-1: presents a host key that is not known"):
        connect(shared_sshd.host(jump=jump)).read(HELLO)


def test_known_hosts_is_parsed_once_for_all_connections(shared_sshd: Sshd, known_hosts: Path) -> None:
    shared_sshd.trusted_in(known_hosts)
    assert KnownHosts.load(known_hosts) is KnownHosts.load(known_hosts)
    before = KnownHosts.load(known_hosts)
    add(known_hosts, "other", shared_sshd.host_key)
    assert len(KnownHosts.load(known_hosts).entries) == len(before.entries) + 1
