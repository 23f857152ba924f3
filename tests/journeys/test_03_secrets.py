"""Harbor asks for a password and the endpoint gets a new key: both work, and nothing that a run leaves has them.

The password is in the operator's environment, the key in a vault that a command opens. Both are searched for as they
are, in base64 at any offset, and quoted for a URL.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from lab.lab import Lab
from lab.scout import OpenWebUi, Scout
from tests.journeys.conftest import INV, Operator, Said, assert_proved, assert_told, kubectl, running_pods
from tests.journeys.test_09_gate import CHANGING, words

pytestmark = pytest.mark.lab

IMAGE = "docker.io/ollama/ollama:0.24.0"
GPU_HOSTS = ("phi-gpu-1", "phi-gpu-2", "phi-gpu-3")
VICTIM = "phi-gpu-2"
ROBOT = "robot$scout"
VARIABLE = "HARBOR_PASSWORD"
VAULT = "secrets/vault.yaml"
REGISTRIES = "/etc/rancher/k3s/registries.yaml"
# What K3s makes of it at its start: containerd's configuration, and what the stand-in remembers of the file.
RENDERED = {"/var/lib/rancher/k3s/agent/etc/containerd/config.toml", "/run/k3s/containerd/registries.yaml"}
# Where the Kubernetes API keeps its objects, the Secret among them; the last is that of its own control plane.
OBJECTS = (
    "/var/lib/rancher/k3s/server/objects.sqlite",
    "/var/lib/rancher/k3s/server/control-plane/etcd/data/member/",
)
REVISIONS = "/var/lib/scout-ollama/revisions/"  # what a rollback goes back to
HARBOR_USERS = "/etc/lab/harbor-users"
HOST_DIRECTORIES = ("/dev/shm", "/etc", "/home", "/root", "/run", "/srv", "/tmp", "/usr/local", "/var")  # noqa: S108 (searched, not written)


@dataclass(frozen=True)
class Sentinel:
    """A secret that can be told from everything else, by parts that no way of quoting or folding takes apart."""

    text: str = field(repr=False)
    parts: tuple[str, ...] = field(repr=False)

    @classmethod
    def passphrase(cls) -> Sentinel:
        """A long one, with characters that YAML, JSON, shells and URLs quote."""
        words = tuple(secrets.token_hex(8) for _ in range(6))
        return cls(" ".join(words) + ' "$HOME" \'#%&', words)

    @classmethod
    def key(cls, pem: str) -> Sentinel:
        """The lines of a private key between its markers; the last one is the public part."""
        return cls(pem, tuple(pem.splitlines()[1:-2]))

    @cached_property
    def forms(self) -> list[str]:
        """Every way in which it may be written down."""
        encoded = [form for part in self.parts for form in _base64_forms(part.encode())]
        return [*self.parts, *encoded, quote(self.text, safe=""), *(quote(part, safe="") for part in self.parts)]

    def is_in(self, content: str | bytes) -> bool:
        """Whether any of its forms stands there."""
        return bool(self._pattern.search(content.encode() if isinstance(content, str) else content))

    @cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        return re.compile(b"|".join(re.escape(form.encode()) for form in self.forms))


def _base64_forms(part: bytes) -> Iterator[str]:
    """What base64 makes of it at each offset in a longer text: the characters that follow from it alone."""
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + part).decode()
        yield encoded[-(-offset * 4 // 3) : (offset + len(part)) * 4 // 3]


class AtHome(Operator):
    """An operator with a home directory of their own, so that everything left there can be looked through."""

    def __init__(self, home: Path, site: Path) -> None:
        super().__init__(site, home)
        self.environment: dict[str, str] = {}
        (home / "tmp").mkdir()

    @property
    def logs(self) -> Path:
        return self.home / ".local/state/scout-ollama/logs"

    def files_with(self, sentinel: Sentinel) -> set[str]:
        """The files at home that tell a secret."""
        files = (path for path in self.home.rglob("*") if path.is_file())
        return {str(path.relative_to(self.home)) for path in files if sentinel.is_in(path.read_bytes())}

    def _process(self, words: tuple[str, ...]) -> dict[str, Any]:
        process = super()._process(words)
        kept = {name: value for name, value in process["env"].items() if not name.startswith("XDG_")}
        ours = {"HOME": str(self.home), "TMPDIR": str(self.home / "tmp"), **self.environment}
        return {**process, "env": {**kept, **ours}}


class Onlooker(threading.Thread):
    """Reads arguments and environment of every process of this machine, the hosts' own too, until told to stop.

    ``typed`` are the processes of ``inv`` itself that have a secret in their environment, where the operator put it.
    """

    def __init__(self, sentinels: Sequence[Sentinel]) -> None:
        super().__init__(daemon=True)
        self.commands: set[str] = set()
        self.told: set[str] = set()
        self.typed: set[str] = set()
        self._sentinels = sentinels
        self._stop_it = threading.Event()

    def run(self) -> None:
        while not self._stop_it.wait(0.03):
            for process in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):  # it has ended
                    self._look_at(process)

    def stop(self) -> None:
        """Look no more."""
        self._stop_it.set()
        self.join()

    def _look_at(self, process: Path) -> None:
        # In this order: a process that becomes another between the two has its command last, never its environment.
        environment = (process / "environ").read_bytes()
        command = (process / "cmdline").read_bytes()
        if not command:  # it has ended, or is a thread of the kernel
            return
        self.commands.add(command.decode(errors="replace"))
        if self._is_told(command):
            self.told.add(command.partition(b"\0")[0].decode(errors="replace"))
        if self._is_told(environment):
            (self.typed if _is_typed_here(process, command) else self.told).add(process.name)

    def _is_told(self, content: bytes) -> bool:
        return any(sentinel.is_in(content) for sentinel in self._sentinels)


def _is_typed_here(process: Path, command: bytes) -> bool:
    """Whether it is an ``inv`` that this test started, and not something that this ``inv`` started."""
    parent = re.search(r"^PPid:\t(\d+)$", (process / "status").read_text(), re.MULTILINE)
    return parent is not None and int(parent[1]) == os.getpid() and os.fsencode(INV) in command.split(b"\0")


@contextmanager
def looking_on(*sentinels: Sentinel) -> Iterator[Onlooker]:
    """An onlooker for as long as it takes."""
    onlooker = Onlooker(sentinels)
    onlooker.start()
    try:
        yield onlooker
    finally:
        onlooker.stop()


def files_of_host_with(lab: Lab, host: str, sentinel: Sentinel) -> set[str]:
    """The files of a host that tell a secret; its journal and its logs are among those looked through."""
    grep = ["grep", "--recursive", "--files-with-matches", "--fixed-strings", "--text", "--file=-"]
    skip = ["--devices=skip", "--exclude-dir=netns"]  # a network namespace is a file that cannot be read
    done = lab.host(host).run([*grep, *skip, *HOST_DIRECTORIES], input="\n".join(sentinel.forms), check=False)
    gone = "No such file or directory"
    assert all(line.endswith(gone) for line in done.stderr.splitlines()), done.stderr
    return set(done.stdout.splitlines())


def remove_image(lab: Lab, *hosts: str) -> None:
    for host in hosts:
        lab.host(host).run(["k3s", "crictl", "rmi", IMAGE])


def has_image(lab: Lab, host: str) -> bool:
    return IMAGE in lab.host(host).run(["k3s", "crictl", "images", "-o", "json"]).stdout


@pytest.fixture(scope="module")
def operator(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> AtHome:
    """One operator for the whole story."""
    home = tmp_path_factory.mktemp("home")
    return AtHome(home, Path(shutil.copytree(lab.site, home / "site")))


@pytest.fixture(scope="module")
def password(lab: Lab) -> Iterator[Sentinel]:
    """The robot account's password, on a cluster that serves a set of models; Harbor asks for it from now on."""
    for command in ("deploy-ollama", "pull-models"):
        said = Operator(lab.site).inv(command, "--hosts", "phi", "--yes")
        assert said.status == 0, said.err
    password = Sentinel.passphrase()
    staging = lab.host("staging-1")
    staging.run(["install", "-m", "600", "/dev/stdin", HARBOR_USERS], input=f"{ROBOT}:{password.text}\n")
    try:
        yield password
    finally:
        staging.run(["rm", HARBOR_USERS])
        said = Operator(lab.site).deploy()
        assert said.status == 0, said.err


