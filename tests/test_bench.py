"""The bench: rounds, medians and ratios, verdicts, and what is printed and kept of them."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bench import __main__, tables, targets
from bench.comparing import cpu, median, ratio
from bench.contenders import ANSIBLE, OPENSSH, OURS, PYINFRA
from bench.metering import meter
from bench.results import Environment, Measurement, Results, Sample, Verdict
from bench.rounds import interleaved, rotated
from scout_ollama.errors import Trouble
from scout_ollama.steps import registries

ROOT = Path(__file__).parent.parent
JOB = ROOT / "bench/job"
HERE = Environment(
    date="2026-11-27 09:00 UTC",
    processor="a processor",
    cores=2,
    kernel="6.1",
    python="3.11.7",
    load=0.1,
    versions={OURS: "abc1234", ANSIBLE: "2.19.14"},
)


def samples(*seconds: float, mebibytes: float = 40) -> list[Sample]:
    bytes_ = round(mebibytes * 2**20)
    return [Sample(wall_seconds=s, cpu_seconds=s / 2, largest_bytes=bytes_, all_bytes=bytes_) for s in seconds]


def measured(
    contender: str, *seconds: float, job: str = "hosts", case: str = "no-op", hosts: int = 3, mebibytes: float = 40
) -> Measurement:
    rounds = samples(*seconds, mebibytes=mebibytes)
    return Measurement(job=job, case=case, hosts=hosts, contender=contender, rounds=rounds)


def verdict(target: str, *measurements: Measurement) -> Verdict:
    """The one verdict whose target says so."""
    (found,) = [one for one in targets.verdicts(measurements) if target in one.target]
    return found


# -- rounds


def test_in_each_round_another_one_begins_and_everybody_has_a_turn() -> None:
    rounds = [rotated(["a", "b", "c"], number) for number in range(4)]
    assert rounds == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"]]


def test_turns_are_taken_in_that_order_and_kept_by_contender() -> None:
    taken: list[str] = []

    def turn(name: str) -> Sample:
        taken.append(name)
        return Sample(wall_seconds=len(taken))

    found = interleaved({"a": lambda: turn("a"), "b": lambda: turn("b")}, 3)
    assert taken == ["a", "b", "b", "a", "a", "b"]
    assert {name: [one.wall_seconds for one in rounds] for name, rounds in found.items()} == {
        "a": [1, 4, 5],
        "b": [2, 3, 6],
    }


# -- numbers


def test_one_slow_round_does_not_move_the_median() -> None:
    assert median(samples(1.0, 1.2, 60.0)) == 1.2
    assert median(samples(1.0, 1.2, 60.0), cpu) == 0.6


def test_a_ratio_is_that_within_each_round() -> None:
    """The machine was ten times as slow in the second round, for both; the ratio of the medians would be 1.5."""
    assert ratio(samples(2, 30, 3), samples(1, 10, 2)) == 2


def test_a_ratio_needs_the_same_rounds() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratio(samples(1, 2), samples(1))


# -- targets


@pytest.mark.parametrize(("theirs", "met"), [(15.0, True), (14.9, False)])
def test_ansible_at_three_hosts_is_to_take_fifteen_times_as_long(theirs: float, met: bool) -> None:
    found = verdict("faster than ansible", measured(OURS, 1, 1, 1), measured(ANSIBLE, theirs, theirs, theirs))
    assert (found.value, found.met) == (theirs, met)


@pytest.mark.parametrize(
    ("hosts", "seconds", "met"), [(3, 2.0, True), (3, 2.1, False), (40, 1.2, True), (40, 1.3, False)]
)
def test_openssh_is_the_limit(hosts: int, seconds: float, met: bool) -> None:
    found = verdict(OPENSSH, measured(OURS, seconds, hosts=hosts), measured(OPENSSH, 1, hosts=hosts))
    assert found.met is met


def test_what_was_not_measured_has_no_verdict() -> None:
    assert targets.verdicts([measured(ANSIBLE, 9)]) == []
    assert [one.target for one in targets.verdicts([measured(OURS, 1, hosts=10)])] == [
        "hosts, no-op, 10 hosts: scout-ollama, memory: at most 64 MiB"
    ]


def test_only_a_no_op_is_held_against_others() -> None:
    assert targets.verdicts([measured(OURS, 9, case="first"), measured(PYINFRA, 1, case="first")]) == []


def test_memory_is_that_of_all_processes() -> None:
    assert verdict("memory", measured(OURS, 1, mebibytes=64)).met
    assert not verdict("memory", measured(OURS, 1, mebibytes=65)).met


def test_copying_to_many_is_held_against_copying_to_one() -> None:
    one, three = (measured(OURS, s, job="copying", case="first", hosts=n) for s, n in ((4, 1), (5, 3)))
    assert verdict("to 3 nodes", one, three).met
    slow = measured(OURS, 6.5, job="copying", case="first", hosts=20)
    found = verdict("to 20 nodes", one, three, slow)
    assert (found.value, found.met) == (1.625, False)


def test_the_list_is_judged_by_its_cpu_time_and_the_status_by_the_clock() -> None:
    listed = measured("inv --list", 0.4, job="start-up", case="", hosts=0)
    status = measured("inv status", 2.1, job="start-up", case="all hosts up")
    assert verdict("inv --list: ", listed, status).met
    assert not verdict("all hosts up", listed, status).met


@pytest.mark.parametrize(("seconds", "met"), [(11.9, True), (12.1, False), (20.5, False)])
def test_a_host_that_is_down_may_cost_a_status_one_timeout_and_not_two(seconds: float, met: bool) -> None:
    assert verdict("one host down", measured("inv status", seconds, job="start-up", case="one host down")).met is met


# -- what is told and kept


def results(*measurements: Measurement) -> Results:
    found = targets.verdicts(measurements)
    return Results(environment=HERE, measurements=list(measurements), verdicts=found)


def test_a_person_reads_who_took_how_long_and_which_targets_are_not_met() -> None:
    text = "\n".join(tables.lines(results(measured(OURS, 1, 1.5, 2), measured(ANSIBLE, 9, 9, 16))))
    assert "hosts, no-op, 3 hosts, 3 rounds" in text
    assert "ansible-core                 9.00     4.50     8.00     8.00           40       40" in text
    assert (
        "NOT met      8.00 x      hosts, no-op, 3 hosts: scout-ollama faster than ansible-core: at least 15 x" in text
    )
    assert "met         40.00 MiB" in text
    assert "Hosts share its cores" in text


def test_a_busy_machine_is_told() -> None:
    busy = Results(environment=HERE.model_copy(update={"load": 3.0}), measurements=[], verdicts=[])
    assert "load 3.00 at the start: the machine was busy" in tables.lines(busy)


def test_what_is_kept_is_what_was_measured(tmp_path: Path) -> None:
    kept = results(measured(OURS, 1, 2, 3), measured(ANSIBLE, 20, 20, 20))
    kept.save(tmp_path / "results.json")
    assert Results.model_validate_json((tmp_path / "results.json").read_text()) == kept
    assert json.loads((tmp_path / "results.json").read_text())["measurements"][1]["rounds"][0]["wall_seconds"] == 20


def test_what_was_measured_before_something_failed_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks(_: argparse.Namespace) -> Iterator[Measurement]:
        yield measured(OURS, 1)
        raise Trouble("pyinfra ended with 1", why="it said so")

    monkeypatch.setattr(__main__, "PARTS", {"deploy": breaks, "startup": lambda _: iter([measured("inv --list", 0.2)])})
    monkeypatch.setattr("bench.environment.here", lambda: HERE)
    monkeypatch.setattr("sys.argv", ["bench", "--output", str(tmp_path / "results.json")])
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    assert ended.value.code == "pyinfra ended with 1\n  why: it said so"
    kept = Results.model_validate_json((tmp_path / "results.json").read_text())
    assert [one.contender for one in kept.measurements] == [OURS, "inv --list"]
    assert "inv --list" in capsys.readouterr().out


# -- metering


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_what_a_command_starts_and_leaves_behind_is_metered_and_ended(tmp_path: Path) -> None:
    """The one that stays is not waited for, has 60 MB, and has burnt half a second of CPU."""
    stays = "import os, pathlib, sys, time\nheld = bytearray(60_000_000)\n" + (
        "while time.process_time() < 0.5: pass\npathlib.Path(sys.argv[1]).write_text(str(os.getpid()))\ntime.sleep(600)"
    )
    script = 'setsid --fork "$1" -c "$2" "$3"; until [ -s "$3" ]; do sleep 0.05; done; echo said; exit 3'
    done = meter(["sh", "-c", script, "sh", sys.executable, stays, str(tmp_path / "pid")])
    assert (done.status, done.said) == (3, "said\n")
    assert done.sample.cpu_seconds >= 0.5
    assert done.sample.all_bytes > done.sample.largest_bytes > 60_000_000
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
@pytest.mark.parametrize(
    ("code", "times"),
    [
        ("for _ in range(60): subprocess.run(['true'])", 1),
        ("if not os.fork(): held[::4096] = held[::4096]; time.sleep(0.3); os._exit(0)\nos.wait()", 2),
    ],
    ids=["about to become another program", "a copy of itself"],
)
def test_memory_that_a_child_borrows_is_counted_once(code: str, times: int) -> None:
    held = "import os, subprocess, time\nheld = bytearray(60_000_000)\n"
    sample = meter([sys.executable, "-c", held + code]).sample
    assert round(sample.all_bytes / sample.largest_bytes) == times


# -- everybody does the same job


@pytest.mark.parametrize("file", ["playbook.yaml", "pyinfra_deploy.py", "threading_group.py", "openssh-host.sh"])
@pytest.mark.parametrize(
    "check",
    [
        "k3s --version",
        "systemctl is-active k3s",
        "k3s crictl images -o json",
        "nvidia-smi -L",
        "/var/lib/ollama/blobs",
        "df -P -B1 /var/lib/rancher",
    ],
)
def test_everybody_makes_each_check(file: str, check: str) -> None:
    assert check in (JOB / file).read_text()


@pytest.mark.parametrize("file", ["playbook.yaml", "pyinfra_deploy.py", "threading_group.py", "openssh.sh"])
def test_everybody_keeps_the_same_files(file: str) -> None:
    text = (JOB / file).read_text()
    for path in (registries.REGISTRIES, registries.AUTHORITY):
        assert Path(path).name in text
    assert str(Path(registries.REGISTRIES).parent) in text


def test_the_playbook_changes_nothing_but_the_files() -> None:
    tasks = [task for play in yaml.safe_load((JOB / "playbook.yaml").read_text()) for task in play["tasks"]]
    says_changed = [task["name"] for task in tasks if task.get("changed_when") is not False and "register" not in task]
    assert says_changed == ["Authority of the registry", "Mirrors"]
