"""inv show-host-keys and inv trust-host: a person compares, then exactly that key is believed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scout_ollama import hostkeys
from scout_ollama.errors import Trouble
from scout_ollama.inventory import Host, ScoutCluster, Site
from scout_ollama.known_hosts import add
from scout_ollama.remote import HostKeyRefused, Script
from scout_ollama.remote.ssh import SshRemote
from tests.remote.sshd import Sshd, keygen, public_key

HELLO = Script("hello", "echo hello")

StartSshd = Callable[..., Sshd]


def site(root: Path, *hosts: Host) -> Site:
    by_name = {host.name: host for host in hosts}
    cluster = ScoutCluster.model_construct(name="test", kind="scout", environment="phi", hosts=by_name)
    return Site(root, {"test": cluster})


def test_from_refused_to_trusted(shared_sshd: Sshd, known_hosts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = site(known_hosts.parent, shared_sshd.host())
    with SshRemote.connect(here, shared_sshd.host()) as remote, pytest.raises(HostKeyRefused) as caught:
        remote.read(HELLO)

    assert hostkeys.show(here, "gpu-1") == 0
    shown = capsys.readouterr().out
    assert shared_sshd.host_key.fingerprint in shown
    assert "unknown" in shown

    fingerprint = caught.value.next.split()[-1]  # what the message says to type
    hostkeys.trust(here, "gpu-1", fingerprint)
    with SshRemote.connect(here, shared_sshd.host()) as remote:
        assert remote.read(HELLO).stdout == "hello\n"
    capsys.readouterr()
    hostkeys.show(here, "gpu-1")
    assert " known" in capsys.readouterr().out


def test_trusting_twice_changes_nothing(shared_sshd: Sshd, known_hosts: Path) -> None:
    here = site(known_hosts.parent, shared_sshd.host())
    hostkeys.trust(here, "gpu-1", shared_sshd.host_key.fingerprint)
    text = known_hosts.read_text()
    hostkeys.trust(here, "gpu-1", shared_sshd.host_key.fingerprint.removeprefix("SHA256:"))
    assert known_hosts.read_text() == text


def test_a_fingerprint_that_nobody_presents_adds_nothing(shared_sshd: Sshd, known_hosts: Path, tmp_path: Path) -> None:
    keygen(tmp_path / "other")
    with pytest.raises(Trouble) as caught:
        hostkeys.trust(site(tmp_path, shared_sshd.host()), "gpu-1", public_key(tmp_path / "other").fingerprint)
    assert str(caught.value).startswith("gpu-1: nobody presents a key with fingerprint SHA256:")
    assert shared_sshd.host_key.fingerprint in caught.value.why
    assert known_hosts.read_text() == ""


def test_a_changed_key_is_not_added_beside_the_old_one(
    shared_sshd: Sshd, known_hosts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keygen(tmp_path / "old")
    add(known_hosts, shared_sshd.name, public_key(tmp_path / "old"))
    here = site(tmp_path, shared_sshd.host())
    with pytest.raises(Trouble, match="another is known") as caught:
        hostkeys.trust(here, "gpu-1", shared_sshd.host_key.fingerprint)
    assert "delete line 1" in caught.value.next
    assert hostkeys.show(here, "gpu-1") == 1
    assert "is changed" in capsys.readouterr().err


def test_a_revoked_key_is_not_added(shared_sshd: Sshd, known_hosts: Path, tmp_path: Path) -> None:
    shared_sshd.trusted_in(known_hosts)
    known_hosts.write_text("@revoked " + known_hosts.read_text())
    with pytest.raises(Trouble, match="it is revoked"):
        hostkeys.trust(site(tmp_path, shared_sshd.host()), "gpu-1", shared_sshd.host_key.fingerprint)


def test_a_key_of_another_kind_may_join_a_known_one(start_sshd: StartSshd, known_hosts: Path, tmp_path: Path) -> None:
    keygen(tmp_path / "rsa", "rsa")
    sshd = start_sshd(settings=f"HostKey {tmp_path}/rsa")
    sshd.trusted_in(known_hosts)
    hostkeys.trust(site(tmp_path, sshd.host()), "gpu-1", public_key(tmp_path / "rsa").fingerprint)
    assert len(known_hosts.read_text().splitlines()) == 2


def test_the_jump_host_first_then_the_host_behind_it(
    start_sshd: StartSshd, shared_sshd: Sshd, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jump = start_sshd()
    host = shared_sshd.host(jump=jump)
    here = site(tmp_path, host)
    assert hostkeys.show(here, "gpu-1") == 1  # the way ends at the jump host
    captured = capsys.readouterr()
    assert jump.host_key.fingerprint in captured.out
    assert "its jump host" in captured.err

    hostkeys.trust(here, "gpu-1", jump.host_key.fingerprint)
    hostkeys.trust(here, "gpu-1", shared_sshd.host_key.fingerprint)
    with SshRemote.connect(here, host) as remote:
        assert remote.read(HELLO).stdout == "hello\n"


def test_a_fingerprint_is_for_one_host(shared_sshd: Sshd, known_hosts: Path, tmp_path: Path) -> None:
    here = site(tmp_path, shared_sshd.host("gpu-1"), shared_sshd.host("gpu-2"))
    with pytest.raises(Trouble, match="a fingerprint belongs to one"):
        hostkeys.trust(here, "test", shared_sshd.host_key.fingerprint)
    assert known_hosts.read_text() == ""
