"""A run that is ended in the middle, by whatever ends it: no stuck lock, no half file, no change without its line.

Each time the message says what state things are in, and one more run completes.
"""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lab.lab import Lab
from tests.journeys.conftest import Operator, Terminal, kubectl

pytestmark = pytest.mark.lab

KEEPER = "phi-gpu-1"
VICTIM = "phi-gpu-2"
STATE = "/var/lib/scout-ollama"
DEPLOY = ("deploy-ollama", "--hosts", "phi")


@pytest.fixture(autouse=True, scope="module")
def deployed(lab: Lab) -> None:
    said = Operator(lab.site).deploy()
    assert said.status == 0, said.err


@pytest.fixture(autouse=True)
def in_order_afterwards(lab: Lab, operator: Operator) -> Iterator[None]:
    """There is something to do on a host and in the cluster; afterwards nothing is stuck, and one more run does it."""
    (lab.host(VICTIM).root / "etc/rancher/k3s/registries.yaml").unlink(missing_ok=True)
    kubectl(lab, "delete", "networkpolicy", "-n", "ollama", "ollama", "--ignore-not-found")
    yield
    restarts = is_running(lab, VICTIM, "restart-k3s")
    lab.host(VICTIM).wait_for(lambda: not restarts())  # a host ends what was begun, whatever becomes of the run
    lab.host(KEEPER).wait_for(lambda: "locked by" not in operator.inv("show-lock", "--hosts", "phi").out)
    said = operator.deploy()
    assert said.status == 0, said.err
    temporary = ["find", "/etc/rancher", STATE, "-name", ".*", "-type", "f"]
    assert lab.host(VICTIM).run(temporary, check=False).stdout == ""
    assert operator.inv(*DEPLOY, "--plan").status == 0


def last_run(operator: Operator) -> dict[str, Any]:
    return operator.audit()[-1]


def is_running(lab: Lab, host: str, what: str) -> Callable[[], bool]:
    return lambda: what in lab.host(host).run(["ps", "-eo", "args"]).stdout


@contextmanager
def restarting(lab: Lab, operator: Operator) -> Iterator[subprocess.Popen[str]]:
    """A deploy at the moment when it restarts K3s on the victim."""
    with operator.typing(*DEPLOY, "--yes") as process:
        lab.host(VICTIM).wait_for(is_running(lab, VICTIM, "restart-k3s"))
        yield process


def interrupted(process: subprocess.Popen[str]) -> str:
    """Ctrl-C; what it said."""
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "phi: interrupted" in err
    assert "when mended: inv deploy-ollama --hosts phi --yes" in err
    assert "Traceback" not in err
    return err


# -- Ctrl-C at every stage


def test_ctrl_c_while_it_waits_for_the_lock(lab: Lab, operator: Operator) -> None:
    holder = ("exec", "--hosts", "phi:gpu-3", "--sudo", "--yes", "--", "sleep", "300")
    with operator.typing(*holder):
        lab.host("phi-gpu-3").wait_for(is_running(lab, "phi-gpu-3", "sleep 300"))
        terminal = operator.at_terminal(*DEPLOY, "--yes", "--lock-wait", "300")
        terminal.shows("waiting up to 300 s for ")
        terminal.types("\x03")
        assert terminal.ends() == 1
        assert "interrupted" in terminal.seen
    assert [run["command"].split()[1] for run in operator.audit()][-1] == "exec", "what never began has no line"


def test_ctrl_c_while_it_looks_at_the_hosts(lab: Lab, operator: Operator) -> None:
    lab.host(VICTIM).cut()
    try:
        with operator.typing(*DEPLOY, "--yes") as process:
            lab.host(KEEPER).wait_for(lambda: lab.host(KEEPER).run(["cat", f"{STATE}/lock"]).stdout != "")
            interrupted(process)
    finally:
        lab.host(VICTIM).restore()
    run = last_run(operator)
    assert (run["result"], run["made"]) == ("interrupted", 0)


def test_ctrl_c_at_the_question(operator: Operator) -> None:
    terminal = operator.at_terminal(*DEPLOY)
    terminal.shows("Type the cluster's name")
    terminal.types("\x03")
    assert terminal.ends() == 1
    assert "phi: interrupted" in terminal.seen
    run = last_run(operator)
    assert (run["result"], run["made"]) == ("interrupted", 0)
    assert run["changes"] > 0


def test_ctrl_c_while_a_change_is_made(lab: Lab, operator: Operator) -> None:
    with restarting(lab, operator) as process:
        interrupted(process)
    run = last_run(operator)
    assert (run["result"], run["making"]) == ("interrupted", f"{VICTIM}: restart k3s")
    assert 0 < run["made"] < run["changes"]
    kubectl(lab, "wait", "--for=condition=Ready", f"node/{VICTIM}", "--timeout=60s")


def test_ctrl_c_while_it_is_proved(lab: Lab, operator: Operator) -> None:
    for scout in ("scout-prod-1", "scout-preprod-1"):
        lab.host(scout).cut()
    try:
        terminal = operator.at_terminal(*DEPLOY, "--yes")
        for host in ("phi-gpu-1", "phi-gpu-2", "phi-gpu-3"):
            terminal.shows(f"{host}       Ollama 0.24.0 answers")
        terminal.types("\x03")
        assert terminal.ends() == 1
    finally:
        for scout in ("scout-prod-1", "scout-preprod-1"):
            lab.host(scout).restore()
    run = last_run(operator)
    assert run["result"] == "interrupted"
    assert run["made"] == run["changes"] > 0


