"""Models: from the registry to staging, from there to every node, versioned, undone; and what goes wrong on the way."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.lab import Lab
from lab.labhost import LabHost
from tests.journeys.conftest import (
    Operator,
    Said,
    assert_addresses_are_the_inventorys,
    assert_proved,
    assert_told,
    from_scout,
)
from tests.journeys.test_11_runbook import asking

pytestmark = pytest.mark.lab

SHARE = "/srv/nfs/ollama"
STORE = "/var/lib/ollama"
LIBRARY = "manifests/registry.ollama.ai/library"
URL = "https://ollama.phi.example.edu"
NODES = ("phi-gpu-1", "phi-gpu-2", "phi-gpu-3")
LONG = "gemma4-31b-long:latest"
VARIANT = {"base": "gemma4:31b", "name": LONG, "num_ctx": 4096, "num_predict": -1, "preload": True}


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """One operator for the whole story; Ollama runs, and the nodes have a model that somebody put there by hand."""
    directory = tmp_path_factory.mktemp("models")
    operator = Operator(Path(shutil.copytree(lab.site, directory / "site")), directory / "home")
    want(operator)
    said = operator.deploy()
    assert said.status == 0, said.err
    for node in NODES:
        put_by_hand(lab.host(node), "tiny:latest")
    yield operator
    assert_addresses_are_the_inventorys(lab, operator)


@pytest.fixture
def staging(lab: Lab) -> LabHost:
    return lab.host("staging-1")


def pull(operator: Operator, *words: str) -> Said:
    return operator.inv("pull-models", "--hosts", "phi", *(words or ("--yes",)))


def want(operator: Operator, *models: str, variant: bool = False) -> None:
    variants = [VARIANT] if variant else []
    operator.edit("phi", lambda phi: phi["ollama"].update(models=list(models), scout_models=variants))


def matrix(operator: Operator) -> dict[str, dict[str, object]]:
    said = operator.inv("list-models", "--hosts", "phi", "--json")
    assert said.status == 0, said.err
    return {row["model"]: row for row in json.loads(said.out)}


def weights(host: LabHost, store: str, name: str) -> str:
    """The file of a model's weights, on a host."""
    manifest = json.loads((host.root / store.strip("/") / LIBRARY / name.replace(":", "/")).read_text())
    (digest,) = (layer["digest"] for layer in manifest["layers"] if layer["mediaType"].endswith(".model"))
    return f"{store}/blobs/{digest.replace(':', '-')}"


def spoil(host: LabHost, file: str, how: str) -> None:
    """What broken disks, copies and pulls leave behind."""
    scripts = {
        "a flipped byte": 'printf "\\377" | dd of="$1" bs=1 seek=1000 conv=notrunc status=none',
        "a truncated file": 'truncate -s 4096 "$1"',
        "a sparse file of full size": 'size=$(stat -c %s "$1"); : >"$1"; truncate -s "$size" "$1"',
    }
    host.run(["sh", "-ec", scripts[how], "-", file])


def push(staging: LabHost, *models: str) -> None:
    """Put models into the registry; another seed moves the tag."""
    staging.run_module("lab.standins.model_registry", *models)


def put_by_hand(host: LabHost, model: str) -> None:
    """Put a model into a node's store, past the product."""
    host.run_module("lab.standins.models", "seed", STORE, model)


@contextmanager
def share_away(staging: LabHost) -> Iterator[None]:
    """An empty directory where the share should be mounted."""
    staging.run(["sh", "-ec", f"mv {SHARE} {SHARE}-away; mkdir {SHARE}"])
    try:
        yield
    finally:
        staging.run(["sh", "-ec", f"rmdir {SHARE}; mv {SHARE}-away {SHARE}"])


def served(lab: Lab) -> list[str]:
    return sorted(model["name"] for model in json.loads(from_scout(lab, "--fail", f"{URL}/api/tags"))["models"])


