"""Connecting: who is in the way, what the message says, and many at once."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from scout_ollama.inventory import Host, Ssh
from scout_ollama.known_hosts import KnownHosts
from scout_ollama.remote import RemoteError, Script
from scout_ollama.remote.ssh import SshRemote
from tests.remote.sshd import ADDRESS, Sshd, free_port

HELLO = Script("hello", "echo hello")

StartSshd = Callable[..., Sshd]
Connect = Callable[[Host], SshRemote]


def host(address: str = ADDRESS, port: int = 22, *, key_file: Path | None = None, timeout: float = 10) -> Host:
    ssh = Ssh(port=port, connect_timeout=timeout, key_file=key_file)
    return Host(name="gpu-1", cluster="test", address=address, roles=frozenset({"server"}), ssh=ssh)


def complaint(remote: SshRemote) -> str:
    with pytest.raises(RemoteError) as caught:
        remote.read(HELLO)
    assert caught.value.next
    return str(caught.value)


def test_importing_the_package_does_not_import_fabric() -> None:
    code = (
        "import sys, scout_ollama.remote, scout_ollama.fleet, scout_ollama.hostkeys\n"
        "print(sorted(sys.modules.keys() & {'fabric', 'paramiko', 'invoke'}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"


def test_nobody_listens(connect: Connect) -> None:
    port = free_port()
    message = complaint(connect(host(port=port)))
    assert message.startswith("gpu-1: refuses the connection")
    assert f"{ADDRESS} port {port}" in message


def test_a_server_that_comes_up_late_is_tried_again(start_sshd: StartSshd, known_hosts: Path, connect: Connect) -> None:
    sshd = start_sshd()
    sshd.trusted_in(known_hosts)
    sshd.stop()
    start = threading.Timer(0.2, sshd.start)
    start.start()
    assert connect(sshd.host()).read(HELLO).stdout == "hello\n"
    start.join()


def test_a_name_that_does_not_resolve(connect: Connect) -> None:
    assert complaint(connect(host("no-such-host.invalid"))).startswith("gpu-1: has a name that does not resolve")


def test_an_address_without_a_route(connect: Connect) -> None:
    message = complaint(connect(host("255.255.255.255", timeout=2)))  # no TCP connection goes to the broadcast address
    assert message.startswith("gpu-1: cannot be reached")


def test_a_port_that_accepts_and_says_nothing(connect: Connect) -> None:
    with socket.create_server((ADDRESS, 0)) as silent:
        message = complaint(connect(host(port=silent.getsockname()[1], timeout=0.5)))
    assert message.startswith("gpu-1: does not answer")
    assert "says nothing for 0.5 s" in message


def test_a_full_backlog_times_out(connect: Connect) -> None:
    with socket.create_server((ADDRESS, 0), backlog=0) as busy:
        place = busy.getsockname()
        with socket.create_connection(place), socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(place)
            message = complaint(connect(host(port=place[1], timeout=0.5)))
    assert message.startswith("gpu-1: does not answer")
    assert "within 0.5 s" in message


def test_something_else_than_an_ssh_server(connect: Connect) -> None:
    with socket.create_server((ADDRESS, 0)) as web:
        answering = threading.Thread(target=_answer_as_a_web_server, args=(web,), daemon=True)
        answering.start()
        message = complaint(connect(host(port=web.getsockname()[1])))
        answering.join(5)
    assert message.startswith("gpu-1: is not an SSH server")


def _answer_as_a_web_server(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection, contextlib.suppress(ConnectionResetError):
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n" + b"X: y\r\n" * 200)
        connection.recv(1000)


def test_a_jump_host_that_cannot_reach_the_host(start_sshd: StartSshd, known_hosts: Path, connect: Connect) -> None:
    jump = start_sshd()
    jump.trusted_in(known_hosts)
    down = start_sshd()
    down.stop()
    message = complaint(connect(down.host(jump=jump)))
    assert message.startswith("gpu-1: cannot be reached")
    assert f"from its jump host {ADDRESS}" in message


def test_a_jump_host_that_forbids_forwarding(
    start_sshd: StartSshd, shared_sshd: Sshd, known_hosts: Path, connect: Connect
) -> None:
    jump = start_sshd(settings="AllowTcpForwarding no")
    jump.trusted_in(known_hosts)
    message = complaint(connect(shared_sshd.host(jump=jump)))
    assert message.startswith("gpu-1: is cut off by its jump host")
    assert "AllowTcpForwarding" in message


def test_twenty_at_once_against_a_stock_sshd_all_succeed(
    start_sshd: StartSshd, known_hosts: Path, connect: Connect
) -> None:
    sshd = start_sshd()  # with MaxStartups 10:30:100, as shipped
    sshd.trusted_in(known_hosts)
    answers = together([connect(sshd.host(f"gpu-{n}")) for n in range(20)])
    assert answers == ["hello\n"] * 20
    assert "MaxStartups" not in sshd.log()


def test_twenty_at_once_through_one_jump_host_all_succeed(
    start_sshd: StartSshd, known_hosts: Path, connect: Connect
) -> None:
    jump, sshd = start_sshd(), start_sshd()
    for server in (jump, sshd):
        server.trusted_in(known_hosts)
    assert together([connect(sshd.host(f"gpu-{n}", jump=jump)) for n in range(20)]) == ["hello\n"] * 20


def together(remotes: list[SshRemote]) -> list[str]:
    """What all remotes say to HELLO, asked at the same moment."""
    answers: list[str] = []
    start = threading.Barrier(len(remotes))

    def ask(remote: SshRemote) -> None:
        start.wait()
        answers.append(remote.read(HELLO).stdout)

    threads = [threading.Thread(target=ask, args=(remote,)) for remote in remotes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return answers


def test_the_operators_ssh_and_fabric_configuration_is_not_read(
    shared_sshd: Sshd, known_hosts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "config").write_text("Host *\n  ProxyCommand false\n  User nobody\n")
    (home / ".fabric.yaml").write_text("user: nobody\ngateway: nowhere.invalid\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("FABRIC_USER", "nobody")
    shared_sshd.trusted_in(known_hosts)
    assert connect(shared_sshd.host()).read(HELLO).stdout == "hello\n"


def test_nagle_is_off(ssh: SshRemote) -> None:
    ssh.read(HELLO)
    sock = ssh._connection.transport.sock  # type: ignore[union-attr]  # it is connected by now
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def agreed_on(pattern: str, start_sshd: StartSshd, known_hosts: Path, connect: Connect) -> list[str]:
    """What a stock sshd says that it and we agreed on."""
    sshd = start_sshd(settings="LogLevel DEBUG1")
    sshd.trusted_in(known_hosts)
    connect(sshd.host()).read(HELLO)
    return re.findall(pattern, sshd.log())


def test_the_cipher_is_one_that_needs_no_checksums(start_sshd: StartSshd, known_hosts: Path, connect: Connect) -> None:
    agreed = agreed_on(r"kex: \S+ cipher: (\S+)", start_sshd, known_hosts, connect)
    assert len(agreed) == 2  # to the server, and back
    assert all("gcm" in name for name in agreed)


def test_the_key_exchange_is_a_cheap_one(start_sshd: StartSshd, known_hosts: Path, connect: Connect) -> None:
    agreed = agreed_on(r"kex: algorithm: (\S+)", start_sshd, known_hosts, connect)
    assert agreed
    assert all("25519" in name for name in agreed)  # Diffie-Hellman groups cost 10 to 30 times the CPU


def test_one_connection_serves_all_scripts(start_sshd: StartSshd, known_hosts: Path, connect: Connect) -> None:
    sshd = start_sshd()
    sshd.trusted_in(known_hosts)
    remote = connect(sshd.host())
    for _ in range(5):
        remote.read(HELLO)
    assert sshd.log().count("Accepted publickey") == 1


def test_who_is_connected_ahead_is_not_connected_again(
    start_sshd: StartSshd, known_hosts: Path, connect: Connect
) -> None:
    sshd = start_sshd()
    sshd.trusted_in(known_hosts)
    remote = connect(sshd.host())
    remote.connect_ahead()
    assert sshd.log().count("Accepted publickey") == 1
    remote.read(HELLO)
    assert sshd.log().count("Accepted publickey") == 1


def test_a_host_that_is_away_is_waited_for_once_and_told_by_the_script(
    start_sshd: StartSshd, known_hosts: Path, connect: Connect
) -> None:
    sshd = start_sshd()
    sshd.trusted_in(known_hosts)
    sshd.stop()
    remote = connect(sshd.host())
    remote.connect_ahead()  # says nothing
    sshd.start()
    assert complaint(remote).startswith("gpu-1: refuses the connection")  # what was found out then
    assert remote.read(HELLO).stdout == "hello\n"


def test_nothing_is_contacted_until_it_is_asked(known_hosts: Path) -> None:
    SshRemote(host("no-such-host.invalid"), KnownHosts.load(known_hosts)).close()