@pytest.fixture(scope="module")
def key(operator: AtHome) -> Sentinel:
    """A new private key of the endpoint, in the vault, with its certificate beside it."""
    pair = operator.authority.issue(["ollama.phi.example.edu"])
    (operator.site / "secrets/phi.key").unlink()
    (operator.site / "secrets/phi.crt").write_bytes(pair.certificate)
    vault = operator.site / VAULT
    vault.touch(mode=0o600)
    vault.write_text(json.dumps({"ollama": {"key": pair.key.decode()}}))
    source = {"command": ["cat", VAULT], "field": "ollama.key"}
    operator.edit("phi", lambda phi: phi["ollama"]["tls"].update(key=source))
    return Sentinel.key(pair.key.decode())


def give_password(operator: AtHome, text: str) -> None:
    operator.environment[VARIABLE] = text
    account = {"username": ROBOT, "password": {"environment": VARIABLE}}
    operator.edit("staging", lambda staging: staging["harbor"].update(account))


@dataclass(frozen=True)
class Run:
    """What a plan and a deploy said, and the processes that were seen meanwhile."""

    plan: Said
    deploy: Said
    onlooker: Onlooker


@pytest.fixture(scope="module")
def run(lab: Lab, operator: AtHome, password: Sentinel, key: Sentinel) -> Run:
    """The operator gives the password and the key, looks at the plan, and deploys to hosts that lack the image."""
    give_password(operator, password.text)
    remove_image(lab, *(host for host in GPU_HOSTS if has_image(lab, host)))
    with looking_on(password, key) as onlooker:
        plan = operator.deploy("--plan", "--json")
        deploy = operator.deploy("--yes", "--json")
    return Run(plan, deploy, onlooker)


