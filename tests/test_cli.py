"""The commands as they are typed: the real ``inv`` as a process, judged by its status and by what it prints."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from lab import chart
from lab.certificates import Authority

ROOT = Path(__file__).parent.parent
INV = Path(sys.executable).with_name("inv")
CHANGING = {
    "connect-scout",
    "deploy-ollama",
    "disconnect-scout",
    "drain-host",
    "exec",
    "prune-models",
    "pull-models",
    "release-lock",
    "remove-embedded-ollama",
    "remove-ollama",
    "restart-ollama",
    "rollback-models",
    "rollback-ollama",
    "rotate-tls",
    "undrain-host",
    "verify-models",
}
COMMANDS = {
    *CHANGING,
    *(
        "audit",
        "check",
        "check-access",
        "fetch-chart",
        "install-gpu-operator",
        "lab-down",
        "lab-up",
        "list-hosts",
        "list-images",
        "list-models",
        "render",
        "show-host-keys",
        "show-lock",
        "status",
        "trust-host",
    ),
}
HEAVY = {"cryptography", "fabric", "jinja2", "lab", "paramiko", "pydantic", "rich", "scout_ollama"}


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str


def typed(*words: str, flags: tuple[str, ...] = (), **environment: str) -> Said:
    """Type ``inv`` with these words, in the checkout, with nobody at the terminal."""
    done = subprocess.run(
        [sys.executable, *flags, str(INV), *words],
        cwd=ROOT,
        env={**{name: value for name, value in os.environ.items() if name != "SCOUT_SITE"}, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A copy of the shipped inventory that a test may edit."""
    directory = tmp_path / "site"
    shutil.copytree(ROOT / "hosts", directory, ignore=shutil.ignore_patterns("secrets"))
    return directory


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


# -- what there is


def test_the_list_of_commands_is_the_list_of_commands() -> None:
    tasks = json.loads(typed("--list", "--list-format", "json").out)["tasks"]
    assert {task["name"] for task in tasks} == COMMANDS
    assert all(task["help"] for task in tasks)


def test_listing_the_commands_loads_nothing_that_is_slow() -> None:
    listed = typed("--list", flags=("-X", "importtime"))
    names = {line.rpartition("|")[2].strip() for line in listed.err.splitlines() if line.startswith("import time:")}
    assert "invoke" in names, "the modules that were loaded could not be told"
    assert "deploy-ollama" in listed.out
    light = {"scout_ollama", "scout_ollama.pipes"}
    assert {name.partition(".")[0] for name in names - light} & HEAVY == set()


def test_who_deploys_does_not_wait_for_the_making_of_what_json_prints() -> None:
    code = "import sys, scout_ollama.deploy; print('scout_ollama.results' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize(("wish", "kept"), [("", True), ("1", False)])
def test_what_a_command_compiled_is_there_for_the_next_one(tmp_path: Path, wish: str, kept: bool) -> None:
    typed("list-hosts", PYTHONPYCACHEPREFIX=str(tmp_path), PYTHONDONTWRITEBYTECODE=wish)
    assert bool([*tmp_path.rglob("listing.*.pyc")]) is kept


@pytest.mark.parametrize("words", [["--list"], ["list-hosts"], ["render"], ["check", "--explain", "gpu"]])
def test_a_reader_who_leaves_is_nobodys_fault(words: list[str]) -> None:
    """As in ``inv render | head``: here nobody reads from the beginning."""
    read, write = os.pipe()
    os.close(read)
    environment = {**os.environ, "SCOUT_SITE": str(ROOT / "hosts")}
    with os.fdopen(write, "w") as output:
        said = subprocess.run(
            [INV, *words], cwd=ROOT, env=environment, stdout=output, stderr=subprocess.PIPE, text=True, check=False
        )
    assert said.stderr.startswith("log: ") or not said.stderr


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help_under_the_usual_flag(command: str) -> None:
    """Invoke would take -h for the first option that begins with an h, as --hosts does."""
    said = typed(command, "-h")
    assert said.status == 0
    assert said.out.startswith(f"Usage: inv[oke] [--core-opts] {command}")
    assert "Docstring:" in said.out


def test_the_help_of_the_main_job_names_its_options() -> None:
    said = typed("deploy-ollama", "-h").out
    assert all(f"--{option}" in said for option in ("hosts", "site", "plan", "yes", "json"))


# -- which hosts, which inventory


