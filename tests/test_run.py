"""A plan is made: in which order, where, who is left alone when something goes wrong, what is on record."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from scout_ollama import audit, consent, lock, run
from scout_ollama.changes import Change, Expected, Plan, Stage
from scout_ollama.errors import HostTroubles, Trouble
from scout_ollama.fleet import Fleet
from scout_ollama.inventory import Host, Site, load_site
from scout_ollama.job import Job
from scout_ollama.lock import Hold, Place
from scout_ollama.making import Making
from scout_ollama.manifests import KubeObject
from scout_ollama.proposal import Consent, Outcome, Proposal, Request
from scout_ollama.remote import RecordingRemote, Remote, RemoteError, Script
from scout_ollama.remote.recording import RecordedConversation
from scout_ollama.report import Reporter

ROOT = Path(__file__).parent.parent
SITE = load_site(ROOT / "hosts")
PHI = SITE.clusters["phi"]
NONPHI = SITE.clusters["nonphi"]


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


class Talk(RecordedConversation):
    """The conversation with whoever holds the lock; it can be lost after so many messages."""

    def __init__(self, lasts: int | None = None) -> None:
        super().__init__(PHI.hosts["phi-gpu-1"], Script("hold-lock", ""), "")
        self.lasts = lasts

    def say(self, text: str) -> None:
        if self.lasts is not None and len(self.said) >= self.lasts:
            raise RemoteError("hold-lock ended before it should")
        super().say(text)

    @property
    def records(self) -> list[audit.Record]:
        return [record for line in self.said if (record := audit.parse(line))]


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def talk() -> Talk:
    return Talk()


Make = Callable[..., Outcome]


@pytest.fixture
def made(talk: Talk, log: list[str]) -> Iterator[Make]:
    """Make a plan on recorded hosts; a revision that is kept has number 7, after number 6."""

    def answer(call: object) -> str:
        if getattr(call, "script", "") == "keep-revision":
            log.append("kept")
            return "7 6\n"
        return ""

    def _make(*stages: Stage, troubled: dict[str, Trouble] | None = None, **more: object) -> Outcome:
        outcome = Outcome(PHI, Request("inv deploy-ollama --hosts phi", Consent.YES))
        proposal = Proposal(Plan(stages), troubled or {}, **more)  # type: ignore[arg-type]  # a proposal's own
        outcome.take(proposal)
        with Fleet(SITE, connect=lambda _, host: RecordingRemote(host, answer)) as fleet:
            job = Job(SITE, PHI, fleet, lambda _host, _line: None)
            hold = Hold(fleet.apart("phi-gpu-1"), talk, audit.begin("inv deploy-ollama", "phi", []))
            Making(job, hold, Reporter(()), outcome).make(proposal)
        return outcome

    yield _make
    talk.lasts = 0  # ends the signs of life


def stage(*changes: Change, one_at_a_time: bool = False, waits_for: tuple[str, ...] = ()) -> Stage:
    return Stage("stage", changes, one_at_a_time, waits_for)


# -- order


def test_a_hosts_changes_are_made_in_order_and_a_cluster_change_once(made: Make, log: list[str]) -> None:
    outcome = made(
        stage(Noted("a", "phi-gpu-2", log), Noted("b", "phi-gpu-2", log)),
        stage(Noted("objects", None, log)),
    )
    assert not outcome.all_troubles
    assert log == ["a on phi-gpu-2", "b on phi-gpu-2", "objects on phi-gpu-1"]
    assert outcome.made == [("phi-gpu-2", "a"), ("phi-gpu-2", "b"), ("phi", "objects")]


def test_what_shall_stand_is_kept_once_before_the_cluster_is_changed(made: Make, log: list[str]) -> None:
    objects: list[KubeObject] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ollama"}}]
    changes = stage(Noted("a", None, log), Noted("b", None, log))
    outcome = made(stage(Noted("file", "phi-gpu-1", log)), changes, objects=objects)
    assert log == ["file on phi-gpu-1", "kept", "a on phi-gpu-1", "b on phi-gpu-1"]
    assert outcome.undo == "inv rollback-ollama --hosts phi --to 6"


def test_nothing_is_kept_of_a_run_that_leaves_the_cluster_as_it_was(made: Make, log: list[str]) -> None:
    outcome = made(stage(Noted("file", "phi-gpu-1", log)), objects=[])
    assert log == ["file on phi-gpu-1"]
    assert outcome.undo == ""


def test_what_is_known_only_then_is_settled_when_its_turn_comes(made: Make, log: list[str]) -> None:
    def settle() -> list[Stage]:
        log.append("settled")
        return [stage(Noted("b", "phi-gpu-2", log)), Stage("more", (), settle=lambda: [stage(Noted("c", None, log))])]

    expected = Expected("phi-gpu-2", "something", ("+ of some size",))
    outcome = made(stage(Noted("a", "phi-gpu-2", log)), Stage("later", (expected,), settle=settle))
    assert log == ["a on phi-gpu-2", "settled", "b on phi-gpu-2", "c on phi-gpu-1"]
    assert [title for _, title in outcome.made] == ["a", "b", "c"]
    assert list(outcome.plan)[1].difference() == ["+ of some size"]


def test_what_objects_stand_on_is_made_before_they_are_kept(made: Make, log: list[str]) -> None:
    objects: list[KubeObject] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ollama"}}]
    below = Stage("operator", (Noted("operator", None, log),), is_kept=False)
    made(below, stage(Noted("objects", None, log)), objects=objects)
    assert log == ["operator on phi-gpu-1", "kept", "objects on phi-gpu-1"]


# -- trouble


def test_a_change_of_the_cluster_that_fails_ends_the_plan(made: Make, log: list[str]) -> None:
    outcome = made(stage(Noted("operator", None, log, fails=True)), stage(Noted("objects", None, log)))
    assert "objects on phi-gpu-1" not in log
    assert outcome.is_held_back
    assert outcome.made == []


def test_what_is_some_hosts_trouble_keeps_the_others_from_nothing(made: Make, log: list[str]) -> None:
    """Of what was done for all of them; the trouble that a host had before is the one that is told."""

    class ForAll(Noted):
        def make(self, remote: Remote) -> None:
            super().make(remote)
            raise HostTroubles({"phi-gpu-2": Trouble("late", host="phi-gpu-2"), "phi-gpu-3": Trouble("no GPUs")})

    before = {"phi-gpu-2": Trouble("early", host="phi-gpu-2")}
    outcome = made(
        stage(ForAll("gpus", None, log)),
        stage(Noted("file", "phi-gpu-1", log), Noted("file", "phi-gpu-3", log)),
        stage(Noted("objects", None, log)),
        troubled=before,
    )
    assert log == ["gpus on phi-gpu-1", "file on phi-gpu-1", "objects on phi-gpu-1"]
    assert {host: trouble.what for host, trouble in outcome.host_troubles.items()} == {
        "phi-gpu-2": "early",
        "phi-gpu-3": "no GPUs",
    }
    assert not outcome.is_held_back
    assert before is outcome.host_troubles, "a change can look there for who has trouble by then"


def test_a_hosts_trouble_stops_that_host_and_no_other(made: Make, log: list[str]) -> None:
    outcome = made(
        stage(Noted("a", "phi-gpu-1", log, fails=True), Noted("b", "phi-gpu-1", log), Noted("a", "phi-gpu-2", log)),
        stage(Noted("c", "phi-gpu-1", log), Noted("c", "phi-gpu-2", log)),
        stage(Noted("objects", None, log)),
    )
    assert set(outcome.host_troubles) == {"phi-gpu-1"}
    assert sorted(log) == ["a on phi-gpu-1", "a on phi-gpu-2", "c on phi-gpu-2", "objects on phi-gpu-2"]


def test_a_host_with_trouble_from_before_is_left_alone(made: Make, log: list[str]) -> None:
    made(stage(Noted("a", "phi-gpu-1", log), Noted("a", "phi-gpu-2", log)), troubled={"phi-gpu-1": Trouble("down")})
    assert log == ["a on phi-gpu-2"]


def test_one_at_a_time_stops_at_the_first_that_does_not_come_back(made: Make, log: list[str]) -> None:
    restarts = (Noted("restart", "phi-gpu-1", log, fails=True), Noted("restart", "phi-gpu-2", log))
    outcome = made(stage(*restarts, one_at_a_time=True))
    assert log == ["restart on phi-gpu-1"]
    assert "was not tried" in outcome.host_troubles["phi-gpu-2"].what
    assert "phi-gpu-1 did not come back" in outcome.host_troubles["phi-gpu-2"].why


def test_one_at_a_time_holds_for_changes_of_the_cluster_too(made: Make, log: list[str]) -> None:
    pods = (Noted("restart gpu-1", None, log, fails=True), Noted("restart gpu-2", None, log))
    outcome = made(stage(*pods, one_at_a_time=True))
    assert log == ["restart gpu-1 on phi-gpu-1"]
    assert outcome.made == []


def test_what_replaces_running_pods_is_held_back_while_a_host_is_not_ready(made: Make, log: list[str]) -> None:
    pods = stage(Noted("change DaemonSet", None, log), waits_for=("phi-gpu-1", "phi-gpu-2", "phi-gpu-3"))
    outcome = made(pods, troubled={"phi-gpu-3": Trouble("down")})
    assert log == []
    (held,) = outcome.troubles
    assert held.what == "held back: change DaemonSet"
    assert "phi-gpu-3" in held.why
    assert outcome.is_held_back


def test_without_a_server_left_the_cluster_is_not_changed(made: Make, log: list[str]) -> None:
    outcome = made(stage(Noted("objects", None, log)), troubled={name: Trouble("down") for name in PHI.hosts})
    assert log == []
    assert "not done: objects" in outcome.troubles[0].what


# -- the record


def test_what_is_being_made_is_on_record_before_and_counted_after(made: Make, log: list[str], talk: Talk) -> None:
    made(stage(Noted("a", "phi-gpu-2", log)), stage(Noted("objects", None, log)))
    told = [(record.making, record.made) for record in talk.records]
    assert told == [
        ("phi-gpu-2: a", 0),
        ("phi-gpu-2: a", 1),
        ("phi-gpu-1: objects", 1),
        ("phi-gpu-1: objects", 2),
    ]


def test_without_the_lock_nothing_more_is_changed(made: Make, log: list[str], talk: Talk) -> None:
    talk.lasts = 3  # one look whether it is still held, and two records of the first change
    outcome = made(stage(Noted("a", "phi-gpu-2", log)), stage(Noted("objects", None, log)))
    assert log == ["a on phi-gpu-2"]
    (lost,) = outcome.troubles
    assert lost.what == "phi: its lock was lost, so nothing more is changed"
    assert "inv show-lock --hosts phi" in lost.next


# -- consent


def answered(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin.readline", lambda: text)


@pytest.mark.parametrize(
    ("cluster", "destructive", "answer", "given"),
    [
        ("nonphi", False, "y\n", True),
        ("nonphi", False, "yes\n", True),
        ("nonphi", False, "\n", False),
        ("nonphi", False, "", False),
        ("nonphi", True, "y\n", False),
        ("nonphi", True, "nonphi\n", True),
        ("phi", False, "y\n", False),
        ("phi", False, "phi\n", True),
        ("phi", False, "nonphi\n", False),
    ],
)
def test_with_patient_data_and_for_what_takes_something_away_the_name_is_typed(
    cluster: str, destructive: bool, answer: str, given: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered(monkeypatch, answer)
    proposal = Proposal(Plan((stage(Noted("a", None, [])),)), destructive=destructive)
    assert consent.given(SITE.clusters[cluster], proposal, Request("inv deploy-ollama")) is given


def test_the_question_says_how_much_and_where(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answered(monkeypatch, "\n")
    consent.given(NONPHI, Proposal(Plan((stage(Noted("a", None, [])),))), Request("inv deploy-ollama"))
    assert capsys.readouterr().err == "Make 1 change on nonphi? [y/N] "


def test_who_agreed_beforehand_is_not_asked() -> None:
    assert consent.given(PHI, Proposal(Plan(())), Request("inv deploy-ollama", Consent.YES))


def test_a_plan_is_refused_without_a_terminal_to_ask_on() -> None:
    outcome = Outcome(PHI, Request("inv deploy-ollama"), plan=Plan((stage(Noted("a", None, [])),)))
    with pytest.raises(Trouble, match="nothing was changed") as caught:
        consent.refuse_without_terminal(outcome.request, outcome)
    assert "--yes" in caught.value.next


def test_an_empty_plan_needs_nobodys_consent() -> None:
    outcome = Outcome(PHI, Request("inv deploy-ollama"))
    consent.refuse_without_terminal(outcome.request, outcome)


# -- the command that does the rest


@pytest.mark.parametrize(
    ("typed", "hosts", "failed", "again"),
    [
        ("inv deploy-ollama --hosts 'phi*' --yes", (), ("phi-gpu-2",), "inv deploy-ollama --hosts phi --yes"),
        ("inv exec --hosts phi -- a --hosts b", ("x",), ("phi-gpu-2",), "inv exec --hosts phi-gpu-2 -- a --hosts b"),
        (
            "inv drain-host --hosts=phi:*",
            ("x",),
            ("phi-gpu-1", "phi-gpu-2"),
            "inv drain-host --hosts=phi-gpu-1,phi-gpu-2",
        ),
    ],
)
def test_the_command_that_does_the_rest_names_what_failed(
    typed: str, hosts: tuple[str, ...], failed: tuple[str, ...], again: str
) -> None:
    assert Request(typed, hosts=hosts).again(failed, "phi") == again


def test_a_disruptive_command_without_a_reason_is_refused_with_how_to_give_one() -> None:
    with pytest.raises(Trouble, match="a reason is needed") as caught:
        Request("inv drain-host --hosts phi:gpu-1").with_reason()
    assert caught.value.next.startswith("inv drain-host --hosts phi:gpu-1 --reason ")
    request = Request("inv drain-host", reason="fan")
    assert request.with_reason() is request


def test_a_run_that_a_signal_ends_between_two_steps_is_audited_before_it_hangs_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    happened = []
    keeper = RecordingRemote(PHI.hosts["phi-gpu-1"])
    monkeypatch.setattr(keeper, "close", lambda: happened.append("hung up"))
    monkeypatch.setattr(lock, "take", lambda *_, **__: None)
    monkeypatch.setattr(run, "_end", lambda *_: happened.append("audited"))
    outcome = Outcome(PHI, Request("inv deploy-ollama", Consent.YES))
    manager = run._locked(keeper, outcome, Reporter(()), Place.LOCK)
    manager.__enter__()
    del manager  # never left: the signal came before
    gc.collect()
    assert happened == ["audited", "hung up"]


# -- who is contacted


def test_a_host_that_was_not_selected_is_left_in_peace(monkeypatch: pytest.MonkeyPatch) -> None:
    contacted = []

    def connect(_: Site, host: Host) -> Remote:
        contacted.append(host.name)
        return RecordingRemote(host)

    monkeypatch.setattr(run, "Fleet", lambda site: Fleet(site, connect))
    request = Request("inv exec --hosts phi-gpu-2 -- date", Consent.PLAN_ONLY).on([PHI.hosts["phi-gpu-2"]])
    assert run.carry_out(SITE, [PHI], request, run.unprepared(lambda _: Proposal(Plan(())))) == 0
    assert contacted == ["phi-gpu-2"]
