"""A cluster's lock and audit, with the real script, flock and disks: this machine is the cluster's first server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scout_ollama import audit, lock, state
from scout_ollama.audit import LINE_BYTES, Record
from scout_ollama.errors import Trouble
from scout_ollama.inventory import Host
from scout_ollama.lock import Hold, Locked, Place
from scout_ollama.remote import LocalRemote, Script

HOST = Host(name="phi-gpu-1", cluster="phi", address="127.0.0.1", roles=frozenset({"server"}))
CHECKOUT = Path(__file__).parent.parent


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the server keeps its state, for this test."""
    for module in (lock, state):
        monkeypatch.setattr(module, "STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def remote(directory: Path) -> LocalRemote:  # noqa: ARG001 - the state is the test's own
    return LocalRemote(HOST)


@pytest.fixture
def told() -> list[str]:
    return []


Take = Callable[..., Hold]


@pytest.fixture
def take(remote: LocalRemote, told: list[str]) -> Iterator[Take]:
    """Take the lock; what is still held at the end of the test is given back."""
    holds: list[Hold] = []

    def take_it(command: str = "inv deploy-ollama --hosts phi", **how: object) -> Hold:
        record = audit.begin(command, "phi", ["phi-gpu-1"], "tests")
        holds.append(lock.take(remote, record, told.append, **how))  # type: ignore[arg-type]  # take's own
        return holds[-1]

    yield take_it
    for hold in holds:
        hold._over.set()
        hold._talk.close()


def audited(directory: Path) -> list[Record]:
    file = directory / "audit.jsonl"
    return audit.records(file.read_text().splitlines()) if file.exists() else []


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not come to that"
        threading.Event().wait(0.02)


# -- a run like any other


def test_while_a_run_holds_the_lock_it_says_who_since_when_and_why(take: Take, remote: LocalRemote) -> None:
    hold = take()
    holding = state.read(remote).holding
    assert holding
    assert holding.alive
    assert holding.record == hold.record
    assert "deploy-ollama --hosts phi (tests), since " in holding.record.told()


def test_a_run_that_ends_leaves_one_line_and_no_lock(take: Take, remote: LocalRemote, directory: Path) -> None:
    hold = take()
    hold.update(result="done", changes=3, made=3, seconds=1.5, undo="inv remove-ollama --hosts phi")
    hold.end()
    assert state.read(remote).holding is None
    (record,) = audited(directory)
    assert (record.result, record.made, record.undo) == ("done", 3, "inv remove-ollama --hosts phi")
    assert record == hold.record


def test_a_run_with_more_to_say_than_its_line_holds_ends_like_any_other(take: Take, directory: Path) -> None:
    hold = take()
    hosts = tuple(f"host-{number}" for number in range(300))
    hold.update(result="failed", hosts=hosts, troubles=tuple(f"{host}: cannot pull the image" for host in hosts))
    hold.end()
    (record,) = audited(directory)
    assert record.result == "failed"
    assert record.hosts == hosts[: len(record.hosts)]
    assert 0 < len(record.hosts) < len(hosts)


def test_the_audit_is_for_root_alone_and_its_lines_are_json(take: Take, directory: Path) -> None:
    take().end()
    file = directory / "audit.jsonl"
    assert (directory.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)
    (line,) = file.read_text().splitlines()
    assert json.loads(line)["cluster"] == "phi"
    assert not line.endswith(" ")


def test_a_second_run_is_told_who_is_there_and_leaves_no_trace(take: Take, directory: Path) -> None:
    first = take()
    with pytest.raises(Locked) as caught:
        take("inv remove-ollama --hosts phi")
    assert caught.value.what == "phi is locked: nothing was begun"
    assert "deploy-ollama" in caught.value.why
    assert "inv show-lock --hosts phi" in caught.value.next
    assert "--lock-wait" in caught.value.next
    first.end()
    assert [record.command for record in audited(directory)] == ["inv deploy-ollama --hosts phi"]


def test_who_waits_gets_the_lock_when_it_is_free(take: Take, told: list[str]) -> None:
    first = take()
    with ThreadPoolExecutor() as pool:
        second = pool.submit(take, wait_seconds=30)
        until(lambda: bool(told))
        assert told[0].startswith("waiting up to 30 s for ")
        assert not second.done()
        first.end()
        second.result(timeout=20).check()


def test_of_two_that_begin_at_once_exactly_one_goes_on(take: Take) -> None:
    barrier = threading.Barrier(8)

    def run() -> Hold | Locked:
        barrier.wait(10)
        try:
            return take()
        except Locked as locked:
            return locked

    with ThreadPoolExecutor(8) as pool:
        results = [future.result(30) for future in [pool.submit(run) for _ in range(8)]]
    assert sum(isinstance(result, Hold) for result in results) == 1


def test_beside_the_lock_nobody_waits_and_all_are_audited(take: Take, directory: Path) -> None:
    holds = [take(), take("inv exec", place=Place.BESIDE), take("inv exec", place=Place.BESIDE)]
    for hold in holds:
        hold.end()
    assert len(audited(directory)) == 3
    assert sorted(path.name for path in directory.iterdir()) == ["audit.jsonl", "lock"]


# -- a run that is cut off


def holder(directory: Path) -> int:
    """The process that holds the lock on the server."""
    return int((directory / "lock").read_text().splitlines()[1])


def test_a_runner_that_is_killed_is_audited_as_cut_off_with_what_it_was_doing(directory: Path) -> None:
    code = (
        "import sys; from tests import test_lock as t; from scout_ollama import audit, lock\n"
        f"lock.STATE = {str(directory)!r}\n"
        "hold = lock.take(t.LocalRemote(t.HOST), audit.begin('inv x', 'phi', []), print)\n"
        "hold.update(making='phi-gpu-2: restart k3s', changes=3, made=1); print('held', flush=True); sys.stdin.read()\n"
    )
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(argv, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        process.send_signal(signal.SIGKILL)
    until(lambda: bool(audited(directory)))
    (record,) = audited(directory)
    assert (record.result, record.making, record.made, record.seconds) == ("cut off", "phi-gpu-2: restart k3s", 1, None)


def test_a_runner_that_gives_no_sign_of_life_loses_the_lock(
    take: Take, remote: LocalRemote, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "PATIENCE_SECONDS", 1)
    monkeypatch.setattr(lock, "PULSE_SECONDS", 60)
    hold = take()
    until(lambda: state.read(remote).holding is None)
    assert [record.result for record in audited(directory)] == ["cut off"]
    with pytest.raises(Trouble, match="its lock was lost, so nothing more is changed"):
        hold.check()


def test_signs_of_life_keep_the_lock(take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PATIENCE_SECONDS", 1)
    monkeypatch.setattr(lock, "PULSE_SECONDS", 0.1)
    hold = take()
    began = time.monotonic()
    until(lambda: time.monotonic() - began > 2.5)
    hold.check()


def kill_holder(directory: Path) -> None:
    """What a reboot does to it: no word, and no line in the audit."""
    pid = holder(directory)
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for process in [str(pid), *children]:
        os.kill(int(process), signal.SIGKILL)


def test_what_a_reboot_left_behind_is_no_lock_and_goes_into_the_audit_with_the_next_run(
    take: Take, remote: LocalRemote, directory: Path, told: list[str]
) -> None:
    take("inv deploy-ollama --hosts old").update(making="phi-gpu-3: pull x")
    kill_holder(directory)
    holding = state.read(remote).holding
    assert holding
    assert not holding.alive
    take("inv deploy-ollama --hosts new").end()
    assert told[0].startswith("a run was cut off before it could end: ")
    assert [(record.command[-3:], record.result) for record in audited(directory)] == [
        ("old", "cut off"),
        ("new", "cut off"),
    ]


def test_a_run_that_lost_its_lock_can_still_say_how_it_ended(take: Take, directory: Path) -> None:
    hold = take()
    kill_holder(directory)
    hold.update(result="failed")
    hold.end()
    (record,) = audited(directory)
    assert (record.run, record.result) == (hold.record.run, "failed")


def test_a_lock_that_is_released_by_somebody_is_lost_at_once(take: Take, remote: LocalRemote, directory: Path) -> None:
    hold = take()
    remote.run(Script.load("release-lock"), str(directory), hold.record.run)
    assert state.read(remote).holding is None
    assert [record.result for record in audited(directory)] == ["cut off"]
    with pytest.raises(Trouble, match="its lock was lost") as caught:
        hold.check()
    assert "somebody released the lock" in caught.value.why
    take().check()


def test_only_the_run_that_was_meant_loses_its_lock(take: Take, remote: LocalRemote, directory: Path) -> None:
    hold = take()
    with pytest.raises(Trouble, match="release-lock failed") as caught:
        remote.run(Script.load("release-lock"), str(directory), "00000000")
    assert "not of run 00000000 any more" in caught.value.why
    hold.check()


# -- disks


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A disk of 256 KiB with the server's state on it."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system to fill")
    mount = tmp_path / "disk"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", mount], check=True)
    for module in (lock, state):
        monkeypatch.setattr(module, "STATE", str(mount / "state"))
    yield mount / "state"
    subprocess.run(["umount", "--lazy", mount], check=True)


def fill(disk: Path) -> Path:
    file = disk.parent / "filler"
    subprocess.run(["dd", "if=/dev/zero", f"of={file}", "bs=1k"], check=False, stderr=subprocess.DEVNULL)
    return file


def test_on_a_full_disk_nothing_begins(take: Take, disk: Path) -> None:
    take().end()
    fill(disk)
    with pytest.raises(Trouble, match="nothing was begun, as it could not be audited") as caught:
        take("inv second")
    assert "cannot be written" in caught.value.why
    (disk.parent / "filler").unlink()
    take("inv third").end()
    assert [record.command for record in audited(disk)] == ["inv deploy-ollama --hosts phi", "inv third"]


def test_a_disk_that_fills_up_during_the_run_costs_no_line(take: Take, disk: Path) -> None:
    first = take()
    filler = fill(disk)
    size = (disk / "audit.jsonl").stat().st_size if (disk / "audit.jsonl").exists() else 0
    first.update(result="done", made=2)
    with pytest.raises(Trouble, match="could not be written into the audit: done"):
        first.end()
    assert (disk / "audit.jsonl").stat().st_size == size, "no half line"
    filler.unlink()
    take("inv second").end()
    assert [(record.result, record.made) for record in audited(disk)] == [("done", 2), ("cut off", 0)]


# -- lines


@pytest.mark.parametrize("length", [10, 5000, 100_000])
def test_a_record_is_one_line_of_one_length_however_much_it_has_to_say(length: int) -> None:
    words = "ä" * length
    record = audit.begin(words, "phi", [words] * 50, words)
    line = record.model_copy(update={"troubles": (words,) * 500, "undo": words}).line()
    assert len(line.encode()) == LINE_BYTES
    assert "\n" not in line
    assert audit.parse(line)


def test_lines_that_are_no_records_are_passed_over() -> None:
    good = audit.begin("inv x", "phi", []).line()
    assert len(audit.records(["", "{", '{"run": 7}', good, "null"])) == 1


def test_where_a_run_has_two_lines_the_later_counts() -> None:
    cut_off = audit.begin("inv x", "phi", [])
    told = cut_off.model_copy(update={"result": "failed"})
    assert audit.records([cut_off.line(), told.line()]) == [told]


def test_the_revision_of_the_checkout_is_on_record() -> None:
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    assert audit.begin("inv x", "phi", []).revision == head.strip()


def test_outside_of_a_checkout_there_is_no_revision(tmp_path: Path) -> None:
    assert audit._git_state(tmp_path) == (None, False)


# -- revisions


def test_the_last_ten_revisions_are_kept_and_read_back_as_they_were(remote: LocalRemote) -> None:
    objects = [[{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"n{n}"}}] for n in range(12)]
    kept = [state.keep(remote, some) for some in objects]
    assert [revision.number for revision in kept] == list(range(1, 13))
    assert [revision.before for revision in kept] == [None, *range(1, 12)]
    assert state.read(remote).revisions == list(range(3, 13))
    assert state.earlier(remote, None) == (11, objects[10])
    assert state.earlier(remote, 3) == (3, objects[2])
    assert state.latest(remote) == objects[11]


@pytest.mark.parametrize(("to", "what"), [(7, "revision 7 is not kept"), (None, "there is no earlier revision")])
def test_a_revision_that_is_not_there_is_told_with_those_that_are(
    remote: LocalRemote, to: int | None, what: str
) -> None:
    state.keep(remote, [])
    with pytest.raises(Trouble, match=what) as caught:
        state.earlier(remote, to)
    assert caught.value.why == "kept are 1"


def test_a_revision_that_was_cut_off_on_its_way_is_not_kept(remote: LocalRemote, directory: Path) -> None:
    with pytest.raises(Trouble, match="keep-revision failed"):
        remote.run(Script.load("keep-revision"), str(directory), "10", stdin=b"---\nkind: Namespace\n")
    assert state.read(remote).revisions == []
    assert list((directory / "revisions").iterdir()) == []