@pytest.mark.parametrize(
    "command", ["check-access", "list-hosts", "list-images", "deploy-ollama", "render", "show-host-keys", "status"]
)
def test_a_selector_that_matches_nothing_is_refused_with_the_closest_name(command: str) -> None:
    said = typed(command, "--hosts", "ph1-gpu-1")
    assert said.status == 1
    assert "no host or cluster matches 'ph1-gpu-1'" in said.err
    assert "did you mean phi-gpu-1?" in said.err


def test_a_deploy_without_a_selection_deploys_nothing() -> None:
    said = typed("deploy-ollama", "--yes")
    assert said.status == 1
    assert "no hosts selected" in said.err


def named(site: Path, name: str) -> str:
    """Give the inventory a host of this name, and return the name."""
    edit(site / "scout-dev.yaml", "scout-dev-1", name)
    return name


def test_the_inventory_is_chosen_by_the_option_before_the_environment_before_the_default(
    site: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(site, tmp_path / "other"))
    first, second = named(site, "scout-first"), named(other, "scout-second")
    assert "scout-dev-1" in typed("list-hosts").out
    assert second in typed("list-hosts", SCOUT_SITE=str(other)).out
    both = typed("list-hosts", "--site", str(site), SCOUT_SITE=str(other)).out
    assert first in both
    assert second not in both


def test_an_inventory_that_is_not_there_is_refused_by_its_path(tmp_path: Path) -> None:
    said = typed("list-hosts", "--site", str(tmp_path / "nowhere"))
    assert said.status == 1
    assert f"{tmp_path / 'nowhere'}: is not a directory" in said.err


def test_a_file_that_is_no_yaml_is_refused_with_its_line(site: Path) -> None:
    edit(site / "phi.yaml", "kind: ollama", "kind: [ollama")
    said = typed("list-hosts", "--site", str(site))
    assert said.status == 1
    assert "phi.yaml: is not valid YAML: line" in said.err


def test_a_list_for_programs_is_json_and_nothing_else() -> None:
    said = typed("list-hosts", "--hosts", "phi", "--json")
    assert (said.status, said.err) == (0, "")
    assert [row["host"] for row in json.loads(said.out)] == ["phi-gpu-1", "phi-gpu-2", "phi-gpu-3"]


# -- manifests


def test_render_contacts_nothing_and_shows_no_secret(site: Path) -> None:
    """No file that the inventory names is there, and no host of it exists."""
    said = typed("render", "--site", str(site), "--hosts", "phi")
    assert (said.status, said.err) == (0, "")
    objects = list(yaml.safe_load_all(said.out))
    (tls,) = [obj for obj in objects if obj["kind"] == "Secret"]
    assert set(tls["data"]) == {"tls.crt", "tls.key"}
    assert tls["data"]["tls.key"] == "KHJlZGFjdGVkKQ==", "base64 of (redacted)"


def test_render_shows_no_key_that_is_there(site: Path) -> None:
    (site / "secrets").mkdir()
    (site / "secrets" / "phi.key").write_text("hunter2")
    (site / "secrets" / "phi.crt").write_text("hunter2")
    said = typed("render", "--site", str(site), "--hosts", "phi").out
    assert "hunter2" not in said
    assert "aHVudGVyMg" not in said, "hunter2 in base64"


def test_to_list_and_to_render_asks_for_no_secret(site: Path) -> None:
    """The command would leave a file, the variable is not set."""
    edit(site / "phi.yaml", "key: secrets/phi.key", "key: {command: [touch, asked]}")
    with (site / "staging.yaml").open("a") as staging:
        staging.write("  username: robot\n  password: {environment: NO_SUCH_VARIABLE}\n")
    for words in (("list-hosts",), ("list-hosts", "--json"), ("render", "--hosts", "phi")):
        said = typed(*words, "--site", str(site))
        assert (said.status, said.err) == (0, ""), words
    assert not (site / "asked").exists()


def test_a_command_that_gives_no_secret_is_told_before_a_host_is_touched(closed: Path) -> None:
    edit(closed / "phi.yaml", "key: secrets/phi.key", "key: {command: [sh, -c, echo hunter2; exit 3]}")
    said = typed("deploy-ollama", "--site", str(closed), "--hosts", "phi", "--yes")
    assert said.status == 1
    assert "cannot read what sh prints\n  why: it was ended with status 3\n" in said.err
    assert "phi-gpu-1" not in said.err
    assert "hunter2" not in said.err


# -- deploying what cannot be deployed