def jobs(staging: LabHost) -> list[str]:
    return staging.run(["k3s", "kubectl", "get", "jobs", "-n", "scout-ollama", "-o", "name"]).stdout.split()


# -- the straight way


def test_1_the_plan_shows_every_model_with_its_size_and_changes_nothing(site: Operator, staging: LabHost) -> None:
    want(site, "tiny:latest", "small:latest", variant=True)
    said = pull(site, "--plan")
    assert said.status == 2, said.err
    assert "pull tiny:latest, small:latest, gemma4:31b; make gemma4-31b-long:latest" in said.err
    assert re.search(r"\+ small:latest 157 kB$", said.err, re.MULTILINE)
    assert "+ gemma4-31b-long:latest from gemma4:31b with num_ctx 4096, num_predict -1" in said.err
    assert re.search(r"phi-gpu-1 +copy about \d+ kB, publish 2 models  \(and on phi-gpu-2, phi-gpu-3\)", said.err)
    assert staging.run(["find", SHARE, "-type", "f"]).stdout == ""


def test_2_models_come_to_staging_and_to_every_node_and_are_served(lab: Lab, site: Operator, staging: LabHost) -> None:
    with asking(lab.host("scout-prod-1"), (lab.site / "secrets/ca.crt").read_text()) as got:
        said = pull(site)
    assert said.status == 0, said.err
    for node in NODES:
        assert re.search(rf"^{node} +Ollama lists and opens 3 models as published$", said.err, re.MULTILINE), said.err
    assert served(lab) == [LONG, "small:latest", "tiny:latest"]
    assert set(got) == {"200"}
    assert len(jobs(staging)) == 1
    for node in NODES:
        left = lab.host(node).run(["find", f"{STORE}/.scout-ollama", f"{STORE}/manifests", "-type", "f"]).stdout
        assert all(f"{STORE}/{LIBRARY}/" in path for path in left.split()), left


def test_3_a_second_run_has_nothing_to_do(site: Operator) -> None:
    said = pull(site)
    assert said.status == 0, said.err
    assert "phi: nothing to do" in said.err


def test_4_the_matrix_and_the_lock_agree(site: Operator) -> None:
    rows = matrix(site)
    assert set(rows) == {LONG, "small:latest", "tiny:latest"}
    lock = dict(line.split("  ")[::2][::-1] for line in (site.site / "models.lock").read_text().splitlines())
    for name, row in rows.items():
        assert row["drift"] == ""
        assert row["lock"] == lock[name]
        copies = row["nodes"]
        assert isinstance(copies, dict)
        assert {copy["state"] for copy in copies.values()} == {"verified"}
        assert {copy["in_memory"] for copy in copies.values()} == {name == LONG}


def test_5_staging_has_the_run_in_its_own_audit(site: Operator) -> None:
    runs = json.loads(site.inv("audit", "--hosts", "staging", "--json").out)
    assert [(run["command"], run["result"]) for run in runs] == [("pull models for phi", "done")]


# -- versions


def test_6_a_tag_that_moved_stays_until_it_is_asked_for(lab: Lab, site: Operator, staging: LabHost) -> None:
    before = matrix(site)["small:latest"]["lock"]
    push(staging, "small:latest=second")
    assert "phi: nothing to do" in pull(site).err
    plan = pull(site, "--update", "--plan")
    assert re.search(r"~ small:latest 157 kB", plan.err), plan.err
    with asking(lab.host("scout-prod-1"), (lab.site / "secrets/ca.crt").read_text()) as got:
        said = pull(site, "--update", "--yes")
    assert said.status == 0, said.err
    assert matrix(site)["small:latest"]["lock"] != before
    assert set(got) == {"200"}
    assert "to undo it: inv rollback-models --hosts phi --to 1" in said.err