def test_1_without_a_password_harbor_gives_no_image(lab: Lab, password: Sentinel) -> None:
    remove_image(lab, VICTIM)
    said = Operator(lab.site).deploy()
    assert_told(said, VICTIM, "cannot pull", why="auth", next="harbor.username")
    assert_proved(said, "phi-gpu-1", "phi-gpu-3")
    assert not password.is_in(said.err)


def test_2_the_plan_says_that_a_password_and_a_key_come_but_not_which(run: Run) -> None:
    assert run.plan.status == 2, run.plan.err
    changes = json.loads(run.plan.out)["phi"]["changes"]
    lines = [line for change in changes for line in change["difference"]]
    assert any(re.search(r"password: \(redacted", line) for line in lines), lines
    assert any(re.search(r"~ data\.tls\.key: \(redacted", line) for line in lines), lines
    assert f"username: {ROBOT}" in run.plan.err


def test_3_the_images_are_pulled_with_the_password(lab: Lab, run: Run) -> None:
    assert run.deploy.status == 0, run.deploy.err
    assert all(has_image(lab, host) for host in GPU_HOSTS)
    result = json.loads(run.deploy.out)["phi"]
    assert {entry["host"] for entry in result["proved"]} >= set(GPU_HOSTS)
    pulled = [change["host"] for change in result["changes"] if change["title"] == f"pull {IMAGE}"]
    assert pulled == [*GPU_HOSTS]


def test_4_the_second_run_has_nothing_to_do(operator: AtHome, run: Run, password: Sentinel, key: Sentinel) -> None:
    assert run.deploy.status == 0, run.deploy.err
    said = operator.deploy("--plan", "--json")
    assert said.status == 0, said.err
    assert not any(sentinel.is_in(said.out + said.err) for sentinel in (password, key))


def test_5_nothing_printed_tells_them(operator: AtHome, run: Run, password: Sentinel, key: Sentinel) -> None:
    others = [
        operator.inv("list-hosts"),
        operator.inv("list-hosts", "--json"),
        operator.inv("render", "--hosts", "phi"),
    ]
    for said in (run.plan, run.deploy, *others):
        assert said.status in (0, 2), said.err
        assert not password.is_in(said.out), "the password is on standard output"
        assert not password.is_in(said.err), "the password is on standard error"
        assert not key.is_in(said.out), "the key is on standard output"
        assert not key.is_in(said.err), "the key is on standard error"


