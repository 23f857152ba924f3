"""Logging in: key files, passphrases, the agent, and sudo; as a real user who is not root."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import paramiko
import pytest

from scout_ollama.inventory import Host
from scout_ollama.remote import RemoteError, Script, keys
from scout_ollama.remote.ssh import SshRemote
from tests.remote.sshd import Sshd, keygen, public_key, with_user

HELLO = Script("hello", "echo hello")
WHO = Script("who", "id -un")
PASSPHRASE = "correct horse"

StartSshd = Callable[..., Sshd]
Connect = Callable[[Host], SshRemote]


@pytest.fixture(autouse=True)
def no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have an agent: it has no say."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A real agent, empty."""
    directory = Path(tempfile.mkdtemp())  # short: the path of a Unix socket has 108 bytes at most
    socket = directory / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
    while subprocess.run(["ssh-add", "-l"], capture_output=True, check=False).returncode == 2:  # not there yet
        assert process.poll() is None
    yield
    process.terminate()
    process.wait()
    shutil.rmtree(directory)


def answering(passphrase: str, asked: list[str]) -> Callable[[str], str]:
    """A person at a terminal, who remembers what was asked."""

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return passphrase

    return answer


def complaint(remote: SshRemote) -> str:
    with pytest.raises(RemoteError) as caught:
        remote.read(HELLO)
    assert caught.value.next
    return str(caught.value)


def test_a_key_that_is_refused_is_named_with_its_fingerprint(
    shared_sshd: Sshd, known_hosts: Path, tmp_path: Path, connect: Connect
) -> None:
    shared_sshd.trusted_in(known_hosts)
    keygen(tmp_path / "stranger")
    message = complaint(connect(shared_sshd.host(key_file=tmp_path / "stranger")))
    assert message.startswith(f"gpu-1: does not let {shared_sshd.user} log in")
    assert f"{tmp_path}/stranger {public_key(tmp_path / 'stranger').fingerprint}" in message


def test_a_key_file_that_is_not_there(shared_sshd: Sshd, known_hosts: Path, tmp_path: Path, connect: Connect) -> None:
    shared_sshd.trusted_in(known_hosts)
    message = complaint(connect(shared_sshd.host(key_file=tmp_path / "missing")))
    assert message.startswith(f"gpu-1: cannot use key file {tmp_path}/missing\n  why: No such file or directory")


def test_a_key_file_that_is_no_key(shared_sshd: Sshd, known_hosts: Path, tmp_path: Path, connect: Connect) -> None:
    shared_sshd.trusted_in(known_hosts)
    (tmp_path / "text").write_text("no key at all\n")
    assert "it is not a private key that can be read" in complaint(
        connect(shared_sshd.host(key_file=tmp_path / "text"))
    )


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_every_kind_of_key_logs_in(
    kind: str, start_sshd: StartSshd, known_hosts: Path, tmp_path: Path, connect: Connect
) -> None:
    key = tmp_path / kind
    keygen(key, kind)
    sshd = start_sshd(settings=f"AuthorizedKeysFile {key}.pub")
    sshd.trusted_in(known_hosts)
    assert connect(sshd.host(key_file=key)).read(HELLO).stdout == "hello\n"


def test_without_key_file_and_agent_it_says_what_to_do(shared_sshd: Sshd, known_hosts: Path, connect: Connect) -> None:
    shared_sshd.trusted_in(known_hosts)
    host = shared_sshd.host()
    host = host.model_copy(update={"ssh": host.ssh.model_copy(update={"key_file": None})})
    assert "next: ssh-add" in complaint(connect(host))