def test_7_an_earlier_set_is_served_again_without_copying(lab: Lab, site: Operator) -> None:
    now = matrix(site)["small:latest"]["lock"]
    said = site.inv("rollback-models", "--hosts", "phi", "--to", "1", "--yes")
    assert said.status == 0, said.err
    assert "copy" not in re.sub(r"copies nothing", "", said.err)
    row = matrix(site)["small:latest"]
    assert row["lock"] != now
    assert row["drift"] == "staging has another one"
    assert served(lab) == [LONG, "small:latest", "tiny:latest"]


def test_8_what_no_kept_set_names_is_shown_with_its_size_and_removed(lab: Lab, site: Operator) -> None:
    stray = lab.host("phi-gpu-2")
    put_by_hand(stray, "stray:latest")
    blob = weights(stray, STORE, "stray:latest")
    words = ("prune-models", "--hosts", "phi", "--keep", "1")
    plan = site.inv(*words, "--plan")
    assert "- stray:latest" in plan.err
    assert re.search(r"- blob [0-9a-f]{12} 156 kB", plan.err)
    said = site.inv(*words, "--yes")
    assert said.status == 0, said.err
    assert not (stray.root / blob.strip("/")).exists()
    assert stray.run(["find", f"{STORE}/manifests", "-empty"]).stdout == ""
    assert served(lab) == [LONG, "small:latest", "tiny:latest"]
    assert site.inv(*words, "--plan").status == 0


# -- bad luck


@pytest.mark.parametrize("how", ["a flipped byte", "a truncated file", "a sparse file of full size"])
def test_damage_on_staging_is_named_reaches_no_node_and_is_repaired(
    how: str, lab: Lab, site: Operator, staging: LabHost
) -> None:
    assert pull(site).status == 0
    before = served(lab)
    blob = weights(staging, SHARE, "small:latest")
    good = [(lab.host(node).root / f"{STORE}/blobs".strip("/") / Path(blob).name).read_bytes() for node in NODES]
    spoil(staging, blob, how)
    for _ in range(2):
        said = pull(site)
        assert_told(said, "staging-1", "damaged: 1 blob", why="small:latest: blob", next="--repair")
    assert matrix(site)["small:latest"]["drift"] == "damaged on staging"
    said = pull(site, "--repair", "--yes")
    assert said.status == 0, said.err
    assert (staging.root / blob.strip("/")).read_bytes() == good[0]
    assert good == [
        (lab.host(node).root / f"{STORE}/blobs".strip("/") / Path(blob).name).read_bytes() for node in NODES
    ]
    assert served(lab) == before


@pytest.mark.parametrize("how", ["a flipped byte", "a truncated file", "a sparse file of full size"])
def test_damage_on_a_node_is_found_and_copied_anew(how: str, lab: Lab, site: Operator, staging: LabHost) -> None:
    node = lab.host("phi-gpu-3")
    blob = weights(node, STORE, "small:latest")
    spoil(node, blob, how)
    said = site.inv("verify-models", "--hosts", "phi", "--yes")
    assert_told(said, "phi-gpu-3", "missing or damaged: 1 blob", next="inv pull-models")
    said = pull(site)
    assert said.status == 0, said.err
    wanted = staging.root / f"{SHARE}/blobs".strip("/") / Path(blob).name
    assert (node.root / blob.strip("/")).read_bytes() == wanted.read_bytes()


@pytest.mark.parametrize("text", ["", '{"oops', "[]", "null"])
def test_a_manifest_that_is_none_is_pulled_again_and_empties_no_node(
    text: str, lab: Lab, site: Operator, staging: LabHost
) -> None:
    file = staging.root / SHARE.strip("/") / LIBRARY / "tiny/latest"
    before = file.read_bytes()
    file.write_text(text)
    said = pull(site)
    assert said.status == 0, said.err
    assert file.read_bytes() == before
    assert "tiny:latest" in served(lab)


def test_names_that_are_none_are_passed_over_and_told(site: Operator, staging: LabHost) -> None:
    odd = staging.root / SHARE.strip("/") / LIBRARY / "small" / "a\nb'$(touch oops)"
    odd.write_text("x")
    try:
        said = pull(site)
    finally:
        odd.unlink()
    assert said.status == 0, said.err
    assert "no manifests: 1 file below /srv/nfs/ollama/manifests" in said.err