@pytest.mark.parametrize("seen", ["inv\0deploy-ollama", "crictl\0pull", "restart-k3s", "apply\0--server-side"])
def test_6_processes_were_looked_at_here_and_on_the_hosts(run: Run, seen: str) -> None:
    assert any(seen in command for command in run.onlooker.commands)


def test_7_no_process_has_them_in_its_arguments_or_environment(run: Run) -> None:
    """But for the two that the operator typed, which were given the password in their environment."""
    assert run.onlooker.told == set()
    assert len(run.onlooker.typed) == 2


def test_8_nothing_is_left_at_the_operators_home(operator: AtHome, run: Run, password: Sentinel, key: Sentinel) -> None:
    assert run.deploy.status == 0, run.deploy.err
    assert operator.files_with(password) == set()
    assert operator.files_with(key) == {f"site/{VAULT}"}


@pytest.mark.parametrize("host", GPU_HOSTS)
def test_9_a_gpu_host_has_the_password_only_where_k3s_reads_it(
    lab: Lab, run: Run, password: Sentinel, host: str
) -> None:
    assert run.deploy.status == 0, run.deploy.err
    found = files_of_host_with(lab, host, password)
    assert found == {REGISTRIES, *RENDERED}
    modes = lab.host(host).run(["stat", "--format=%a %U:%G", *sorted(found)]).stdout
    assert set(modes.splitlines()) == {"600 root:root"}


@pytest.mark.parametrize("host", ["staging-1", "scout-prod-1", "scout-preprod-1"])
def test_10_no_other_host_has_it(lab: Lab, run: Run, password: Sentinel, host: str) -> None:
    assert run.deploy.status == 0, run.deploy.err
    assert files_of_host_with(lab, host, password) == ({HARBOR_USERS} if host == "staging-1" else set())


@pytest.mark.parametrize("host", [*GPU_HOSTS, "staging-1", "scout-prod-1", "scout-preprod-1"])
def test_11_no_host_has_the_key_but_as_the_tls_secret_in_the_api_and_in_the_kept_revisions(
    lab: Lab, run: Run, key: Sentinel, host: str
) -> None:
    assert run.deploy.status == 0, run.deploy.err
    found = files_of_host_with(lab, host, key)
    assert bool(found) == (host == "phi-gpu-1")
    assert all(path.startswith((*OBJECTS, REVISIONS)) for path in found), found
    modes = lab.host(host).run(["stat", "--format=%a %U:%G", "/etc/lab/token", *found]).stdout
    assert set(modes.splitlines()) == {"600 root:root"}


def test_12_no_kubernetes_object_has_them_but_the_tls_secret(
    lab: Lab, run: Run, password: Sentinel, key: Sentinel
) -> None:
    assert run.deploy.status == 0, run.deploy.err
    kinds = kubectl(lab, "api-resources", "--verbs=list", "--output=name").split()
    assert {"secrets", "configmaps", "events", "pods", "daemonsets.apps"} <= set(kinds)
    listed = kubectl(lab, "get", ",".join(kinds), "--all-namespaces", "--show-managed-fields", "--output=json")
    objects = json.loads(listed)["items"]
    texts = {f"{obj['kind']} {obj['metadata']['name']}": json.dumps(obj) for obj in objects}
    assert {name for name, text in texts.items() if password.is_in(text)} == set()
    assert {name for name, text in texts.items() if key.is_in(text)} == {"Secret ollama-tls"}