def test_a_cluster_that_runs_no_ollama_is_refused_with_what_does() -> None:
    said = typed("deploy-ollama", "--hosts", "staging", "--yes")
    assert said.status == 1
    assert "no cluster in staging runs an Ollama" in said.err
    assert "next: inv list-hosts --hosts ollama" in said.err


def test_a_part_of_a_cluster_is_refused_with_the_command_for_the_whole() -> None:
    said = typed("deploy-ollama", "--hosts", "phi:gpu-1", "--yes")
    assert said.status == 1
    assert "leaves out phi-gpu-2, phi-gpu-3" in said.err
    assert "next: inv deploy-ollama --hosts phi\n" in said.err


def test_a_certificate_that_is_not_there_is_refused_by_where_the_inventory_names_it(site: Path) -> None:
    said = typed("deploy-ollama", "--site", str(site), "--hosts", "phi", "--yes")
    assert said.status == 1
    assert "phi.yaml: ollama.tls.certificate: " in said.err
    assert f"{site / 'secrets' / 'phi.crt'} does not exist" in said.err


# -- hosts that are not there


@pytest.fixture
def closed(site: Path) -> Iterator[Path]:
    """The site with everything that a deploy of phi needs, but nothing listens on any of its hosts.

    The ports are bound and not listened on: they refuse a connection, and nobody else can come to listen there.
    """
    secrets = site / "secrets"
    secrets.mkdir()
    Authority.create(secrets).issue(["ollama.phi.example.edu"]).write(secrets / "phi.crt", secrets / "phi.key")
    chart.write(site / "charts")
    document = yaml.safe_load((site / "phi.yaml").read_text())
    document["ssh"] = {"user": "scout", "connect_timeout": 5}
    taken: list[socket.socket] = []
    for number, host in enumerate(document["hosts"].values(), 1):
        taken.append(socket.socket())
        taken[-1].bind((f"127.0.0.{number}", 0))
        host |= {"address": f"127.0.0.{number}", "ssh": {"port": taken[-1].getsockname()[1]}}
    (site / "phi.yaml").write_text(yaml.safe_dump(document))
    yield site
    for port in taken:
        port.close()


def test_a_cluster_of_which_no_host_can_be_reached_is_told_host_by_host(closed: Path) -> None:
    said = typed("deploy-ollama", "--site", str(closed), "--hosts", "phi", "--plan")
    assert said.status == 1
    for host in ("phi-gpu-1", "phi-gpu-2", "phi-gpu-3"):
        assert f"{host}: refuses the connection" in said.err
    assert "phi: when mended: inv deploy-ollama" in said.err
    assert said.out == ""


def test_without_the_host_that_keeps_the_lock_nothing_is_begun(closed: Path) -> None:
    said = typed("deploy-ollama", "--site", str(closed), "--hosts", "phi", "--yes")
    assert said.status == 1
    assert "phi-gpu-1: phi: its lock cannot be taken, so nothing was begun" in said.err
    assert "refuses the connection" in said.err
    assert "name another server first in phi.yaml" in said.err


def test_a_deploy_for_programs_is_json_also_when_it_fails(closed: Path) -> None:
    said = typed("deploy-ollama", "--site", str(closed), "--hosts", "phi", "--yes", "--json")
    assert said.status == 1
    phi = json.loads(said.out)["phi"]
    assert (phi["changes"], phi["made"], phi["proved"]) == ([], False, [])
    assert "phi-gpu-1" in json.dumps(phi["troubles"])


def test_the_fingerprint_of_a_host_that_is_not_there_is_told_without_a_traceback(closed: Path) -> None:
    said = typed("show-host-keys", "--site", str(closed), "--hosts", "phi")
    assert said.status == 1
    assert all(host in said.out + said.err for host in ("phi-gpu-1", "phi-gpu-2", "phi-gpu-3"))


def test_invokes_own_dry_run_connects_to_nobody_and_points_at_the_plan(closed: Path) -> None:
    """Fabric runs a command under ``inv --dry`` all the same, where its connection has a configuration of its own."""
    said = typed("--dry", "deploy-ollama", "--site", str(closed), "--hosts", "phi", "--yes")
    assert said.status == 1
    assert "refuses the connection" not in said.err
    assert "--plan" in said.err


@pytest.mark.parametrize("word", ["--host", "--frobnicate"])
def test_an_option_that_does_not_exist_is_refused(word: str, site: Path) -> None:
    said = typed("deploy-ollama", word, "phi", "--site", str(site))
    assert said.status == 1
    assert word in said.out + said.err