def test_an_unmounted_share_is_told_and_empties_no_node(lab: Lab, site: Operator, staging: LabHost) -> None:
    before = served(lab)
    with share_away(staging):
        said = pull(site)
    assert_told(said, "staging-1", "the share of models /srv/nfs/ollama is not there", why="not be mounted")
    assert served(lab) == before


def test_a_model_that_no_registry_has_is_told_with_ollamas_own_words(lab: Lab, site: Operator) -> None:
    want(site, "tiny:latest", "small:latest", "nosuch:1", variant=True)
    try:
        said = pull(site)
    finally:
        want(site, "tiny:latest", "small:latest", variant=True)
    assert_told(said, "staging-1", "the models could not be pulled", why="file does not exist", next="logs -n scout")
    assert "nosuch:1" in said.err
    assert served(lab) == [LONG, "small:latest", "tiny:latest"]


def test_a_runner_that_was_killed_leaves_a_job_that_the_next_run_awaits(site: Operator, staging: LabHost) -> None:
    """The Job goes on without its runner; a second one is never made beside it."""
    push(staging, "extra:latest")
    want(site, "tiny:latest", "small:latest", "extra:latest", variant=True)
    staging.run(["tee", "/etc/lab/pull-waits"], input="extra:latest\n")
    try:
        with site.typing("pull-models", "--hosts", "phi", "--yes") as process:
            staging.wait_for(lambda: "extra:latest" in log_of(staging))
            process.send_signal(signal.SIGKILL)
        assert len(jobs(staging)) == 1
        with site.typing("pull-models", "--hosts", "phi", "--yes", "--lock-wait", "120") as process:
            assert process.stderr
            for line in process.stderr:
                if "a Job of an earlier run still pulls there" in line:
                    break
            staging.run(["rm", "/etc/lab/pull-waits"])
            _, err = process.communicate(timeout=200)
        assert process.returncode == 0, err
    finally:
        staging.run(["rm", "-f", "/etc/lab/pull-waits"])
    assert matrix(site)["extra:latest"]["drift"] == ""


@pytest.mark.parametrize("begun", ["verify", "copy", "publish set"])
def test_a_runner_that_is_killed_in_the_middle_leaves_nothing_half_and_the_next_run_does_the_rest(
    begun: str, lab: Lab, site: Operator, staging: LabHost
) -> None:
    name = f"{begun.split()[0]}ing:latest"
    push(staging, name)
    want(site, "tiny:latest", "small:latest", name, variant=True)
    before = served(lab)
    with site.typing("pull-models", "--hosts", "phi", "--yes") as process:
        killed_at(process, rf"^\S+ +{begun} \d+")
    assert set(before) <= set(served(lab))
    said = pull(site, "--yes", "--lock-wait", "120")
    assert said.status == 0, said.err
    assert matrix(site)[name]["drift"] == ""
    assert "phi: nothing to do" in pull(site).err


def killed_at(process: subprocess.Popen[str], line: str) -> None:
    """Kill it when it says a line that looks like this."""
    assert process.stderr
    assert any(re.search(line, said) for said in process.stderr)
    process.send_signal(signal.SIGKILL)


def test_a_tag_that_moves_on_staging_while_it_is_copied_is_published_as_it_was_verified(
    lab: Lab, site: Operator, staging: LabHost
) -> None:
    push(staging, "moving:latest")
    want(site, "tiny:latest", "small:latest", "moving:latest", variant=True)
    library = staging.root / SHARE.strip("/") / LIBRARY
    with site.typing("pull-models", "--hosts", "phi", "--yes") as process:
        assert process.stderr
        assert any(re.search(r"^\S+ +copy \d+ blob", said) for said in process.stderr)
        verified = (library / "moving/latest").read_bytes()
        (library / "moving/latest").write_bytes((library / "tiny/latest").read_bytes())
        _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    row = matrix(site)["moving:latest"]
    assert row["drift"] == "staging has another one"
    assert row["lock"] == hashlib.sha256(verified).hexdigest()
    assert "moving:latest" in served(lab)


