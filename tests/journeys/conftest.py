"""The operator at work on a lab: real commands, as separate processes, judged by what they print and their status."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.certificates import Authority
from lab.lab import K3S, KUBERNETES, Lab
from scout_ollama.errors import Trouble
from scout_ollama.inventory import load_site
from tests import addresses

ROOT = Path(__file__).parent.parent.parent
INV = Path(sys.executable).with_name("inv")
SECONDS = 240
NAME_SERVER = "192.0.2.53"


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str


class Terminal:
    """A command at a terminal of its own, which can be read, typed at, and taken away."""

    def __init__(self, process: dict[str, Any]) -> None:
        self.seen = ""
        self._ours, theirs = pty.openpty()
        streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
        self.process = subprocess.Popen(
            **{**process, **streams, "text": False},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)

    def shows(self, text: str) -> None:
        """Read until the text is there."""
        deadline = time.monotonic() + SECONDS
        while text not in self.seen:
            readable, _, _ = select.select([self._ours], [], [], max(0.0, deadline - time.monotonic()))
            assert readable, f"it does not show {text!r} but:\n{self.seen}"
            with suppress(OSError):  # EIO: the command has ended
                if data := os.read(self._ours, 65536):
                    self.seen += data.decode(errors="replace")
                    continue
            raise AssertionError(f"it ended without showing {text!r}:\n{self.seen}")

    def types(self, text: str) -> None:
        """Type it; Ctrl-C is ``\\x03``."""
        os.write(self._ours, text.encode())

    def ends(self) -> int:
        """Read to the end; return the exit status."""
        with suppress(OSError):
            while data := os.read(self._ours, 65536):
                self.seen += data.decode(errors="replace")
        return self.process.wait(SECONDS)

    def goes_away(self) -> None:
        """Close it, as when its window is closed or its connection lost."""
        os.close(self._ours)
        self.process.wait(SECONDS)


class Operator:
    """Somebody who types ``inv`` with one inventory; the lab's own, or a copy of it that a test has edited.

    ``home`` is where their logs and their audit are; ``machine`` is the host name of the machine they type on, if it is
    to be another one than this.
    """

    def __init__(self, site: Path, home: Path | None = None, machine: str = "") -> None:
        self.site = site
        self.home = home or site.parent / "home"
        self.machine = machine

    def inv(self, *words: str) -> Said:
        """Type a command and wait for its end. Fails with what it said so far when that does not come."""
        process = subprocess.Popen(**self._process(words), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            pytest.fail(f"inv {' '.join(words)} has no end after {SECONDS} s:\n{out}\n{err}")
        return Said(process.returncode, out, err)

    @contextmanager
    def typing(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Type a command and look on; what still runs at the end is interrupted."""
        process = subprocess.Popen(**self._process(words), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            process.communicate(timeout=SECONDS)

    def at_terminal(self, *words: str) -> Terminal:
        """Type a command at a terminal."""
        return Terminal(self._process(words))

    def audit(self) -> list[dict[str, Any]]:
        """The cluster's audit, newest last."""
        said = self.inv("audit", "--hosts", "phi", "--json")
        assert said.status == 0, said.err
        runs: list[dict[str, Any]] = json.loads(said.out)
        return runs

    def deploy(self, *words: str) -> Said:
        """Type the main job."""
        return self.inv("deploy-ollama", "--hosts", "phi", *(words or ("--yes",)))

    @property
    def logs(self) -> Path:
        """Where the logs of what was typed are."""
        return self.home / "scout-ollama/logs"

    def edit(self, cluster: str, change: Callable[[dict[str, Any]], object]) -> None:
        """Edit one file of the inventory."""
        path = self.site / f"{cluster}.yaml"
        document = yaml.safe_load(path.read_text())
        change(document)
        path.write_text(yaml.safe_dump(document, sort_keys=False))

    @property
    def authority(self) -> Authority:
        """The lab's own CA, for certificates that are wrong in some way."""
        return Authority(self.site / "secrets")

    def _process(self, words: tuple[str, ...]) -> dict[str, Any]:
        ours = {"SCOUT_SITE": str(self.site), "XDG_STATE_HOME": str(self.home), "NO_COLOR": "1", "TERM": "dumb"}
        environment = {**os.environ, **ours}
        named = ["unshare", "--uts", "sh", "-c", 'hostname "$1" && shift && exec "$@"', "sh", self.machine]
        argv = [*(named if self.machine else []), INV, *words]
        return {"args": argv, "cwd": ROOT, "env": environment, "stdin": subprocess.DEVNULL, "text": True}


@pytest.fixture(scope="session", autouse=True)
def signals_work() -> None:
    """A shell starts what runs in the background with SIGINT ignored, nohup with SIGHUP; ``inv`` would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="module", autouse=True)
def kubernetes(request: pytest.FixtureRequest) -> Iterator[None]:
    """With ``--kubernetes`` every lab's clusters have its own control plane, the demo's too."""
    with pytest.MonkeyPatch.context() as environment:
        if request.config.getoption("--kubernetes") and not os.environ.get(K3S):
            built = subprocess.run([ROOT / "scripts/build-kubernetes"], stdout=subprocess.PIPE, text=True, check=True)
            environment.setenv(KUBERNETES, built.stdout.strip())
        yield


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A fresh site for each story: three GPU hosts, staging, two Scouts. Nothing may have tried to leave it."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("the lab's hosts are made by root on Linux; run the tests as root there")
    with Lab.running(f"journeys-{os.getpid()}") as running:
        yield running
        assert_nothing_left(running)


@pytest.fixture
def operator(lab: Lab, tmp_path: Path) -> Iterator[Operator]:
    """An operator with a copy of the lab's inventory to edit; what they type names no address outside of it."""
    operator = Operator(Path(shutil.copytree(lab.site, tmp_path / "site")), tmp_path / "home")
    yield operator
    assert_addresses_are_the_inventorys(lab, operator)


def assert_addresses_are_the_inventorys(lab: Lab, operator: Operator) -> None:
    """No command that was given to a host names an address that the inventory does not."""
    with suppress(Trouble):  # a test may have made the inventory one that is refused
        sites = [load_site(lab.site), load_site(operator.site)]
        for log in operator.logs.glob("*.log"):
            named = addresses.of_log(log.read_text())
            assert not set.intersection(*(addresses.unnamed(named, site) for site in sites)), log.read_text()


def assert_nothing_left(lab: Lab) -> None:
    """No packet of any host, or of any pod, was for somebody outside of the lab.

    But for questions to a name server, which is not there: when Harbor refuses, as it does in some of these stories,
    K3s itself looks up the upstream registry. The demo, where Harbor never does, may not even ask.
    """
    tried = {host: [line for line in lines if NAME_SERVER not in line] for host, lines in lab.tried_to_leave().items()}
    assert not any(tried.values()), tried


def kubectl(lab: Lab, *words: str, stdin: str = "", check: bool = True) -> str:
    """Run kubectl on the cluster's first server, past the product."""
    return lab.host("phi-gpu-1").run(["k3s", "kubectl", *words], input=stdin, check=check).stdout


def running_pods(lab: Lab) -> str:
    return kubectl(lab, "get", "pods", "-n", "ollama", "-o", "jsonpath={.items[*].metadata.uid}")


def assert_told(said: Said, host: str, what: str, *, why: str = "", next: str = "") -> None:
    """The message names the host, what happened, why and the next command, and is no traceback."""
    assert said.status == 1, said.err
    assert "Traceback" not in said.err
    told = re.search(rf"^{re.escape(host)}: .*{re.escape(what)}", said.err, re.MULTILINE)
    assert told, said.err
    rest = said.err[told.start() :]
    assert re.search(rf"^  why: (?s:.*){re.escape(why)}", rest, re.MULTILINE), rest
    assert re.search(rf"^  next: .*{re.escape(next)}", rest, re.MULTILINE), rest


def assert_proved(said: Said, *hosts: str) -> None:
    """Each host's Ollama was asked and answered."""
    for host in hosts:
        assert re.search(rf"^{host} +Ollama .* answers", said.err, re.MULTILINE), said.err


def from_scout(lab: Lab, *curl: str, host: str = "scout-prod-1", check: bool = True) -> str:
    """What curl on a Scout host gets, trusting the lab's CA."""
    authority = (lab.site / "secrets/ca.crt").read_text()
    argv = ["curl", "--silent", "--show-error", "--max-time", "20", "--cacert", "/dev/stdin", *curl]
    return lab.host(host).run(argv, input=authority, check=check).stdout