# -- worse than Ctrl-C


def test_a_runner_that_is_killed(lab: Lab, operator: Operator) -> None:
    with restarting(lab, operator) as process:
        process.kill()
        process.communicate(timeout=60)
    lab.host(KEEPER).wait_for(lambda: last_run(operator)["command"].endswith("--yes"))
    run = last_run(operator)
    assert (run["result"], run["making"]) == ("cut off", f"{VICTIM}: restart k3s")
    assert 0 < run["made"] < run["changes"]
    kubectl(lab, "wait", "--for=condition=Ready", f"node/{VICTIM}", "--timeout=60s")


def test_a_runner_that_is_asked_to_end(lab: Lab, operator: Operator) -> None:
    with restarting(lab, operator) as process:
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert "phi: interrupted" in err
    assert last_run(operator)["result"] == "interrupted"


def test_a_terminal_that_goes_away_at_the_question(operator: Operator) -> None:
    terminal = operator.at_terminal(*DEPLOY)
    terminal.shows("Type the cluster's name")
    terminal.goes_away()
    run = last_run(operator)
    assert (run["result"], run["made"]) in (("interrupted", 0), ("declined", 0))


def test_a_terminal_that_goes_away_while_a_change_is_made(lab: Lab, operator: Operator) -> None:
    terminal = operator.at_terminal(*DEPLOY, "--yes")
    lab.host(VICTIM).wait_for(is_running(lab, VICTIM, "restart-k3s"))
    terminal.goes_away()
    run = last_run(operator)
    assert (run["result"], run["making"]) == ("interrupted", f"{VICTIM}: restart k3s")
    kubectl(lab, "wait", "--for=condition=Ready", f"node/{VICTIM}", "--timeout=60s")


def test_a_server_that_is_rebooted_while_it_holds_the_lock(lab: Lab, operator: Operator) -> None:
    with restarting(lab, operator) as process:
        lab.host(KEEPER).reboot()
        _, err = process.communicate(timeout=200)
    assert process.returncode == 1
    assert "its lock was lost, so nothing more is changed" in err
    assert "inv show-lock --hosts phi" in err
    lab.host(KEEPER).wait_for_units()
    run = last_run(operator)
    assert run["result"] in ("failed", "cut off")
    assert run["made"] < run["changes"]
    for host in (KEEPER, VICTIM):
        kubectl(lab, "wait", "--for=condition=Ready", f"node/{host}", "--timeout=120s")


def test_a_server_whose_disk_is_full(lab: Lab, operator: Operator) -> None:
    before = operator.audit()
    lab.host(KEEPER).fill("/var/lib")
    try:
        said = operator.deploy()
    finally:
        lab.host(KEEPER).free("/var/lib")
    assert said.status == 1
    assert "phi: nothing was begun, as it could not be audited" in said.err
    assert re.search(r"why: (.|\n)*No space left|cannot be written", said.err)
    assert f"make room under {STATE}" in said.err
    assert operator.audit() == before
    assert not (lab.host(VICTIM).root / "etc/rancher/k3s/registries.yaml").exists()


# -- two at once


def test_of_two_from_two_machines_exactly_one_goes_on(operator: Operator) -> None:
    directory = operator.site.parent
    others = [Operator(operator.site, directory / name, name) for name in ("laptop-1", "laptop-2")]
    with others[0].typing(*DEPLOY, "--yes") as first, others[1].typing(*DEPLOY, "--yes") as second:
        told = [process.communicate(timeout=200)[1] for process in (first, second)]
    assert sorted([first.returncode, second.returncode]) == [0, 1], told
    winner = others[first.returncode].machine
    (refused,) = [err for err in told if "phi is locked: nothing was begun" in err]
    assert re.search(rf"why: \S+@{winner}: inv deploy-ollama --hosts phi --yes, since ", refused)
    assert last_run(operator)["machine"] == winner


def test_a_run_whose_lock_is_released_stops_before_its_next_change(lab: Lab, operator: Operator) -> None:
    with restarting(lab, operator) as process:
        process.send_signal(signal.SIGSTOP)  # so that it cannot be done before the lock is released
        said = operator.inv("release-lock", "--hosts", "phi", "--reason", "it hangs", "--yes")
        process.send_signal(signal.SIGCONT)
        assert said.status == 0, said.err
        _, err = process.communicate(timeout=200)
    assert process.returncode == 1
    assert "its lock was lost, so nothing more is changed" in err
    assert "somebody released the lock" in err
    runs = {run["command"].split()[1]: run for run in operator.audit()[-2:]}
    assert runs["release-lock"]["reason"] == "it hangs"
    assert runs["deploy-ollama"]["result"] == "failed"
    kubectl(lab, "wait", "--for=condition=Ready", f"node/{VICTIM}", "--timeout=60s")


def test_who_looks_on_is_not_kept_out(lab: Lab, operator: Operator) -> None:
    with restarting(lab, operator) as process:
        said = operator.inv("exec", "--hosts", "phi:gpu-3", "--", "hostname")
        assert said.status == 0, said.err
        assert process.poll() is None
        process.communicate(timeout=200)


def test_a_terminal_that_is_there_is_what_terminal_says() -> None:
    """The helper itself: it can tell, type and end."""
    terminal = Terminal({"args": ["sh", "-c", "read -r word; echo got $word; exit 3"]})
    terminal.types("it\n")
    terminal.shows("got it")
    assert terminal.ends() == 3