def log_of(staging: LabHost) -> str:
    words = ["k3s", "kubectl", "logs", "-n", "scout-ollama", "-l", "job-name", "--tail=5"]
    return staging.run(words, check=False).stdout


def test_two_runs_at_once_are_one_after_the_other(site: Operator) -> None:
    with site.typing("verify-models", "--hosts", "phi", "--deep", "--yes") as first:
        assert first.stderr
        assert any("phi: 4 changes" in line for line in first.stderr)
        second = pull(site, "--yes", "--lock-wait", "200")
        _, err = first.communicate(timeout=200)
    assert first.returncode == 0, err
    assert second.status == 0, second.err


def test_a_model_that_cannot_be_loaded_stops_at_the_first_node_which_is_as_before(
    lab: Lab, site: Operator, staging: LabHost
) -> None:
    before = served(lab)
    push(staging, "bad:latest=broken")
    site.edit("phi", lambda phi: phi["ollama"]["models"].append({"name": "bad:latest", "preload": True}))
    try:
        said = pull(site)
        rows = matrix(site)
    finally:
        want(site, "tiny:latest", "small:latest", variant=True)
    assert_told(said, "phi-gpu-1", "was not published", why="what was published before is there again")
    assert re.search(r"^phi-gpu-2: left alone", said.err, re.MULTILINE), said.err
    assert served(lab) == before
    assert "not on phi-gpu-1, phi-gpu-2, phi-gpu-3" in str(rows["bad:latest"]["drift"])


# -- as a part of a deploy


def test_an_upgrade_loads_into_the_new_pods_what_is_to_be_in_memory(site: Operator) -> None:
    site.edit("phi", lambda phi: phi["ollama"].update(version="0.24.1"))
    said = site.deploy()
    site.edit("phi", lambda phi: phi["ollama"].update(version="0.24.0"))
    assert said.status == 0, said.err
    assert re.search(rf"^phi-gpu-1 +load {LONG}  \(and on phi-gpu-2, phi-gpu-3\)", said.err, re.MULTILINE), said.err
    for node in NODES:
        assert re.search(rf"^{node} +Ollama lists and opens 3 models as published$", said.err, re.MULTILINE), said.err
        assert loaded_on(site, LONG)[node]
    assert site.deploy().status == 0
    assert site.deploy("--plan").status == 0


def test_a_first_deploy_loads_it_too(site: Operator) -> None:
    assert site.inv("remove-ollama", "--hosts", "phi", "--yes").status == 0
    said = site.deploy()
    assert said.status == 0, said.err
    assert all(loaded_on(site, LONG).values())
    assert "phi: nothing to do" in site.deploy().err


def test_without_the_share_the_rest_of_a_deploy_is_done_and_it_is_told(site: Operator, staging: LabHost) -> None:
    site.edit("phi", lambda phi: phi["ollama"].update(keep_alive="3h"))
    with share_away(staging):
        said = site.deploy()
    assert_told(said, "staging-1", "the share of models /srv/nfs/ollama is not there", next="mount")
    assert re.search(r"^phi +change DaemonSet ollama/ollama", said.err, re.MULTILINE), said.err
    assert_proved(said, *NODES)
    said = site.deploy()
    assert said.status == 0, said.err
    assert all(loaded_on(site, LONG).values())
    assert "phi: nothing to do" in site.deploy().err


def loaded_on(site: Operator, name: str) -> dict[str, bool]:
    """Whether each node has a model in memory."""
    copies = matrix(site)[name]["nodes"]
    assert isinstance(copies, dict)
    return {node: copy["in_memory"] for node, copy in copies.items()}


# -- whose models they are


