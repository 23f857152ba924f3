"""The gate: what is made, on which hosts, and who is left alone when something goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from scout_ollama import run
from scout_ollama.changes import Change, Plan, Stage
from scout_ollama.errors import Trouble
from scout_ollama.fleet import Fleet
from scout_ollama.inventory import load_site
from scout_ollama.remote import RecordingRemote, Remote, Script
from scout_ollama.run import Consent, agreed, make

ROOT = Path(__file__).parent.parent
GPU_HOSTS = ["phi-gpu-1", "phi-gpu-2", "phi-gpu-3"]


@dataclass(frozen=True)
class Noted:
    """A change that only notes, in order, that it was made and through which host."""

    title: str
    host: str | None
    log: list[str] = field(compare=False)
    fails: bool = False

    def difference(self) -> list[str]:
        return [self.title]

    def make(self, remote: Remote) -> None:
        remote.run(Script("note", ":"))
        self.log.append(f"{self.title} on {remote.host.name}")
        if self.fails:
            raise Trouble("it broke", host=remote.host.name)


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def made() -> Callable[..., run.Made]:
    def _make(*stages: Stage, troubled: dict[str, Trouble] | None = None) -> run.Made:
        with Fleet(load_site(ROOT / "hosts"), connect=lambda _, host: RecordingRemote(host)) as fleet:
            return make(Plan(stages), fleet, GPU_HOSTS, troubled or {}, lambda _host, _line: None)

    return _make


def stage(*changes: Change, one_at_a_time: bool = False, waits_for: tuple[str, ...] = ()) -> Stage:
    return Stage("stage", changes, one_at_a_time, waits_for)


def test_a_hosts_changes_are_made_in_order_and_a_cluster_change_once(
    made: Callable[..., run.Made], log: list[str]
) -> None:
    result = made(
        stage(Noted("a", "phi-gpu-2", log), Noted("b", "phi-gpu-2", log)),
        stage(Noted("objects", None, log)),
    )
    assert not result.all
    assert log == ["a on phi-gpu-2", "b on phi-gpu-2", "objects on phi-gpu-1"]


def test_a_hosts_trouble_stops_that_host_and_no_other(made: Callable[..., run.Made], log: list[str]) -> None:
    result = made(
        stage(Noted("a", "phi-gpu-1", log, fails=True), Noted("b", "phi-gpu-1", log), Noted("a", "phi-gpu-2", log)),
        stage(Noted("c", "phi-gpu-1", log), Noted("c", "phi-gpu-2", log)),
        stage(Noted("objects", None, log)),
    )
    assert set(result.troubles) == {"phi-gpu-1"}
    assert sorted(log) == ["a on phi-gpu-1", "a on phi-gpu-2", "c on phi-gpu-2", "objects on phi-gpu-2"]


def test_a_host_with_trouble_from_before_is_left_alone(made: Callable[..., run.Made], log: list[str]) -> None:
    made(stage(Noted("a", "phi-gpu-1", log), Noted("a", "phi-gpu-2", log)), troubled={"phi-gpu-1": Trouble("down")})
    assert log == ["a on phi-gpu-2"]


def test_one_at_a_time_stops_at_the_first_that_does_not_come_back(
    made: Callable[..., run.Made], log: list[str]
) -> None:
    restarts = (Noted("restart", "phi-gpu-1", log, fails=True), Noted("restart", "phi-gpu-2", log))
    result = made(stage(*restarts, one_at_a_time=True))
    assert log == ["restart on phi-gpu-1"]
    assert "was not tried" in result.troubles["phi-gpu-2"].what
    assert "phi-gpu-1 did not come back" in result.troubles["phi-gpu-2"].why


def test_what_replaces_running_pods_is_held_back_while_a_host_is_not_ready(
    made: Callable[..., run.Made], log: list[str]
) -> None:
    pods = stage(Noted("change DaemonSet", None, log), waits_for=("phi-gpu-1", "phi-gpu-2", "phi-gpu-3"))
    result = made(pods, troubled={"phi-gpu-3": Trouble("down")})
    assert log == []
    (held,) = result.cluster
    assert held.what == "held back: change DaemonSet"
    assert "phi-gpu-3" in held.why


def test_without_a_server_left_the_cluster_is_not_changed(made: Callable[..., run.Made], log: list[str]) -> None:
    result = made(stage(Noted("objects", None, log)), troubled={name: Trouble("down") for name in GPU_HOSTS})
    assert log == []
    assert "not done: objects" in result.cluster[0].what


def test_a_plan_is_not_made_without_a_terminal_to_ask_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: PTH123, SIM115 - closed with the process
    with pytest.raises(Trouble, match="nothing was changed") as caught:
        agreed("phi", Consent.ASK)
    assert "--yes" in caught.value.next


def test_yes_agrees_and_plan_only_never_does() -> None:
    assert agreed("phi", Consent.YES)
    assert not agreed("phi", Consent.PLAN_ONLY)