class TestAPassphrase:
    @pytest.fixture
    def key(self, tmp_path: Path) -> Path:
        path = tmp_path / "locked"
        keygen(path, passphrase=PASSPHRASE)
        return path

    @pytest.fixture
    def host(self, start_sshd: StartSshd, known_hosts: Path, key: Path) -> Host:
        sshd = start_sshd(settings=f"AuthorizedKeysFile {key}.pub")
        sshd.trusted_in(known_hosts)
        return sshd.host(key_file=key)

    def test_without_a_terminal_it_says_ssh_add(
        self, host: Host, key: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
        message = complaint(connect(host))
        assert "it has a passphrase, and there is no terminal to ask for it on" in message
        assert f"next: ssh-add {key}" in message

    def test_on_a_terminal_it_is_asked_for_once(
        self, host: Host, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
        monkeypatch.setattr(getpass, "getpass", answering(PASSPHRASE, asked))
        assert connect(host).read(HELLO).stdout == "hello\n"
        assert connect(host).read(HELLO).stdout == "hello\n"
        assert len(asked) == 1

    def test_a_wrong_one_is_told_and_not_asked_for_again_for_the_next_host(
        self, host: Host, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
        monkeypatch.setattr(getpass, "getpass", answering("wrong", asked))
        assert "that is not its passphrase" in complaint(connect(host))
        assert "that is not its passphrase" in complaint(connect(host))
        assert len(asked) == 1

    @pytest.mark.usefixtures("agent")
    def test_the_agent_serves_instead(
        self, host: Host, key: Path, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
        for name in "abcdefgh":  # more keys than MaxAuthTries: only the one that was named may be offered
            keygen(tmp_path / name)
            _add_to_agent(tmp_path / name)
        _add_to_agent(key, PASSPHRASE)
        assert connect(host).read(HELLO).stdout == "hello\n"


@pytest.mark.usefixtures("agent")
def test_without_a_key_file_the_agents_keys_are_tried(
    shared_sshd: Sshd, known_hosts: Path, user_key: Path, tmp_path: Path, connect: Connect
) -> None:
    shared_sshd.trusted_in(known_hosts)
    host = shared_sshd.host()
    host = host.model_copy(update={"ssh": host.ssh.model_copy(update={"key_file": None})})
    keygen(tmp_path / "other")
    _add_to_agent(tmp_path / "other")
    assert f"agent key other {public_key(tmp_path / 'other').fingerprint}" in complaint(connect(host))
    _add_to_agent(user_key)
    assert connect(host).read(HELLO).stdout == "hello\n"


@pytest.mark.usefixtures("agent")
def test_too_many_keys_in_the_agent_are_told(
    shared_sshd: Sshd, known_hosts: Path, tmp_path: Path, connect: Connect
) -> None:
    shared_sshd.trusted_in(known_hosts)
    host = shared_sshd.host()
    host = host.model_copy(update={"ssh": host.ssh.model_copy(update={"key_file": None})})
    for name in "abcdefgh":
        keygen(tmp_path / name)
        _add_to_agent(tmp_path / name)
    message = complaint(connect(host))
    assert message.startswith(f"gpu-1: hung up while {shared_sshd.user} was logging in")
    assert "MaxAuthTries" in message


def _add_to_agent(key: Path, passphrase: str = "") -> None:
    helper = key.with_name("askpass")
    helper.write_text(f"#!/bin/sh\necho '{passphrase}'\n")
    helper.chmod(0o700)
    environment = {**os.environ, "SSH_ASKPASS": str(helper), "SSH_ASKPASS_REQUIRE": "force"}
    subprocess.run(["ssh-add", "-q", key], env=environment, stdin=subprocess.DEVNULL, check=True, capture_output=True)


def test_a_private_key_is_parsed_once_a_run(tmp_path: Path) -> None:
    keygen(tmp_path / "key", "rsa")
    assert keys.private_key("gpu-1", tmp_path / "key") is keys.private_key("gpu-2", tmp_path / "key")
    assert isinstance(keys.private_key("gpu-1", tmp_path / "key"), paramiko.RSAKey)


class TestSudo:
    """With the real sudo, as a real user, in a mount namespace where /etc says so."""

    @pytest.fixture
    def start(
        self, start_sshd: StartSshd, user_key: Path, known_hosts: Path, connect: Connect
    ) -> Iterator[Callable[..., SshRemote]]:
        if os.geteuid() != 0 or not shutil.which("sudo"):
            pytest.skip("needs root, to give an sshd users of its own, and sudo")
        public = Path(tempfile.mkdtemp())  # pytest's own directories are closed to other users
        public.chmod(0o755)
        shutil.copy(f"{user_key}.pub", public / "keys")

        def start(
            *, user: str = "scout", login_shell: str = "/bin/sh", sudoers: str = "", settings: str = ""
        ) -> SshRemote:
            etc = with_user("scout", public / "home", shell=login_shell, sudoers=sudoers)
            settings += f"\nAuthorizedKeysFile {public}/keys\nSetEnv HOME={public}/home"
            sshd = start_sshd(user=user, etc=etc, settings=settings)
            sshd.trusted_in(known_hosts)
            return connect(sshd.host())

        yield start
        shutil.rmtree(public)

    @pytest.fixture
    def bare(self) -> Iterator[Path]:
        """A directory for PATH that has what a script needs to start, and no sudo."""
        path = Path(tempfile.mkdtemp())
        path.chmod(0o755)
        for name in ("timeout", "sh", "head", "id"):
            (path / name).symlink_to(shutil.which(name) or "")
        yield path
        shutil.rmtree(path)

    def test_a_script_runs_as_root_only_when_that_is_asked(self, start: Callable[..., SshRemote]) -> None:
        remote = start(sudoers="scout ALL=(ALL) NOPASSWD: ALL")
        assert remote.read(WHO).stdout == "scout\n"
        assert remote.read(WHO, sudo=True).stdout == "root\n"

    def test_a_file_is_put_as_root(self, start: Callable[..., SshRemote], tmp_path: Path) -> None:
        path = tmp_path / "registries.yaml"  # scout may not even look into this directory
        start(sudoers="scout ALL=(ALL) NOPASSWD: ALL").put(b"new", str(path), mode=0o600, owner="root:root", sudo=True)
        assert path.read_text() == "new"
        assert (path.owner(), path.stat().st_mode & 0o777) == ("root", 0o600)

    def test_a_file_that_only_root_may_write_is_refused_without_sudo(
        self, start: Callable[..., SshRemote], tmp_path: Path
    ) -> None:
        with pytest.raises(RemoteError, match="Permission denied"):
            start(sudoers="scout ALL=(ALL) NOPASSWD: ALL").put(b"new", str(tmp_path / "registries.yaml"))

    def test_sudo_that_asks_for_a_password(self, start: Callable[..., SshRemote]) -> None:
        remote = start(sudoers="scout ALL=(ALL) ALL")
        with pytest.raises(RemoteError) as caught:
            remote.read(WHO, sudo=True)
        message = str(caught.value)
        assert message.startswith("gpu-1: sudo asks scout for a password")
        assert "scout ALL=(ALL) NOPASSWD: ALL" in message

    def test_sudo_that_refuses(self, start: Callable[..., SshRemote]) -> None:
        remote = start(sudoers="scout ALL=(ALL) NOPASSWD: /bin/true")
        with pytest.raises(RemoteError, match="gpu-1: sudo"):
            remote.read(WHO, sudo=True)

    def test_no_sudo_at_all(self, start: Callable[..., SshRemote], bare: Path) -> None:
        with pytest.raises(RemoteError, match="gpu-1: has no sudo"):
            start(settings=f"SetEnv PATH={bare}").read(WHO, sudo=True)

    def test_root_needs_no_sudo(self, start: Callable[..., SshRemote]) -> None:
        assert start(user="root", sudoers="Defaults:root !root_sudo").read(WHO, sudo=True).stdout == "root\n"

    @pytest.mark.parametrize("shell", ["/bin/bash", "/bin/dash"])
    def test_whatever_the_login_shell(self, start: Callable[..., SshRemote], shell: str) -> None:
        remote = start(login_shell=shell, sudoers="scout ALL=(ALL) NOPASSWD: ALL")
        assert remote.read(Script("say", 'printf %s "$1"'), "it's $HOME", sudo=True).stdout == "it's $HOME"

    def test_an_account_without_a_shell(self, start: Callable[..., SshRemote]) -> None:
        with pytest.raises(RemoteError, match=r"gpu-1: did not start who(.|\n)*not available"):
            start(login_shell="/usr/sbin/nologin").read(WHO)