def test_a_scout_that_uses_a_shared_ollama_is_told_who_owns_its_models(site: Operator) -> None:
    said = site.inv("pull-models", "--hosts", "scout-prod", "--yes")
    assert said.status == 1
    assert "scout-prod uses the Ollama of phi, which owns its version and its models" in said.err
    assert "inv pull-models --hosts phi" in said.err


# -- other ways to serve


def test_without_an_air_gap_a_node_pulls_and_the_others_get_it_from_there(lab: Lab, site: Operator) -> None:
    """Here with a registry that the node can reach, and trusts, because the test says so."""
    node = lab.host("phi-gpu-1")
    registry = f"{lab.host('staging-1').address} registry.ollama.ai"
    authorities = "/etc/ssl/certs/ca-certificates.crt"
    node.run(["sh", "-ec", f'echo "{registry}" >>/etc/hosts; touch {authorities}; cp {authorities} /run/authorities'])
    node.run(["tee", authorities], input=(lab.site / "secrets/ca.crt").read_text())
    push(lab.host("staging-1"), "open:latest")
    site.edit("phi", lambda phi: phi.update(air_gapped=False))
    want(site, "tiny:latest", "small:latest", "open:latest", variant=True)
    try:
        said = pull(site)
        assert said.status == 0, said.err
        assert re.search(r"^phi-gpu-1 +pull .*open:latest", said.err, re.MULTILINE), said.err
        assert re.search(r"^phi-gpu-1 +take over \d+ blobs", said.err, re.MULTILINE), said.err
        assert "open:latest" in served(lab)
        assert "phi: nothing to do" in pull(site).err
        want(site, "tiny:latest", "small:latest", variant=True)
        assert pull(site).status == 0
        assert site.inv("prune-models", "--hosts", "phi", "--keep", "1", "--yes").status == 0
        assert node.run(["find", STORE, "-path", "*open*"]).stdout == ""
    finally:
        site.edit("phi", lambda phi: phi.update(air_gapped=True))
        want(site, "tiny:latest", "small:latest", variant=True)
        node.run(["sh", "-ec", f'sed -i "/registry.ollama.ai/d" /etc/hosts; cp /run/authorities {authorities}'])


def test_from_the_share_itself_nothing_is_copied_and_a_stale_mount_is_told(lab: Lab, site: Operator) -> None:
    for name in NODES:
        lab.host(name).run(["mkdir", "-p", SHARE])
    mounted = NODES[:2]
    for name in mounted:
        lab.host(name).run(["mount", "-t", "nfs", f"staging-1:{SHARE}", SHARE, "-o", "ro"])
    site.edit("phi", lambda phi: phi["ollama"].update(source="nfs"))
    push(lab.host("staging-1"), "shared:latest")
    want(site, "tiny:latest", "small:latest", "shared:latest", variant=True)
    try:
        said = pull(site)
        assert_told(said, "phi-gpu-3", "the share /srv/nfs/ollama is not mounted, or stale", next="findmnt")
        assert not re.search(r"^phi-gpu-\d +copy", said.err, re.MULTILINE)
        lab.host("phi-gpu-3").run(["mount", "-t", "nfs", f"staging-1:{SHARE}", SHARE, "-o", "ro"])
        deployed = site.deploy()
        assert deployed.status == 0, deployed.err
        said = pull(site)
        assert said.status == 0, said.err
        assert "shared:latest" in served(lab)
        assert lab.host("phi-gpu-1").run(["find", STORE, "-path", "*shared*"]).stdout == ""
        refused = site.inv("prune-models", "--hosts", "phi", "--plan")
        assert "phi serves from the share /srv/nfs/ollama" in refused.err
    finally:
        site.edit("phi", lambda phi: phi["ollama"].update(source="local"))
        want(site, "tiny:latest", "small:latest", variant=True)
        assert site.deploy().status == 0
        for name in NODES:
            lab.host(name).run(["umount", SHARE], check=False)
