"""Nothing that changes a host gets past the gate: plan, consent, lock and audit are there for every command.

The commands are those that ``inv`` has: one that is added is walked through all of this, or named as only reading.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

import jsonschema
import pytest
from invoke import Collection

import tasks
from lab import snapshot
from lab.lab import Lab
from lab.scout import OpenWebUi, Scout
from lab.snapshot import Snapshot
from scout_ollama import audit, results
from tests.journeys.conftest import ROOT, Operator, kubectl

pytestmark = pytest.mark.lab

READING = {
    "audit",
    "check",
    "check-access",
    "list-hosts",
    "list-images",
    "list-models",
    "render",
    "show-host-keys",
    "show-lock",
    "status",
}
HERE = {"fetch-chart", "lab-down", "lab-up", "trust-host"}  # they change this machine, and no host
REASON = ("--reason", "a test")

CHANGING = {
    "connect-scout": ("--hosts", "scout-prod"),
    "deploy-ollama": ("--hosts", "phi"),
    "disconnect-scout": ("--hosts", "scout-preprod"),
    "drain-host": ("--hosts", "phi:gpu-2", *REASON),
    "exec": ("--hosts", "phi", "--sudo"),
    "install-gpu-operator": ("--hosts", "phi"),
    "prune-models": ("--hosts", "phi", "--keep", "1"),
    "pull-models": ("--hosts", "phi"),
    "release-lock": ("--hosts", "phi", *REASON),
    "remove-embedded-ollama": ("--hosts", "scout-preprod"),
    "remove-ollama": ("--hosts", "phi"),
    "restart-ollama": ("--hosts", "phi", *REASON),
    "rollback-models": ("--hosts", "phi", "--to", "1"),
    "rollback-ollama": ("--hosts", "phi", "--to", "1"),
    "rotate-tls": ("--hosts", "phi", *REASON),
    "undrain-host": ("--hosts", "phi:gpu-3", *REASON),
    "verify-models": ("--hosts", "phi", "--deep"),
}
AFTER = {"exec": ("--", "touch", "/etc/made-by-exec")}
SCOUTS = ("scout-prod", "scout-preprod")
HOLDING = ("--timeout", "3600", "--", "sleep", "3600")  # longer than all that is typed meanwhile


def holder(hosts: str) -> tuple[str, ...]:
    """What holds the lock of the cluster of these hosts."""
    return ("exec", "--hosts", hosts, "--sudo", "--yes", "--reason", "thinking", *HOLDING)


def cluster_of(command: str) -> str:
    """The cluster that a command of these is about."""
    return CHANGING[command][1].partition(":")[0]


def words(command: str, *more: str) -> tuple[str, ...]:
    return (command, *CHANGING[command], *more, *AFTER.get(command, ()))


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """An operator for whose every command there is something to do.

    An upgrade, other values of the GPU operator, a new certificate and a new model are wanted, host 3 is drained, there
    is a revision and a set of models to go back to, and a node has a model that nobody wants. Both Scouts have an
    Ollama of their own, and one of them was connected to the shared one.
    """
    directory = tmp_path_factory.mktemp("gate")
    subprocess.run(["cp", "-a", lab.site, directory / "site"], check=True)
    operator = Operator(directory / "site", directory / "home", "laptop-1")
    assert operator.deploy().status == 0
    lab.host("phi-gpu-2").run_module("lab.standins.models", "seed", "/var/lib/ollama", "stray:latest")
    want(operator, ["tiny:latest", "small:latest"])
    said = operator.inv("pull-models", "--hosts", "phi", "--yes")
    assert said.status == 0, said.err
    operator.edit("phi", lambda phi: phi["ollama"].update(keep_alive="1h"))
    assert operator.deploy().status == 0
    assert operator.inv("drain-host", "--hosts", "phi:gpu-3", *REASON, "--yes").status == 0
    operator.edit("phi", lambda phi: phi["ollama"].update(keep_alive="2h"))
    operator.edit("phi", lambda phi: phi["gpu_operator"].update(values={"gfd": {"resources": {}}}))
    want(operator, ["tiny:latest", "small:latest", "gemma4:31b"])
    for name in SCOUTS:
        Scout(lab.host(f"{name}-1")).install(OpenWebUi())
    elsewhere = Operator(directory / "site", directory / "elsewhere")
    assert elsewhere.inv("connect-scout", "--hosts", "scout-preprod", "--yes").status == 0
    pair = operator.authority.issue(["ollama.phi.example.edu"])
    pair.write(operator.site / "secrets/phi.crt", operator.site / "secrets/phi.key")
    return operator


def want(operator: Operator, models: list[str]) -> None:
    operator.edit("phi", lambda phi: phi["ollama"].update(models=models))


@pytest.fixture(scope="module")
def held(lab: Lab, site: Operator) -> Iterator[Snapshot]:
    """Somebody else has the lock, and will not let go; what the lab looks like meanwhile."""
    other = Operator(site.site, site.site.parent / "other", "laptop-2")
    with ExitStack() as held:
        for hosts, name in (("phi:gpu-1", "phi-gpu-1"), *((f"{scout}-1", f"{scout}-1") for scout in SCOUTS)):
            held.enter_context(other.typing(*holder(hosts)))
            host = lab.host(name)
            host.wait_for(lambda host=host: "sleep 3600" in host.run(["ps", "-eo", "args"]).stdout)  # type: ignore[misc]
        yield snapshot.take(lab)


def test_every_command_changes_hosts_through_the_gate_or_none_at_all() -> None:
    names = set(Collection.from_module(tasks).task_names)
    assert names == READING | HERE | set(CHANGING)
    taking_a_plan = {name for name in names if "--plan" in _help(name)}
    assert taking_a_plan == set(CHANGING)


def _help(name: str) -> str:
    return Operator(ROOT / "hosts").inv(name, "-h").out


@pytest.mark.parametrize("command", CHANGING)
def test_a_plan_shows_what_would_differ_and_changes_nothing(
    command: str, site: Operator, lab: Lab, held: Snapshot
) -> None:
    said = site.inv(*words(command, "--plan", "--json"))
    assert said.status == 2, said.err
    plan = json.loads(said.out)[cluster_of(command)]
    assert plan["changes"]
    assert all(change["difference"] for change in plan["changes"])
    assert (plan["made"], plan["record"]) == (False, None)
    assert snapshot.difference(held, snapshot.take(lab)) == []


@pytest.mark.parametrize("command", CHANGING)
def test_nobody_is_taken_to_have_agreed(command: str, site: Operator, lab: Lab, held: Snapshot) -> None:
    said = site.inv(*words(command))
    assert said.status == 1, said.err
    assert "there is no terminal to ask on" in said.err
    assert "--yes" in said.err
    assert snapshot.difference(held, snapshot.take(lab)) == []


@pytest.mark.parametrize("command", sorted(set(CHANGING) - {"release-lock"}))
def test_while_somebody_else_has_the_lock_nothing_is_changed(
    command: str, site: Operator, lab: Lab, held: Snapshot
) -> None:
    said = site.inv(*words(command, "--yes"))
    assert said.status == 1, said.err
    cluster = cluster_of(command)
    assert f"{cluster} is locked: nothing was begun" in said.err
    assert re.search(r"why: \S+@laptop-2: inv exec .* \(thinking\), since ", said.err)
    assert f"next: inv show-lock --hosts {cluster}" in said.err
    assert snapshot.difference(held, snapshot.take(lab)) == []


@pytest.mark.parametrize("command", sorted(name for name, options in CHANGING.items() if "--reason" in options))
def test_what_disturbs_needs_a_reason(command: str, site: Operator) -> None:
    options = [option for option in words(command, "--yes") if option not in REASON]
    said = site.inv(*options)
    assert said.status == 1
    assert "a reason is needed" in said.err
    assert "--reason" in said.err


@pytest.mark.usefixtures("held")
def test_the_lock_says_who_has_it(site: Operator) -> None:
    said = site.inv("show-lock", "--hosts", "phi")
    assert said.status == 0
    assert re.search(r"^phi: locked by \S+@laptop-2: inv exec .*; last sign of life \d+ s ago$", said.out, re.MULTILINE)
    shown = json.loads(site.inv("show-lock", "--hosts", "phi", "--json").out)["phi"]
    assert shown["locked"]
    assert (shown["holder"]["machine"], shown["holder"]["reason"]) == ("laptop-2", "thinking")


def test_at_a_terminal_the_plan_is_shown_and_the_clusters_name_asked_for(site: Operator) -> None:
    terminal = site.at_terminal(*words("release-lock"))
    terminal.shows("Type the cluster's name to make 1 change on phi: ")
    assert "lock of " in terminal.seen
    terminal.types("yes\n")
    assert terminal.ends() == 2
    assert "declined" in terminal.seen
    terminal = site.at_terminal(*words("release-lock"))
    terminal.shows("Type the cluster's name")
    terminal.types("phi\n")
    assert terminal.ends() == 0, terminal.seen
    assert site.inv("show-lock", "--hosts", "phi").out == "phi: not locked\n"


def test_the_audit_has_a_line_for_every_run(site: Operator) -> None:
    runs = [audit.Record.model_validate(run) for run in site.audit()]
    told = [(run.command.split()[1], run.machine, run.result) for run in runs]
    assert told == [
        ("deploy-ollama", "laptop-1", "done"),
        ("pull-models", "laptop-1", "done"),
        ("deploy-ollama", "laptop-1", "done"),
        ("drain-host", "laptop-1", "done"),
        ("exec", "laptop-2", "cut off"),
        ("release-lock", "laptop-1", "declined"),
        ("release-lock", "laptop-1", "done"),
    ]
    assert all(run.revision and run.who and run.plan for run in runs)
    assert runs[0].made >= runs[0].changes > 0  # what is settled on the way is more than what was planned
    assert [run.kept for run in runs] == [1, None, 2, None, None, None, None]
    assert [run.undo for run in runs[:4]] == [
        "inv remove-ollama --hosts phi",
        "inv rollback-models --hosts phi --to 1",
        "inv rollback-ollama --hosts phi --to 1",
        "inv undrain-host --hosts phi-gpu-3 --reason '…'",
    ]


def test_the_audit_on_the_operators_machine_has_the_same_lines(site: Operator) -> None:
    lines = (site.home / "scout-ollama/audit.jsonl").read_text().splitlines()
    here = audit.records(lines)
    assert here == [run for run in audit.records(map(json.dumps, site.audit())) if run.machine == "laptop-1"]


def test_the_audit_as_a_table_names_what_can_be_undone_and_how(site: Operator) -> None:
    said = site.inv("audit", "--hosts", "phi")
    (line,) = [line for line in said.out.splitlines() if "drain-host" in line]
    assert re.search(r"@laptop-1 .* done, 1 of 1 +inv undrain-host --hosts phi-gpu-3", line)


def test_what_programs_get_is_what_the_schema_says(site: Operator) -> None:
    said = site.inv("undrain-host", "--hosts", "phi:gpu-3", *REASON, "--yes", "--json")
    assert said.status == 0, said.err
    jsonschema.validate(json.loads(said.out), results.schema_of("run"))
    jsonschema.validate(site.audit(), results.schema_of("audit"))
    jsonschema.validate(json.loads(site.inv("show-lock", "--json").out), results.schema_of("lock"))


def test_each_run_leaves_a_log_for_its_owner_alone_and_names_it_last(site: Operator) -> None:
    said = site.inv("exec", "--hosts", "phi:gpu-2", "--", "hostname")
    last = said.err.splitlines()[-1]
    assert last.startswith("log: ")
    log = site.site.parent / "home/scout-ollama/logs" / last.rpartition("/")[2]
    assert log.stat().st_mode & 0o777 == 0o600
    text = log.read_text()
    assert re.search(r"phi-gpu-2 run exec-command hostname -> 0 in ", text)
    assert re.search(r"phi-gpu-1 converse hold-lock ", text)


def test_an_upgrade_can_be_undone_exactly(lab: Lab, site: Operator) -> None:
    def live() -> dict[str, object]:
        text = kubectl(lab, "get", "daemonset,ingress,secret,networkpolicy", "-n", "ollama", "-o", "json")
        items = json.loads(text)["items"]
        return {f"{item['kind']}/{item['metadata']['name']}": item.get("spec") or item.get("data") for item in items}

    before = live()
    want(site, ["tiny:latest", "small:latest"])
    said = site.deploy()
    assert said.status == 0, said.err
    assert live() != before
    (undo,) = re.findall(r"to undo it: inv (.*)", said.err)
    assert undo == "rollback-ollama --hosts phi --to 2"
    plan = site.inv(*undo.split(), "--plan")
    assert plan.status == 2
    assert "OLLAMA_KEEP_ALIVE].value: 2h → 1h" in plan.err
    assert "the inventory is not changed by this" in plan.err
    said = site.inv(*undo.split(), "--yes")
    assert said.status == 0, said.err
    assert live() == before
    assert "to undo it: inv rollback-ollama --hosts phi --to 3" in said.err


def test_what_is_removed_is_gone_and_comes_back(lab: Lab, site: Operator) -> None:
    said = site.inv("remove-ollama", "--hosts", "phi", "--yes")
    assert said.status == 0, said.err
    assert "scout-prod uses this Ollama: its chat loses it" in said.err
    assert kubectl(lab, "get", "daemonset,ingress,service,secret", "-n", "ollama", "-o", "name") == ""
    assert site.inv("remove-ollama", "--hosts", "phi", "--plan").status == 0
    (undo,) = re.findall(r"to undo it: inv (.*)", said.err)
    said = site.inv(*undo.split(), "--yes")
    assert said.status == 0, said.err
    assert "answers over TLS with its certificate" in said.err
