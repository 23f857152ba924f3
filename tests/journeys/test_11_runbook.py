"""The verbs of the runbooks: look, drain, bring back, restart, rotate; the Scouts must not notice."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from lab.lab import Lab
from lab.labhost import LabHost
from tests.journeys.conftest import Operator, assert_told, from_scout, kubectl

pytestmark = pytest.mark.lab

URL = "https://ollama.phi.example.edu"
WHY = ("--reason", "fan 3 is loud", "--yes")
GPU_HOSTS = ("phi-gpu-1", "phi-gpu-2", "phi-gpu-3")


@pytest.fixture(scope="module")
def deployed(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """One operator for the whole story, with a cluster that serves."""
    directory = tmp_path_factory.mktemp("runbook")
    operator = Operator(Path(shutil.copytree(lab.site, directory / "site")), directory / "home")
    said = operator.deploy()
    assert said.status == 0, said.err
    return operator


def serving(lab: Lab) -> set[str]:
    """The nodes that have an Ollama pod."""
    nodes = kubectl(lab, "get", "pods", "-n", "ollama", "-o", "jsonpath={.items[*].spec.nodeName}")
    return set(nodes.split())


@contextmanager
def asking(host: LabHost, authority: str) -> Iterator[list[str]]:
    """A Scout that asks again and again; afterwards the list has what it got each time, as HTTP status."""
    got: list[str] = []
    curl = f"curl --silent --cacert /run/asking.crt --max-time 10 -o /dev/null -w '%{{http_code}}\\n' {URL}/api/tags"
    host.run(["tee", "/run/asking.crt"], input=authority)
    start = f"(until [ -e /run/stop ]; do {curl}; done) >/run/asking 2>&1 </dev/null & echo $!"
    host.run(["rm", "-f", "/run/stop"])
    host.run(["setsid", "--fork", "sh", "-c", start])
    host.wait_for(lambda: "200" in host.run(["cat", "/run/asking"]).stdout)
    try:
        yield got
    finally:
        host.run(["touch", "/run/stop"])
        host.wait_for(lambda: "asking" not in host.run(["pgrep", "-af", "asking.crt"], check=False).stdout)
        got += host.run(["cat", "/run/asking"]).stdout.split()


# -- ad hoc


def test_a_command_runs_on_the_selected_hosts_and_each_line_names_its_host(deployed: Operator) -> None:
    said = deployed.inv("exec", "--hosts", "phi:*", "--", "nvidia-smi", "-L")
    assert said.status == 0, said.err
    assert said.out == ""
    for host in GPU_HOSTS:
        assert re.search(rf"^{host} +GPU 0: ", said.err, re.MULTILINE), said.err
        assert re.search(rf"^{host} +done +1 change$", said.err, re.MULTILINE), said.err


def test_what_a_command_says_is_there_for_programs_too(deployed: Operator) -> None:
    said = deployed.inv("exec", "--hosts", "phi:gpu-1,phi:gpu-2", "--json", "--", "sh", "-c", "hostname; exit 3")
    assert said.status == 1
    hosts = {host["host"]: host for host in json.loads(said.out)["phi"]["hosts"]}
    assert {name: (host["status"], host["stdout"]) for name, host in hosts.items()} == {
        name: (3, f"{name}\n") for name in GPU_HOSTS[:2]
    }


def test_where_it_failed_it_can_be_run_again_and_nowhere_else(deployed: Operator) -> None:
    said = deployed.inv("exec", "--hosts", "phi", "--", "grep", "-q", "phi-gpu-2", "/etc/hostname")
    assert said.status == 1
    (again,) = re.findall(r"phi: when mended: inv (.*)", said.err)
    assert again == "exec --hosts phi-gpu-1,phi-gpu-3 -- grep -q phi-gpu-2 /etc/hostname"
    assert re.search(r"^phi-gpu-2 +done", said.err, re.MULTILINE)


def test_words_are_passed_as_they_are_and_no_shell_sees_them(deployed: Operator) -> None:
    said = deployed.inv("exec", "--hosts", "phi:gpu-1", "--", "printf", "<%s>", "$HOME; id", "$(id)", "two  words")
    assert "<$HOME; id><$(id)><two  words>" in said.err


def test_without_sudo_a_command_cannot_become_root(deployed: Operator) -> None:
    said = deployed.inv("exec", "--hosts", "phi:gpu-1", "--", "sudo", "-n", "id", "-u")
    assert_told(said, "phi-gpu-1", "sudo -n id -u failed", why="no new privileges")


def test_with_sudo_it_is_root_and_asked_about(deployed: Operator) -> None:
    words = ("exec", "--hosts", "phi:gpu-1", "--sudo")
    assert "there is no terminal to ask on" in deployed.inv(*words, "--", "id", "-u").err
    said = deployed.inv(*words, "--yes", "--", "id", "-u")
    assert re.search(r"^phi-gpu-1 +0$", said.err, re.MULTILINE), said.err


def test_a_script_runs_in_whatever_it_is_written_and_leaves_nothing(
    lab: Lab, deployed: Operator, tmp_path: Path
) -> None:
    script = tmp_path / "count.py"
    script.write_text("#!/usr/bin/python3\nimport sys\nprint('counted', len(sys.argv) - 1)\n")
    said = deployed.inv("exec", "--hosts", "phi:gpu-2", "--script", str(script), "--", "a", "b c")
    assert re.search(r"^phi-gpu-2 +counted 2$", said.err, re.MULTILINE), said.err
    assert lab.host("phi-gpu-2").run(["find", "/tmp", "-user", "scout", "-type", "f"]).stdout == ""  # noqa: S108


def test_a_command_that_takes_too_long_is_ended_on_the_host(lab: Lab, deployed: Operator) -> None:
    said = deployed.inv("exec", "--hosts", "phi:gpu-3", "--timeout", "1", "--", "sleep", "4711")
    assert_told(said, "phi-gpu-3", "took longer than 1 s")
    assert "4711" not in lab.host("phi-gpu-3").run(["ps", "-eo", "args"]).stdout


def test_ad_hoc_commands_are_in_the_audit(deployed: Operator) -> None:
    runs = [run for run in deployed.audit() if run["command"].startswith("inv exec")]
    assert {run["result"] for run in runs} == {"done", "failed"}
    assert runs[0]["hosts"] == [*GPU_HOSTS]


def test_a_host_of_a_scout_can_be_looked_at_too(deployed: Operator) -> None:
    said = deployed.inv("exec", "--hosts", "scout-*,staging", "--", "hostname")
    assert said.status == 0, said.err
    for host in ("scout-prod-1", "scout-preprod-1", "staging-1"):
        assert re.search(rf"^{host} +{host}$", said.err, re.MULTILINE), said.err


# -- out of service and back


def test_a_drained_host_serves_no_more_and_no_scout_notices(lab: Lab, deployed: Operator) -> None:
    scout = lab.host("scout-prod-1")
    with asking(scout, (lab.site / "secrets/ca.crt").read_text()) as got:
        said = deployed.inv("drain-host", "--hosts", "phi:gpu-2", *WHY)
    assert said.status == 0, said.err
    assert re.search(r"^phi-gpu-2 +no Ollama runs on it any more", said.err, re.MULTILINE)
    assert "to undo it: inv undrain-host --hosts phi-gpu-2 --reason" in said.err
    assert serving(lab) == {"phi-gpu-1", "phi-gpu-3"}
    assert set(got) == {"200"}


def test_a_drained_host_is_left_out_of_a_deploy_and_named(lab: Lab, deployed: Operator) -> None:
    deployed.edit("phi", lambda phi: phi["ollama"].update(keep_alive="1h"))
    said = deployed.deploy()
    assert said.status == 0, said.err
    assert "phi-gpu-2: it is drained: no Ollama runs on it" in said.err
    assert "fan 3 is loud" in said.err
    assert "inv undrain-host --hosts phi-gpu-2" in said.err
    assert serving(lab) == {"phi-gpu-1", "phi-gpu-3"}


def test_draining_it_again_is_nothing_to_do(deployed: Operator) -> None:
    assert deployed.inv("drain-host", "--hosts", "phi:gpu-2", "--reason", "x", "--plan").status == 0


def test_the_last_nodes_that_serve_do_not_go(lab: Lab, deployed: Operator) -> None:
    said = deployed.inv("drain-host", "--hosts", "phi:gpu-1,phi:gpu-3", *WHY)
    assert said.status == 1
    assert "phi: draining phi-gpu-1, phi-gpu-3 would leave no node that serves" in said.err
    assert "--allow-outage" in said.err
    assert serving(lab) == {"phi-gpu-1", "phi-gpu-3"}


def test_a_host_that_is_back_serves_again(lab: Lab, deployed: Operator) -> None:
    said = deployed.inv("undrain-host", "--hosts", "phi:gpu-2", *WHY)
    assert said.status == 0, said.err
    assert re.search(r"^phi-gpu-2 +Ollama 0.24.0 answers$", said.err, re.MULTILINE)
    assert serving(lab) == set(GPU_HOSTS)


def test_what_others_cordoned_is_not_taken_for_drained(lab: Lab, deployed: Operator) -> None:
    kubectl(lab, "cordon", "phi-gpu-3")
    try:
        said = deployed.inv("undrain-host", "--hosts", "phi:gpu-3", *WHY)
    finally:
        kubectl(lab, "uncordon", "phi-gpu-3")
    assert said.status == 0
    assert "phi: nothing to do" in said.err


# -- restart


def test_pods_are_restarted_one_at_a_time_and_no_scout_notices(lab: Lab, deployed: Operator) -> None:
    before = kubectl(lab, "get", "pods", "-n", "ollama", "-o", "jsonpath={.items[*].metadata.uid}").split()
    with asking(lab.host("scout-prod-1"), (lab.site / "secrets/ca.crt").read_text()) as got:
        said = deployed.inv("restart-ollama", "--hosts", "phi", *WHY)
    assert said.status == 0, said.err
    after = kubectl(lab, "get", "pods", "-n", "ollama", "-o", "jsonpath={.items[*].metadata.uid}").split()
    assert len(after) == 3
    assert not set(before) & set(after)
    assert set(got) == {"200"}


def test_a_restart_stops_where_a_pod_does_not_come_back(lab: Lab, deployed: Operator) -> None:
    """The store of one node is away: its pod cannot start, and the others keep theirs."""
    store = lab.host("phi-gpu-1").root / "var/lib/ollama"
    store.rename(store.with_name("ollama-away"))
    pods = kubectl(lab, "get", "pods", "-n", "ollama", "-o", "name").split()
    try:
        with deployed.typing("restart-ollama", "--hosts", "phi", *WHY) as process:
            lab.host("phi-gpu-1").wait_for(
                lambda: (
                    "FailedMount"
                    in kubectl(lab, "get", "events", "-n", "ollama", "-o", "name,reason=.reason", check=False)
                    or "FailedMount" in kubectl(lab, "get", "events", "-n", "ollama")
                )
            )
    finally:
        store.with_name("ollama-away").rename(store)
    assert process.returncode == 1
    left = set(kubectl(lab, "get", "pods", "-n", "ollama", "-o", "name").split())
    assert len(left & set(pods)) == 2
    lab.host("phi-gpu-1").wait_for(lambda: serving(lab) == set(GPU_HOSTS))
    kubectl(lab, "rollout", "status", "daemonset/ollama", "-n", "ollama", "--timeout=120s")


def test_a_restart_on_a_node_that_went_away_is_told_in_time(lab: Lab, deployed: Operator) -> None:
    """Its pod stays where it is until the node is back: there is no use in waiting for a new one."""
    lab.host("phi-gpu-3").cut()
    try:
        kubectl(lab, "wait", "--for=condition=Ready=Unknown", "node/phi-gpu-3", "--timeout=60s")
        said = deployed.inv("restart-ollama", "--hosts", "phi:gpu-3", *WHY)
    finally:
        lab.host("phi-gpu-3").restore()
    assert_told(said, "phi-gpu-3", "its Ollama pod is not ready: its node is not ready", next="describe pods")
    kubectl(lab, "wait", "--for=condition=Ready", "node/phi-gpu-3", "--timeout=60s")
    going = ("get", "pods", "-n", "ollama", "-o", "jsonpath={.items[*].metadata.deletionTimestamp}")
    lab.host("phi-gpu-1").wait_for(lambda: not kubectl(lab, *going))
    lab.host("phi-gpu-1").wait_for(lambda: serving(lab) == set(GPU_HOSTS))
    kubectl(lab, "rollout", "status", "daemonset/ollama", "-n", "ollama", "--timeout=120s")


# -- the certificate


def test_a_certificate_is_replaced_with_proof_and_no_scout_notices(lab: Lab, deployed: Operator) -> None:
    pair = deployed.authority.issue(["ollama.phi.example.edu"])
    pair.write(deployed.site / "secrets/phi.crt", deployed.site / "secrets/phi.key")
    deployed.edit("phi", lambda phi: phi["ollama"].update(keep_alive="3h"))  # somebody else's work in progress
    pods = kubectl(lab, "get", "pods", "-n", "ollama", "-o", "jsonpath={.items[*].metadata.uid}")
    plan = deployed.inv("rotate-tls", "--hosts", "phi", "--reason", "expires", "--plan")
    assert re.search(r"~ certificate: ollama.phi.example.edu, serial .* → ollama.phi.example.edu, serial", plan.err)
    assert "KEEP_ALIVE" not in plan.err
    with asking(lab.host("scout-prod-1"), (lab.site / "secrets/ca.crt").read_text()) as got:
        said = deployed.inv("rotate-tls", "--hosts", "phi", *WHY)
    assert said.status == 0, said.err
    assert "answers over TLS with its certificate, on phi-gpu-1, phi-gpu-2, phi-gpu-3" in said.err
    assert set(got) == {"200"}
    assert kubectl(lab, "get", "pods", "-n", "ollama", "-o", "jsonpath={.items[*].metadata.uid}") == pods
    assert serial(lab, pair.certificate) == served_serial(lab)


def serial(lab: Lab, pem: bytes) -> str:
    return lab.host("staging-1").run(["openssl", "x509", "-noout", "-serial"], input=pem.decode()).stdout


def served_serial(lab: Lab) -> str:
    client = "openssl s_client -connect ollama.phi.example.edu:443 </dev/null 2>/dev/null | openssl x509 -noout -serial"
    return lab.host("scout-prod-1").run(["sh", "-c", client]).stdout


def test_a_certificate_that_is_in_place_is_nothing_to_do(deployed: Operator) -> None:
    said = deployed.inv("rotate-tls", "--hosts", "phi", *WHY)
    assert said.status == 0, said.err
    assert "phi: nothing to do" in said.err


def test_a_rotation_can_be_undone_and_takes_nothing_else_along(lab: Lab, deployed: Operator) -> None:
    now = served_serial(lab)
    said = deployed.inv("rollback-ollama", "--hosts", "phi", "--yes")
    assert said.status == 0, said.err
    assert "Secret ollama/ollama-tls" in said.err
    assert "DaemonSet" not in said.err
    assert served_serial(lab) != now
    assert json.loads(from_scout(lab, "--fail", f"{URL}/api/version"))["version"] == "0.24.0"


def test_a_rollback_to_a_certificate_that_has_expired_is_refused(lab: Lab, deployed: Operator) -> None:
    """The clock cannot be turned for the whole site, so the kept certificate is replaced by one that has expired."""
    expired = deployed.authority.issue(["ollama.phi.example.edu"], valid=timedelta(days=-1)).certificate.decode()
    script = (
        "import base64, re, sys; path, pem = sys.argv[1], sys.stdin.read(); text = open(path).read(); "
        "new = base64.b64encode(pem.encode()).decode(); "
        "open(path, 'w').write(re.sub(r'tls.crt: \\S+', 'tls.crt: ' + new, text))"
    )
    file = "/var/lib/scout-ollama/revisions/1.yaml"
    lab.host("phi-gpu-1").run(["python3", "-c", script, file], input=expired)
    said = deployed.inv("rollback-ollama", "--hosts", "phi", "--to", "1", "--yes")
    assert said.status == 1
    assert "revision 1 cannot be gone back to: its certificate expired on" in said.err


def test_a_revision_that_is_not_kept_is_told_with_those_that_are(deployed: Operator) -> None:
    said = deployed.inv("rollback-ollama", "--hosts", "phi", "--to", "99", "--plan")
    assert said.status == 1
    assert "revision 99 is not kept" in said.err
    assert re.search(r"why: kept are 1, 2", said.err)
