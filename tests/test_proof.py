"""Whether what was deployed works: what a pod and the endpoint answered, judged as data."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lab.certificates import Authority
from scout_ollama import asking, proof
from scout_ollama.checks import Finding
from scout_ollama.facts import Section, Sections
from scout_ollama.inventory import Host, Ollama, Tls
from scout_ollama.remote import RecordingRemote
from scout_ollama.store import ModelName

HOST = Host(name="phi-gpu-1", cluster="phi", address="192.0.2.11", roles=frozenset({"server", "gpu"}), gpus=1)
SCOUT = Host(name="scout-prod-1", cluster="scout-prod", address="192.0.2.33", roles=frozenset({"server"}))
NODES = {"192.0.2.11": "phi-gpu-1", "192.0.2.12": "phi-gpu-2"}
HOSTNAME = "ollama.phi.example.edu"
OLLAMA = Ollama()
VERSION = Section(0, '{"version":"0.24.0"}')
NO_OPENSSL = Section(127, "sh: 1: openssl: not found")


def refused(status: int) -> Section:
    """What curl says with ``--fail`` when the server answers with an error."""
    return Section(22, f"curl: (22) The requested URL returned error: {status}")


def tags(**digests: str) -> Section:
    """The answer of ``/api/tags``; ``tiny="…"`` is the digest of tiny:latest."""
    return Section(
        0, json.dumps({"models": [{"name": f"{name}:latest", "digest": digest} for name, digest in digests.items()]})
    )


def of_pod(version: Section = VERSION) -> list[Finding]:
    return proof.of_version(HOST, OLLAMA, Sections(version=version))


# -- a node's pod


def test_a_pod_with_the_right_version_has_no_findings() -> None:
    assert of_pod() == []


def test_another_version_is_told_with_both() -> None:
    (finding,) = of_pod(Section(0, '{"version":"0.23.1"}'))
    assert (finding.check, finding.host) == ("version", "phi-gpu-1")
    assert finding.what == "its Ollama is version 0.23.1, wanted is 0.24.0"
    assert finding.next


@pytest.mark.parametrize(
    ("failed", "reason"),
    [
        (Section(7, "curl: (7) Failed to connect to 10.42.1.5 port 11434: Connection refused"), "Connection refused"),
        (refused(503), "503"),
        (Section(28, ""), "it said nothing"),
        (Section(127, "sh: 1: curl: not found"), "curl: not found"),
    ],
)
def test_a_pod_that_does_not_answer_is_told_once_with_what_curl_said(failed: Section, reason: str) -> None:
    (finding,) = of_pod(failed)
    assert (finding.check, finding.what) == ("pod", "its Ollama does not answer")
    assert reason in finding.why
    assert "logs -n ollama daemonset/ollama" in finding.next


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "<html>404 page not found</html>",
        '{"version":"0.24',
        '{"models":[{"name":"tiny:la',
        "[]",
        "null",
        "7",
        "{}",
        '{"version":null,"models":null}',
        '{"version":["0.24.0"],"models":[null]}',
        '{"models":[{"name":7,"digest":"a"}]}',
        '{"models":[{"name":"tiny:latest","digest":7}]}',
        "\x00\x1b]0;\x07\ufffd",
    ],
)
def test_an_answer_that_is_no_ollamas_is_a_wrong_version_and_lists_nothing(garbage: str) -> None:
    (finding,) = of_pod(Section(0, garbage))
    assert finding.check == "version"
    assert "a" * 64 not in proof.digests(garbage).values()


# -- the endpoint


@dataclass(frozen=True)
class Served:
    """An endpoint with its certificate, and another one that somebody might serve in its place."""

    ollama: Ollama
    right: Section
    wrong: Section

    def findings(self, **changed: Section) -> list[Finding]:
        """Judge a good endpoint on two nodes, but for the sections named here (``version_12`` for the second node)."""
        answers = {"tags": tags(tiny="a" * 64)}
        for address in NODES:
            answers |= {f"version@{address}": VERSION, f"certificate@{address}": self.right}
        for name, section in changed.items():
            question, _, node = name.partition("_")
            answers[f"{question}@192.0.2.{node}" if node else question] = section
        return proof.of_endpoint(SCOUT, self.ollama, self.right.text, NODES, Sections(answers))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    directory = tmp_path_factory.mktemp("tls")
    authority = Authority.create(directory)
    right, wrong = authority.issue([HOSTNAME]), authority.issue(["traefik.default"])
    right.write(directory / "phi.crt", directory / "phi.key")
    tls = Tls(certificate=directory / "phi.crt", key=directory / "phi.key", ca=directory / "ca.crt")
    ollama = OLLAMA.model_copy(update={"hostname": HOSTNAME, "tls": tls})
    return Served(ollama, Section(0, right.certificate.decode()), Section(0, wrong.certificate.decode()))


def test_an_endpoint_that_answers_on_every_node_with_the_given_certificate_has_no_findings(served: Served) -> None:
    assert served.findings() == []


@pytest.mark.parametrize("status", [403, 503])
def test_an_endpoint_that_refuses_a_scout_is_told_with_what_curl_said(served: Served, status: int) -> None:
    """403 is what a client gets that ``allowed_clients`` does not admit, 503 what Traefik says without a ready pod."""
    (finding,) = served.findings(tags=refused(status))
    assert (finding.check, finding.host) == ("endpoint", "scout-prod-1")
    assert finding.what == f"https://{HOSTNAME} does not answer"
    assert str(status) in finding.why
    assert "scout@192.0.2.33" in finding.next


def test_one_node_that_does_not_answer_is_told_by_its_name(served: Served) -> None:
    (finding,) = served.findings(version_12=refused(503))
    assert (finding.check, finding.host) == ("endpoint", "phi-gpu-2")
    assert "asked from scout-prod-1" in finding.what
    assert "503" in finding.why
    assert f"{HOSTNAME}:443:192.0.2.12" in finding.next


def test_a_node_that_serves_another_certificate_is_told_whatever_curl_made_of_it(served: Served) -> None:
    not_verified = Section(60, "curl: (60) SSL certificate problem: unable to get local issuer certificate")
    for answer in (not_verified, VERSION):
        (finding,) = served.findings(version_11=answer, certificate_11=served.wrong)
        assert (finding.check, finding.host) == ("certificate", "phi-gpu-1")
        assert "phi.crt" in finding.what


def test_a_certificate_that_is_no_certificate_is_another_one(served: Served) -> None:
    (finding,) = served.findings(certificate_11=Section(0, "-----BEGIN CERTIFICATE-----\nMIIB"))
    assert finding.check == "certificate"


def test_a_certificate_that_could_not_be_read_is_not_called_proved(served: Served) -> None:
    (finding,) = served.findings(certificate_12=NO_OPENSSL)
    assert (finding.check, finding.host) == ("certificate", "phi-gpu-2")
    assert "openssl" in finding.why


def test_a_node_that_is_not_there_is_told_once_and_not_for_its_certificate(served: Served) -> None:
    gone = Section(7, "curl: (7) Failed to connect to ollama.phi.example.edu port 443: Connection refused")
    (finding,) = served.findings(version_12=gone, certificate_12=Section(1, "Could not read certificate"))
    assert finding.check == "endpoint"
    assert "Connection refused" in finding.why


def test_another_version_behind_the_endpoint_is_told_by_its_node(served: Served) -> None:
    (finding,) = served.findings(version_11=Section(0, '{"version":"0.1.0"}'))
    assert (finding.check, finding.host) == ("version", "phi-gpu-1")


@pytest.mark.parametrize("garbage", ["", "<html>", '{"version":', "[]", "\x00"])
def test_a_node_that_answers_no_version_is_told(served: Served, garbage: str) -> None:
    (finding,) = served.findings(version_11=Section(0, garbage))
    assert (finding.check, finding.host) == ("version", "phi-gpu-1")


def test_silence_is_trouble_everywhere(served: Served) -> None:
    findings = proof.of_endpoint(SCOUT, served.ollama, served.right.text, NODES, Sections())
    assert [finding.host for finding in findings] == ["scout-prod-1", "phi-gpu-1", "phi-gpu-2"]
    assert all("it said nothing" in finding.why for finding in findings)


# -- asking


def test_a_pod_is_asked_by_its_address_and_the_endpoint_by_its_name_with_the_private_ca(served: Served) -> None:
    remote = RecordingRemote(SCOUT)
    asking.ask_pod(remote, "10.42.1.5")
    asking.ask_endpoint(remote, served.ollama, list(NODES))
    pod, endpoint = remote.calls
    assert (pod.kind, pod.script, pod.args, pod.sudo) == ("read", "ask-pod", ("10.42.1.5:11434",), False)
    assert (endpoint.kind, endpoint.script, endpoint.sudo) == ("read", "ask-endpoint", False)
    assert endpoint.args == (HOSTNAME, *NODES)
    assert endpoint.stdin.startswith(b"-----BEGIN CERTIFICATE-----")


# -- whatever a host says

SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda some: (
        st.lists(some, max_size=3)
        | st.dictionaries(st.sampled_from(["version", "models", "name", "digest"]), some, max_size=4)
    ),
    max_leaves=12,
)
TEXTS = st.text() | SHAPES.map(json.dumps) | st.binary().map(lambda some: some.decode("utf-8", "replace"))
ANSWERS = st.builds(Section, st.sampled_from([0, 0, 0, 7, 22, 60, 127]), TEXTS)
unhurried = hypothesis_settings(deadline=None)


def assert_tellable(findings: list[Finding]) -> None:
    for finding in findings:
        assert finding.host
        str(finding.trouble()).encode()


@unhurried
@given(ANSWERS)
@example(Section(0, "[" * 5_000))
@example(Section(0, '{"models":[{"name":{},"digest":[]}]}'))
@example(Section(0, '{"models":[{"name":"tiny","digest":{}}]}'))
@example(Section(0, "9" * 5_000))
def test_no_answer_of_a_pod_makes_the_proof_fail_itself(answer: Section) -> None:
    assert_tellable(of_pod(answer))
    proof.digests(answer.text)


@unhurried
@given(ANSWERS, ANSWERS, ANSWERS)
@example(Section(0, "[" * 5_000), Section(0, "[" * 5_000), Section(0, "\ud800"))
def test_no_answer_of_an_endpoint_makes_the_proof_fail_itself(
    served: Served, listed: Section, version: Section, certificate: Section
) -> None:
    assert_tellable(served.findings(tags=listed, version_11=version, certificate_11=certificate))


@unhurried
@given(st.text() | TEXTS.map(lambda text: "version 0\n  " + text.replace("\n", "\n  ")))
@example("version " + "9" * 5_000 + "\n  {}")
@example("tags 0\n  {}\ntags 0\nversion 0")
def test_no_output_of_a_host_makes_asking_it_fail(output: str) -> None:
    answers = asking.ask_pod(RecordingRemote(HOST, lambda _: output), "10.42.1.5")
    assert_tellable(proof.of_version(HOST, OLLAMA, answers))


def test_one_name_that_cannot_be_read_does_not_hide_the_others() -> None:
    """Ollama lists whatever directory is below manifests/, also ones that it would not accept as a name."""
    listed = [{"name": ".../..//x:y:z", "digest": "b" * 64}, {"name": "tiny:latest", "digest": "a" * 64}]
    assert proof.digests(json.dumps({"models": listed})) == {ModelName.parse("tiny"): "a" * 64}


def test_the_digest_of_a_model_is_found_under_any_spelling_of_its_name() -> None:
    full = json.dumps({"models": [{"name": "registry.ollama.ai/library/tiny:latest", "digest": "a" * 64}]})
    assert proof.digests(full) == {ModelName.parse("tiny"): "a" * 64}
