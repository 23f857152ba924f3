"""Something is broken, and who has never seen the site finds it with ``inv check`` alone: where, why, what to type."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta

import jsonschema
import pytest

from lab.lab import Lab
from lab.labhost import LabHost
from scout_ollama import results
from tests.journeys.conftest import Operator, Said, kubectl

pytestmark = pytest.mark.lab

VICTIM = "phi-gpu-2"
STORE = "var/lib/ollama"


@pytest.fixture(autouse=True, scope="module")
def deployed(lab: Lab) -> None:
    said = Operator(lab.site).deploy()
    assert said.status == 0, said.err


def check(operator: Operator, *words: str) -> Said:
    return operator.inv("check", "--hosts", "phi", *words)


def told(said: Said, check: str) -> str:
    """What is told below a check that does not hold."""
    found = re.search(rf"^  (?:fail|warn|could not tell): {check}: .*\n((?:      .*\n)*)", said.out, re.MULTILINE)
    assert found, said.out
    return found[1]


def test_1_all_is_well(operator: Operator) -> None:
    said = operator.inv("check")
    assert said.status == 0, said.out + said.err
    for cluster in ("phi", "scout-prod", "scout-preprod", "staging"):
        assert f"{cluster}: everything holds" in said.out


def test_2_a_program_gets_a_verdict_for_each_check_at_each_place(operator: Operator) -> None:
    said = check(operator, "--json")
    assert said.status == 0, said.err
    verdicts = json.loads(said.out)
    jsonschema.validate(verdicts, results.schema_of("checks"))
    assert {verdict["status"] for verdict in verdicts} == {"pass"}
    places = [verdict["place"] for verdict in verdicts if verdict["check"] == "seen"]
    assert places == ["phi-gpu-1", "phi-gpu-2", "phi-gpu-3"]


def test_3_a_check_is_explained_without_contacting_anything(operator: Operator) -> None:
    said = operator.inv("check", "--explain", "seen")
    assert said.status == 0
    assert "answers by the processor" in said.out
    said = operator.inv("check", "--explain", "nosuch")
    assert said.status == 1
    assert "there is no check nosuch" in said.err


@contextmanager
def cut(lab: Lab, host: str) -> Iterator[None]:
    lab.host(host).cut()
    try:
        yield
    finally:
        lab.host(host).restore()


@contextmanager
def away(host: LabHost, path: str) -> Iterator[None]:
    """A file or directory is not where it should be."""
    host.run(["mv", path, f"{path}-away"])
    try:
        yield
    finally:
        host.run(["mv", f"{path}-away", path])


@contextmanager
def content(host: LabHost, path: str, text: str) -> Iterator[None]:
    """A file has other content, or is there at all."""
    file = host.root / path
    before = file.read_bytes() if file.exists() else None
    file.write_text(text)
    try:
        yield
    finally:
        file.unlink() if before is None else file.write_bytes(before)


@contextmanager
def clock_off(host: LabHost) -> Iterator[None]:
    host.set_clock(-86400)
    try:
        yield
    finally:
        host.set_clock(0)


@contextmanager
def done(host: LabHost, *steps: str) -> Iterator[None]:
    """Something was done as root on a host; the second step undoes it."""
    do, undo = steps
    host.run(["sh", "-ec", do])
    try:
        yield
    finally:
        host.run(["sh", "-ec", undo])


def short_blob(lab: Lab) -> AbstractContextManager[None]:
    """Weights on the victim that end early, as after a copy by hand."""
    victim = lab.host(VICTIM)
    weights = max((victim.root / STORE / "blobs").iterdir(), key=lambda path: path.stat().st_size)
    return content(victim, f"{STORE}/blobs/{weights.name}", "short")


def by_hand(lab: Lab) -> AbstractContextManager[None]:
    """A label of an object was changed past the product."""
    label = "k3s kubectl --namespace ollama label --overwrite service ollama app.kubernetes.io/managed-by"
    return done(lab.host("phi-gpu-1"), f"{label}=somebody", f"{label}=scout-ollama")


@dataclass(frozen=True)
class Fault:
    """What the lab breaks, the check that finds it, words of what is told, and of the next command."""

    name: str
    cause: Callable[[Lab], AbstractContextManager[None]]
    check: str
    what: str
    next: str


FAULTS = (
    Fault("a host is down", lambda lab: cut(lab, VICTIM), "network", f"{VICTIM}: does not answer", "ping"),
    Fault(
        "sudo asks for a password",
        lambda lab: content(lab.host(VICTIM), "etc/sudoers.d/scout", "scout ALL=(ALL:ALL) ALL\n"),
        *("sudo", f"{VICTIM}: sudo asks scout for a password", "NOPASSWD"),
    ),
    Fault(
        "a GPU fell off the bus",
        lambda lab: content(lab.host(VICTIM), "etc/lab/gpu-fault", "no-driver\n"),
        *("gpu", f"{VICTIM}: its GPUs do not answer", "nvidia-smi"),
    ),
    Fault(
        "K3s is stopped",
        lambda lab: done(lab.host(VICTIM), "systemctl stop k3s", "systemctl start k3s"),
        *("k3s", f"{VICTIM}: K3s is not running", "systemctl start k3s"),
    ),
    Fault(
        "Harbor is down",
        lambda lab: done(lab.host("staging-1"), "systemctl stop harbor", "systemctl start harbor"),
        *("registry", f"{VICTIM}: Harbor does not answer this host", "harbor.url"),
    ),
    Fault(
        "the clock of a host is off",
        lambda lab: clock_off(lab.host(VICTIM)),
        *("clock", f"{VICTIM}: its clock is 24 h 0 min behind", "timedatectl"),
    ),
    Fault(
        "the share is not mounted",
        lambda lab: away(lab.host("staging-1"), "/srv/nfs/ollama"),
        *("models", "the share of models /srv/nfs/ollama is not there", "mount"),
    ),
    Fault(
        "a store is not mounted",
        lambda lab: away(lab.host(VICTIM), f"/{STORE}"),
        *("store", f"{VICTIM}: the model store /{STORE} is not there", "mkdir"),
    ),
    Fault("a blob is short", short_blob, "models", f"tiny:latest: damaged on {VICTIM}", "inv pull-models"),
    Fault(
        "an object was changed by hand",
        by_hand,
        *("objects", "another manager owns fields that the manifests set", "--show-managed-fields"),
    ),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_4_a_fault_is_found_by_its_check_with_what_to_type_next(fault: Fault, lab: Lab, operator: Operator) -> None:
    with fault.cause(lab):
        said = check(operator)
    in_order_again(lab)
    assert said.status == 1, said.out
    below = told(said, fault.check)
    assert fault.what in below
    assert re.search(rf"next: .*{re.escape(fault.next)}", below), below
    assert "Traceback" not in said.err


def test_5_a_certificate_that_expires_soon_is_a_warning(operator: Operator) -> None:
    operator.authority.issue(["ollama.phi.example.edu"], valid=timedelta(days=20)).write(
        operator.site / "secrets/phi.crt", operator.site / "secrets/phi.key"
    )
    below = told(check(operator), "certificate")
    assert "expires" in below or "days" in below


def test_6_after_all_that_everything_holds(operator: Operator) -> None:
    said = check(operator)
    assert said.status == 0, said.out


def in_order_again(lab: Lab) -> None:
    """Until every node is Ready, and gives out its GPU."""
    kubectl(lab, "wait", "--for=condition=Ready", "node", "--all", "--timeout=60s")
    gpus = "jsonpath={.items[*].status.allocatable.nvidia\\.com/gpu}"
    lab.host(VICTIM).wait_for(lambda: kubectl(lab, "get", "nodes", "-o", gpus) == "1 1 1")
