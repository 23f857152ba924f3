"""A script under way: what disturbs it, what cuts it off, and what others on the host can see of it."""

from __future__ import annotations

import contextlib
import secrets
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scout_ollama.fleet import Fleet
from scout_ollama.inventory import Host, ScoutCluster, Site
from scout_ollama.remote import CommandFailed, Reader, RemoteError, Script, connection, transport
from scout_ollama.remote.connection import open_socket
from scout_ollama.remote.route import Hop
from scout_ollama.remote.ssh import SshRemote
from tests.remote.sshd import Sshd, send

HELLO = Script("hello", "echo hello")

StartSshd = Callable[..., Sshd]
Connect = Callable[[Host], SshRemote]


@pytest.fixture
def sshd(start_sshd: StartSshd, known_hosts: Path) -> Sshd:
    """An sshd for this test alone, whose key is known."""
    sshd = start_sshd()
    sshd.trusted_in(known_hosts)
    return sshd


def wait_for(condition: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


class Asked(threading.Thread):
    """A script that runs while the test does something to its host."""

    def __init__(self, remote: SshRemote, script: Script, stdin: bytes = b"") -> None:
        super().__init__(daemon=True)
        self.trouble: RemoteError | None = None
        self._asked = (remote, script, stdin)
        self.start()

    def run(self) -> None:
        remote, script, stdin = self._asked
        try:
            remote.run(script, stdin=stdin)
        except RemoteError as trouble:
            self.trouble = trouble

    def complaint(self) -> str:
        self.join(30)
        assert not self.is_alive()
        assert self.trouble
        return str(self.trouble)


def test_what_rc_files_print_is_not_the_scripts_output(
    start_sshd: StartSshd, known_hosts: Path, connect: Connect
) -> None:
    sshd = start_sshd(settings='ForceCommand echo "Welcome to gpu-1"; echo motd >&2; eval "$SSH_ORIGINAL_COMMAND"')
    sshd.trusted_in(known_hosts)
    heard: list[str] = []
    result = connect(sshd.host()).run(HELLO, on_line=heard.append)
    assert result.stdout == "hello\n"
    assert "Welcome to gpu-1" not in heard
    assert "hello" in heard


def test_a_real_bashrc_that_prints_is_harmless(ssh: SshRemote, shared_sshd: Sshd) -> None:
    bashrc = shared_sshd.directory / ".bashrc"  # that sshd's HOME; bash reads it for commands over SSH, too
    bashrc.write_text(f"touch {shared_sshd.directory}/bashrc-was-read\necho noise\n")
    try:
        assert ssh.read(HELLO).stdout == "hello\n"
        assert (shared_sshd.directory / "bashrc-was-read").exists()
    finally:
        bashrc.unlink()


def test_rc_files_that_eat_standard_input_are_noticed(
    start_sshd: StartSshd, known_hosts: Path, connect: Connect
) -> None:
    sshd = start_sshd(settings='ForceCommand head -c 10 >/dev/null; eval "$SSH_ORIGINAL_COMMAND"')
    sshd.trusted_in(known_hosts)
    with pytest.raises(CommandFailed):
        connect(sshd.host()).run(HELLO)


def test_an_account_that_runs_nothing_says_its_reason(
    start_sshd: StartSshd, known_hosts: Path, connect: Connect
) -> None:
    sshd = start_sshd(settings='ForceCommand echo "This account is currently not available."; exit 1')
    sshd.trusted_in(known_hosts)
    with pytest.raises(RemoteError, match=r"did not start hello(.|\n)*This account is currently not available"):
        connect(sshd.host()).run(HELLO)


def test_the_host_hangs_up_in_the_middle(sshd: Sshd, connect: Connect, tmp_path: Path) -> None:
    started = tmp_path / "started"
    asked = Asked(connect(sshd.host()), Script("work", f"touch {started}; sleep 60"))
    wait_for(started.exists)
    for pid in sshd.sessions():
        send(pid, signal.SIGKILL)
    message = asked.complaint()
    assert message.startswith("gpu-1: the connection was lost during work")
    assert "next: the same command again" in message


def test_a_host_that_falls_silent_in_the_middle_is_noticed(
    sshd: Sshd, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "KEEPALIVE_SECONDS", 0.2)
    monkeypatch.setattr(transport, "SILENCE_SECONDS", 1.0)
    started = tmp_path / "started"
    remote = connect(sshd.host())
    asked = Asked(remote, Script("work", f"touch {started}; sleep 60"))
    wait_for(started.exists)
    for pid in sshd.sessions():
        send(pid, signal.SIGSTOP)  # its kernel still acknowledges, nobody answers
    message = asked.complaint()
    assert message.startswith("gpu-1: the connection was lost during work")
    assert "nothing was heard for 1 s" in message


def test_who_is_told_much_and_asked_nothing_need_not_answer(
    sshd: Sshd, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sent puts off the question for a sign of life, so its silence until then means nothing."""
    monkeypatch.setattr(transport, "KEEPALIVE_SECONDS", 0.3)
    monkeypatch.setattr(transport, "SILENCE_SECONDS", 0.9)
    told = tmp_path / "told"
    listen = f"while read -r word; do echo $word >>{told}; done; echo over"
    talk = connect(sshd.host()).converse(Script("listen", listen))
    pause = threading.Event()
    for _ in range(15):
        talk.say("word\n")
        pause.wait(0.1)
    pause.wait(0.8)
    assert told.read_text().count("word") == 15
    talk.close()
    assert talk.hear(20) == "over"


@pytest.mark.parametrize("buffers", ["roomy", "full"])
def test_a_host_that_falls_silent_while_it_is_sent_much_is_noticed(
    sshd: Sshd, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, buffers: str
) -> None:
    if buffers == "full":  # then our own writes wait, as they soon do on a link that is cut
        monkeypatch.setattr(connection, "open_socket", open_socket_with_a_small_buffer)
    monkeypatch.setattr(transport, "KEEPALIVE_SECONDS", 0.2)
    monkeypatch.setattr(transport, "SILENCE_SECONDS", 1.0)
    started, go = tmp_path / "started", tmp_path / "go"
    waits = f"touch {started}; while ! [ -e {go} ]; do sleep 0.01; done; wc -c"
    asked = Asked(connect(sshd.host()), Script("swallow", waits), stdin=b"x" * 50_000_000)
    wait_for(started.exists)
    for pid in sshd.sessions():
        send(pid, signal.SIGSTOP)
    assert asked.complaint().startswith("gpu-1: the connection was lost during swallow")


@pytest.mark.parametrize("frozen", ["jump host", "host"])
def test_silence_behind_or_at_the_jump_host_is_noticed(
    sshd: Sshd,
    start_sshd: StartSshd,
    known_hosts: Path,
    connect: Connect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    frozen: str,
) -> None:
    monkeypatch.setattr(transport, "KEEPALIVE_SECONDS", 0.2)
    monkeypatch.setattr(transport, "SILENCE_SECONDS", 1.0)
    jump = start_sshd()
    jump.trusted_in(known_hosts)
    started = tmp_path / "started"
    asked = Asked(connect(sshd.host(jump=jump)), Script("work", f"touch {started}; sleep 60"))
    wait_for(started.exists)
    for pid in (jump if frozen == "jump host" else sshd).sessions():
        send(pid, signal.SIGSTOP)
    assert asked.complaint().startswith("gpu-1: the connection was lost during work")


def open_socket_with_a_small_buffer(
    hop: Hop, open_socket: Callable[[Hop], socket.socket] = open_socket
) -> socket.socket:
    made = open_socket(hop)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return made


def test_a_quiet_script_on_a_healthy_host_is_left_alone(
    sshd: Sshd, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "KEEPALIVE_SECONDS", 0.1)
    monkeypatch.setattr(transport, "SILENCE_SECONDS", 0.5)
    assert connect(sshd.host()).read(Script("quiet", "sleep 2; echo done")).stdout == "done\n"


def test_after_a_lost_connection_the_next_script_connects_again(sshd: Sshd, connect: Connect, tmp_path: Path) -> None:
    remote = connect(sshd.host())
    started = tmp_path / "started"
    asked = Asked(remote, Script("work", f"touch {started}; sleep 60"))
    wait_for(started.exists)
    sshd.stop()
    asked.complaint()
    sshd.start()
    assert remote.read(HELLO).stdout == "hello\n"


def test_closing_ends_what_is_under_way_and_nothing_begins_after_it(
    sshd: Sshd, connect: Connect, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    remote = connect(sshd.host())
    asked = Asked(remote, Script("work", f"touch {started}; sleep 60"))
    wait_for(started.exists)
    remote.close()
    assert asked.complaint().startswith("gpu-1: the connection was lost during work")
    with pytest.raises(RemoteError, match="was disconnected by us"):
        remote.run(HELLO)


def test_ctrl_c_leaves_no_session_behind(sshd: Sshd, connect: Connect, tmp_path: Path) -> None:
    names = ["gpu-1", "gpu-2", "gpu-3"]
    hosts = {name: sshd.host(name) for name in names}
    cluster = ScoutCluster.model_construct(name="test", kind="scout", environment="phi", hosts=hosts)
    fleet = Fleet(Site(tmp_path, {"test": cluster}), lambda _, host: connect(host))
    went_on: list[str] = []

    def work(remote: Reader) -> None:
        with contextlib.suppress(RemoteError):
            remote.read(Script("work", f"touch {tmp_path}/{remote.host.name}; sleep 60"))
        remote.read(Script("next", "true"))
        went_on.append(remote.host.name)

    def interrupt() -> None:
        wait_for(lambda: all((tmp_path / name).exists() for name in names))
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fleet.read(work, names)
    assert time.monotonic() - began < 10
    interrupter.join()
    wait_for(lambda: not [pid for pid in sshd.sessions() if "sshd" in _name(pid)])
    assert went_on == []


def _name(pid: int) -> str:
    return _read(Path(f"/proc/{pid}/comm")).decode()


def test_a_script_cut_off_on_its_way_does_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    script = Script("careful", f"touch {mark}\nsleep 0\ntouch {mark}2\n")
    length, payload = script.payload(b"")
    for cut in range(1, len(payload) - 2):
        _run_here(script, length, payload[:cut])
        assert not mark.exists(), payload[:cut]
    _run_here(script, length, payload)
    assert mark.exists()


def _run_here(script: Script, length: int, payload: bytes) -> None:
    argv = script.argv(length, (), sudo=False, timeout=10)
    subprocess.run(argv, input=payload, capture_output=True, check=False)


def test_nothing_secret_is_in_any_process_list(sshd: Sshd, connect: Connect, tmp_path: Path) -> None:
    secret = secrets.token_hex(16)  # no other process of this machine has it, whatever else is tested now
    started, go = tmp_path / "started", tmp_path / "go"
    text = f"# {secret}-in-the-script\ntouch {started}; while ! [ -e {go} ]; do sleep 0.01; done; cat >/dev/null"
    asked = Asked(connect(sshd.host()), Script("secret-keeper", text), stdin=f"{secret}-in-the-data".encode())
    wait_for(started.exists)
    commands = b"".join(_read(process / "cmdline") for process in Path("/proc").glob("[0-9]*"))
    environments = b"".join(_read(process / "environ") for process in Path("/proc").glob("[0-9]*"))
    go.touch()
    asked.join(10)
    assert not asked.trouble
    assert b"\0secret-keeper\0" in commands  # the script's own process is among those that were looked at
    assert secret.encode() not in commands
    assert secret.encode() not in environments


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_truncated_upload_is_not_put(ssh: SshRemote, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("old")
    result = ssh.run(Script.load("put"), str(path), "644", "", "1000", stdin=b"only this", check=False)
    assert result.status != 0
    assert "only 9 of 1000 bytes arrived" in result.stderr
    assert path.read_text() == "old"
    assert {*tmp_path.iterdir()} == {path, tmp_path / "known_hosts"}


def test_a_second_script_on_an_open_connection_is_quick(ssh: SshRemote) -> None:
    ssh.read(HELLO)
    took = min(ssh.read(HELLO).seconds for _ in range(10))
    assert took < 0.035  # Nagle's algorithm alone would add 40 ms
