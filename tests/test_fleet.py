from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from scout_ollama.errors import Trouble
from scout_ollama.fleet import Bug, Failed, Fleet, Ok, run_on
from scout_ollama.inventory import Host, ScoutCluster, Site
from scout_ollama.remote import Reader, RecordingRemote, Remote, Script

HELLO = Script("hello", "echo hello")


def site(*names: str) -> Site:
    """A site with one cluster that has these hosts."""
    hosts = {
        name: Host(name=name, cluster="test", address=f"192.0.2.{number}", roles=frozenset({"server"}))
        for number, name in enumerate(names, 1)
    }
    return Site(
        Path("nowhere"),
        {"test": ScoutCluster.model_construct(name="test", kind="scout", environment="phi", hosts=hosts)},
    )


def test_every_host_has_an_outcome_in_the_order_given() -> None:
    delays = {"slow": 0.05, "quick": 0.0}

    def measure(name: str) -> int:
        time.sleep(delays[name])
        return len(name)

    outcomes = run_on(["slow", "quick"], measure)
    assert outcomes == {"slow": Ok(4), "quick": Ok(5)}
    assert list(outcomes) == ["slow", "quick"]
    assert outcomes.values_or_raise() == {"slow": 4, "quick": 5}


def test_trouble_on_one_host_is_a_value_and_the_others_finish() -> None:
    trouble = Trouble("disk is full", host="bad")

    def work(name: str) -> str:
        if name == "bad":
            raise trouble
        return "done"

    outcomes = run_on(["good", "bad", "fine"], work)
    assert outcomes.ok == {"good": "done", "fine": "done"}
    assert outcomes.failed == {"bad": trouble}
    assert isinstance(outcomes["bad"], Failed)
    with pytest.raises(Trouble, match="disk is full"):
        outcomes.values_or_raise()


def test_what_nobody_foresaw_is_our_bug_and_keeps_its_traceback() -> None:
    def work(_: str) -> int:
        return int("seven")

    (bug,) = run_on(["gpu-1"], work).failed.values()
    assert isinstance(bug, Bug)
    assert str(bug).startswith("gpu-1: unexpected ValueError: invalid literal")
    assert "fault in scout-ollama" in bug.why
    assert 'return int("seven")' in bug.traceback


def test_no_more_than_the_limit_at_a_time() -> None:
    lock = threading.Lock()
    now = most = 0

    def work(_: str) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1

    assert len(run_on([str(number) for number in range(12)], work, limit=3).ok) == 12
    assert most == 3


def test_no_hosts_is_no_outcome() -> None:
    assert run_on([], len) == {}


class Recorder:
    """A stand-in for the network: remembers which remotes were made."""

    def __init__(self) -> None:
        self.made: dict[str, RecordingRemote] = {}

    def connect(self, _: Site, host: Host) -> Remote:
        assert host.name not in self.made, "connected twice"
        self.made[host.name] = RecordingRemote(host, lambda call: f"{host.name} {call.script}")
        return self.made[host.name]


def test_a_fleet_connects_once_to_each_host_that_is_needed_and_closes_at_the_end() -> None:
    recorder = Recorder()
    with Fleet(site("gpu-1", "gpu-2", "gpu-3"), recorder.connect) as fleet:
        assert recorder.made == {}
        for _ in range(2):
            said = fleet.read(lambda remote: remote.read(HELLO).stdout, ["gpu-2", "gpu-1"]).ok
            assert said == {"gpu-2": "gpu-2 hello", "gpu-1": "gpu-1 hello"}
    assert recorder.made.keys() == {"gpu-1", "gpu-2"}
    assert all(remote.closed for remote in recorder.made.values())


def test_hosts_that_are_expected_are_connected_to_meanwhile() -> None:
    connected = threading.Event()

    class Ahead(RecordingRemote):
        def connect_ahead(self) -> None:
            connected.set()

    with Fleet(site("gpu-1", "gpu-2"), lambda _, host: Ahead(host)) as fleet:
        fleet.expect(["gpu-2"])
        assert connected.wait(10)


def test_ctrl_c_stops_waiting_closes_the_connections_and_begins_nothing_more() -> None:
    recorder = Recorder()
    begun: list[str] = []
    never = threading.Event()

    def work(remote: Reader) -> None:
        begun.append(remote.host.name)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        never.wait(20)

    fleet = Fleet(site("gpu-1", "gpu-2", "gpu-3"), recorder.connect)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fleet.read(work, ["gpu-1", "gpu-2", "gpu-3"], limit=1)
    assert time.monotonic() - began < 5
    assert recorder.made["gpu-1"].closed
    with pytest.raises(Trouble, match="the run was ended"):
        fleet.read(lambda remote: remote, ["gpu-2"]).values_or_raise()
    never.set()
    assert begun == ["gpu-1"]


def test_a_run_that_hangs_on_a_host_still_ends_at_ctrl_c() -> None:
    code = (
        "import threading, time; from scout_ollama.fleet import run_on\n"
        "def hang(name): print('hanging', flush=True); time.sleep(60)\n"
        "run_on(['gpu-1'], hang)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == b"hanging\n"
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == -signal.SIGINT
    assert b"KeyboardInterrupt" in errors


def test_only_the_remote_package_imports_fabric_paramiko_or_invoke() -> None:
    package = Path(__file__).parents[1] / "scout_ollama"
    offenders = {
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        if file.parent != package / "remote" and _imports(file) & {"fabric", "paramiko", "invoke"}
    }
    assert offenders == set()


def _imports(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names