def test_13_what_others_wrote_by_hand_is_not_told_either(lab: Lab, operator: AtHome, run: Run) -> None:
    """A password of another registry, in YAML as people write it, beside a change of ours."""
    assert run.deploy.status == 0, run.deploy.err
    by_hand = Sentinel.passphrase()
    words = "\n          ".join(by_hand.parts)
    file = lab.host(VICTIM).root / REGISTRIES.lstrip("/")
    before = file.read_bytes()
    file.write_text(
        "configs:\n"
        f"  a.example.edu: {{auth: {{username: robot, password: {by_hand.parts[0]}}}}}\n"
        f"  b.example.edu:\n    auth:\n      username: robot\n      password: >-\n          {words}\n"
    )
    try:
        said = operator.deploy("--plan", "--json")
    finally:
        file.write_bytes(before)
    assert said.status == 2, said.err
    assert f"write {REGISTRIES}" in said.err
    assert not by_hand.is_in(said.out)
    assert not by_hand.is_in(said.err)


def test_14_a_wrong_password_is_told_and_stops_nothing(
    lab: Lab, operator: AtHome, run: Run, password: Sentinel
) -> None:
    """Also told of a host that has the image already: the next one that it needs would not come."""
    assert run.deploy.status == 0, run.deploy.err
    pods = running_pods(lab)
    wrong = Sentinel.passphrase()
    give_password(operator, wrong.text)
    remove_image(lab, VICTIM)
    try:
        with looking_on(wrong) as onlooker:
            said = operator.deploy("--yes", "--json")
        kept = [host for host in GPU_HOSTS if REGISTRIES in files_of_host_with(lab, host, password)]
    finally:
        give_password(operator, password.text)
        again = operator.deploy()
    assert again.status == 0, again.err
    assert running_pods(lab) == pods, "no pod was replaced"
    assert onlooker.told == set()
    assert len(onlooker.typed) == 1
    for host in (VICTIM, "phi-gpu-1"):
        assert_told(said, host, "", why="auth", next="harbor.password")
    assert not wrong.is_in(said.out)
    assert not wrong.is_in(said.err)
    assert kept == [*GPU_HOSTS], "the password that worked is still there"


OTHERS = [
    *(words(command, "--plan", "--json") for command in sorted(CHANGING)),
    *(words(command, "--plan") for command in sorted(CHANGING)),
    *((command, "--hosts", "phi") for command in ("audit", "show-lock", "check-access", "show-host-keys")),
    *((command, "--hosts", "phi", "--json") for command in ("audit", "show-lock", "check-access", "list-hosts")),
    ("rotate-tls", "--hosts", "phi", "--reason", "a test", "--yes", "--json"),
    ("rollback-ollama", "--hosts", "phi", "--yes"),
    ("exec", "--hosts", "staging", "--sudo", "--yes", "--json", "--", "cat", HARBOR_USERS),
    ("exec", "--hosts", "staging", "--sudo", "--yes", "--", "cat", HARBOR_USERS),
]


@pytest.fixture(scope="module")
def scouts(lab: Lab) -> None:
    """Each Scout has an Open WebUI, one with an Ollama beside it."""
    Scout(lab.host("scout-prod-1")).install(OpenWebUi())
    Scout(lab.host("scout-preprod-1")).install(OpenWebUi(embedded=None))


@pytest.mark.usefixtures("scouts")
@pytest.mark.parametrize("typed", OTHERS, ids=" ".join)
def test_16_no_other_command_tells_them_either(
    lab: Lab, operator: AtHome, run: Run, password: Sentinel, key: Sentinel, typed: tuple[str, ...]
) -> None:
    """Nor what it leaves: its log and its audit here, and its audit and its lock on the cluster's first server.

    The ad hoc commands at the end show the file that has the password in it, and it is masked.
    """
    assert run.deploy.status == 0, run.deploy.err
    with looking_on(password, key) as onlooker:
        said = operator.inv(*typed)
    assert said.status in (0, 2), said.err
    assert onlooker.told == set()
    for sentinel in (password, key):
        assert not sentinel.is_in(said.out + said.err)
    if HARBOR_USERS in typed:
        assert f"{ROBOT}:(redacted)" in said.out + said.err
    assert operator.files_with(password) == set()
    left = lab.host("phi-gpu-1").run(["find", "/var/lib/scout-ollama", "-maxdepth", "1", "-type", "f"]).stdout.split()
    assert "/var/lib/scout-ollama/audit.jsonl" in left
    for file in left:
        content = lab.host("phi-gpu-1").run(["cat", file]).stdout
        assert not password.is_in(content)
        assert not key.is_in(content)
