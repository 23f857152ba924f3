"""What an inventory must not say: each is refused with its file, its place, what is wrong, and what would be right."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from scout_ollama.errors import InventoryError
from scout_ollama.inventory import load_site

SHIPPED = Path(__file__).parent.parent / "hosts"

Edit = tuple[str, str]
"""Text in a shipped file, and what stands there instead."""


Refusal = Callable[..., list[str]]


@pytest.fixture
def refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Refusal:
    """The problems that are told about the shipped site after edits to one of its files."""
    shutil.copytree(SHIPPED, tmp_path / "hosts")
    monkeypatch.chdir(tmp_path)

    def problems(file: str, *edits: Edit) -> list[str]:
        path = Path("hosts", file)
        text = path.read_text()
        for old, new in edits:
            assert old in text, f"{file} has no {old!r} to edit"
            text = text.replace(old, new, 1)
        path.write_text(text)
        with pytest.raises(InventoryError) as refused:
            load_site(Path("hosts"))
        assert refused.value.next == "correct the above, then run the same command again"
        return [line.strip() for line in refused.value.what.splitlines()[1:]]

    return problems


GPU_1 = "[server, gpu], gpus: 1"
FIRST_MODEL = "- qwen3-embedding:8b"
EMBED = "docker.io/ollama/ollama"

PHI = {
    # YAML
    "a tab": (
        ("  models:", "\tmodels:"),
        r"is not valid YAML: line 22, column 1: found character '\t' that cannot start any token; indent with spaces, "
        "not with tabs",
    ),
    "a colon in a value": (
        ("  version: 0.24.0", "  version: 0.24.0: final"),
        "is not valid YAML: line 17, column 18: mapping values are not allowed here; check the indentation, and "
        "quote a "
        "value that contains ': '",
    ),
    "an alias": (
        (FIRST_MODEL, "- *embedding"),
        "is not valid YAML: line 23, column 7: an alias (*name), which is not read here; write the value out",
    ),
    "a key given twice": (
        ("  models:", "  version: 0.30.0\n  models:"),
        "ollama.version: is given twice; first on line 17; keep one (line 22)",
    ),
    "a tag": (
        ("ollama.phi.example.edu", "!!binary aGk="),
        "ollama.hostname: has the tag binary; write the value without a tag (line 18)",
    ),
    # kinds and keys
    "no kind": (
        ("kind: ollama", ""),
        "kind: is missing; right is one of ollama, scout, staging (line 4)",
    ),
    "a kind that is not known": (
        ("kind: ollama", "kind: olama"),
        "kind: is 'olama'; right is one of ollama, scout, staging (line 3)",
    ),
    "a key that is not known": (
        ("  hostname:", "  hostnam: x\n  hostname:"),
        "ollama.hostnam: is not a known key; did you mean hostname? (line 18)",
    ),
    "a key like no other": (
        ("gpu_memory_gib: 80}", "gpu_memory_gib: 80, ssh: {zzz: 1}}"),
        "hosts.phi-gpu-1.ssh.zzz: is not a known key; known keys: user, port, jump, key_file, connect_timeout "
        "(line 10)",
    ),
    "the name of a host as a value": (
        (GPU_1, "[server, gpu], gpus: 1, name: phi-gpu-1"),
        "hosts.phi-gpu-1.name: is not a known key; leave it out: it follows from where this stands (line 10)",
    ),
    "the name of the cluster as a value": (
        ("kind: ollama", "kind: ollama\nname: phi"),
        "name: is not a known key; leave it out: it follows from where this stands (line 4)",
    ),
    "a key that is missing": (
        ("  hostname: ollama.phi.example.edu", ""),
        "ollama.hostname: is missing; DNS name of the HTTPS endpoint, without scheme (line 16)",
    ),
    # types
    "text for a number": (
        ("gpus: 1", "gpus: one"),
        "hosts.phi-gpu-1.gpus: is 'one', not a whole number; Number of GPUs in the host (line 10)",
    ),
    "true for a number": (
        ("gpus: 1", "gpus: true"),
        "hosts.phi-gpu-1.gpus: is true, not a whole number; Number of GPUs in the host (line 10)",
    ),
    "a number for a version": (
        ("version: 0.24.0", "version: 0.24"),
        "ollama.version: is the number 0.24, not text: put it in quotes; Version of Ollama: the tag of its "
        "image (line 17)",
    ),
    "yes for true": (
        ("air_gapped: true", "air_gapped: yes"),
        "air_gapped: is 'yes', not true or false; No way out: images and models come through the staging "
        "cluster (line 5)",
    ),
    "text for a list": (
        ("roles: [server, gpu]", "roles: server"),
        "hosts.phi-gpu-1.roles: is 'server', not a list; server or agent, as K3s runs there, and gpu where "
        "Ollama shall run "
        "(line 10)",
    ),
    "a value that is not one of the choices": (
        ("environment: phi", "environment: PHI"),
        "environment: is 'PHI', not 'phi' or 'non-phi'; phi where patient data is processed, otherwise non-phi "
        "(line 4)",
    ),
    "a number out of its range": (
        ("ssh: {user", "ssh: {port: 70000, user"),
        "ssh.port: is the number 70000: it should be less than or equal to 65535; TCP port of sshd (line 8)",
    ),
    # shapes
    "a host name that is no DNS label": (
        ("phi-gpu-1:", "Phi_GPU_1:"),
        "hosts.Phi_GPU_1: 'Phi_GPU_1' is not a DNS label: lowercase letters, digits and '-', at most 63 (line 10)",
    ),
    "an address that is none": (
        ("192.0.2.11", "192.0.2.256"),
        "hosts.phi-gpu-1.address: '192.0.2.256' is neither an IP address nor a DNS name (line 10)",
    ),
    "a hostname with a scheme": (
        ("hostname: ollama", "hostname: https://ollama"),
        "ollama.hostname: 'https://ollama.phi.example.edu' is not a DNS name: lowercase labels joined by '.', such as "
        "ollama.example.edu (line 18)",
    ),
    "a network with bits of a host": (
        ("192.0.2.32/28", "192.0.2.33/28"),
        "ollama.allowed_clients[0]: '192.0.2.33/28' is not a network such as 192.0.2.0/28; did you mean 192.0.2.32/28? "
        "(line 20)",
    ),
    "a network that is none": (
        ("192.0.2.32/28", "everybody"),
        "ollama.allowed_clients[0]: 'everybody' is not a network such as 192.0.2.0/28 (line 20)",
    ),
    "a version with its v": (
        ("version: 0.24.0", "version: v0.24.0"),
        "ollama.version: 'v0.24.0' is not a version such as 0.24.0, without a leading v (line 17)",
    ),
    "an image with a tag": (
        ("  hostname", f"  image: {EMBED}:0.24.0\n  hostname"),
        f"ollama.image: '{EMBED}:0.24.0' is not a repository with its registry and without a tag, such as {EMBED} "
        "(line 18)",
    ),
    "an image without its registry": (
        ("  hostname", "  image: ollama/ollama\n  hostname"),
        f"ollama.image: 'ollama/ollama' is not a repository with its registry and without a tag, such as "
        f"{EMBED} (line 18)",
    ),
    "a model name that is a URL": (
        (FIRST_MODEL, "- https://ollama.com/library/qwen3"),
        "ollama.models[0]: 'https://ollama.com/library/qwen3' is not a model name: "
        "[[host/]namespace/]model[:tag], such as "
        "gpt-oss:120b (line 23)",
    ),
    "a base that is no model name": (
        ('base: "gemma4:31b"', 'base: "gemma4 31b"'),
        "ollama.scout_models[0].base: 'gemma4 31b' is not a model name: [[host/]namespace/]model[:tag], such as "
        "gpt-oss:120b (line 25)",
    ),
    "a duration without its unit": (
        ("  models:", "  keep_alive: '300'\n  models:"),
        "ollama.keep_alive: '300' is not a duration such as 30m, 1h30m or 45s, or -1 for no limit (line 22)",
    ),
    "a duration in days": (
        ("  models:", "  load_timeout: 1d\n  models:"),
        "ollama.load_timeout: '1d' is not a duration such as 30m, 1h30m or 45s, or -1 for no limit (line 22)",
    ),
    "a store that is not absolute": (
        ("  models:", "  store: var/lib/ollama\n  models:"),
        "ollama.store: 'var/lib/ollama' is not an absolute path on the host, without '..' and trailing slash (line 22)",
    ),
    "a store that climbs": (
        ("  models:", "  store: /var/lib/../../etc\n  models:"),
        "ollama.store: '/var/lib/../../etc' is not an absolute path on the host, without '..' and trailing "
        "slash (line 22)",
    ),
    "a jump host with an option of ssh": (
        ("jump.example.edu", "-oProxyCommand"),
        "ssh.jump: '-oProxyCommand' is not [user@]host[:port] (line 8)",
    ),
    # what does not fit together
    "two hosts with one address": (
        ("192.0.2.13", "192.0.2.12"),
        "hosts.phi-gpu-3.address: is 192.0.2.12 port 22, which is phi-gpu-2 of phi; each host has an address "
        "and port of its "
        "own (line 12)",
    ),
    "two hosts that are one node": (
        ("address: 192.0.2.13", "node_name: phi-gpu-1, address: 192.0.2.13"),
        "hosts.phi-gpu-3.node_name: is that of phi-gpu-1 too; each host is a node of its own (line 12)",
    ),
    "everybody as an allowed client": (
        ("allowed_clients: [", "allowed_clients: [0.0.0.0/0, "),
        "ollama.allowed_clients[0]: 0.0.0.0/0 admits everybody; name the networks of the Scouts (line 20)",
    ),
    "GPUs without the role": (
        (GPU_1, "[server], gpus: 1"),
        "hosts.phi-gpu-1.gpus: is 1 without role gpu; add gpu to roles, or leave gpus out (line 10)",
    ),
    "the role without GPUs": (
        (GPU_1, "[server, gpu]"),
        "hosts.phi-gpu-1.gpus: is 0 with role gpu; give the number of GPUs, or set ollama.cpu_only: true (line 10)",
    ),
    "server and agent": (
        (GPU_1, "[server, agent, gpu], gpus: 1"),
        "hosts.phi-gpu-1.roles: is ['agent', 'gpu', 'server']; a K3s node is either server or agent, and gpu besides "
        "(line 10)",
    ),
    "an air gap without staging": (
        ("staging: staging", ""),
        "air_gapped: is true without a staging cluster; add staging: NAME (line 5)",
    ),
    "a staging cluster that is not there": (
        ("staging: staging", "staging: stageing"),
        "staging: there is no cluster 'stageing'; did you mean staging? (line 6)",
    ),
    "a staging cluster of another kind": (
        ("staging: staging", "staging: nonphi"),
        "staging: nonphi is of kind ollama; there is: staging (line 6)",
    ),
    "one tag twice": (
        (FIRST_MODEL, "- qwen3-embedding:8b\n    - registry.ollama.ai/library/Qwen3-Embedding:8b"),
        "ollama.models[1]: declares registry.ollama.ai/library/Qwen3-Embedding:8b again; keep one; the first is "
        "ollama.models[0] (line 24)",
    ),
    "a variant under the name of a model": (
        (FIRST_MODEL, "- gemma4-31b-long"),
        "ollama.scout_models[0]: declares gemma4-31b-long:latest again; keep one; the first is ollama.models[0] "
        "(line 25)",
    ),
    "a base preloaded beside its variant": (
        (FIRST_MODEL, "- {name: 'gemma4:31b', preload: true}"),
        "ollama.scout_models[0].preload: preloads gemma4-31b-long:latest beside gemma4:31b, which has the same "
        "weights; "
        "preload one of them: to load one unloads the other (line 25)",
    ),
    "two variants of one base preloaded": (
        (
            '"qwen3.6:35b", name: "qwen3.6-35b-long:latest"',
            '"library/gemma4:31b", name: "gemma4-31b-short", preload: true',
        ),
        "ollama.scout_models[1].preload: preloads gemma4-31b-short beside gemma4-31b-long:latest, which has the same "
        "weights; preload one of them: to load one unloads the other (line 26)",
    ),
    "a variant of a variant preloaded beside it": (
        (
            '"qwen3.6:35b", name: "qwen3.6-35b-long:latest"',
            '"gemma4-31b-long", name: "gemma4-31b-short", preload: true',
        ),
        "ollama.scout_models[1].preload: preloads gemma4-31b-short beside gemma4-31b-long:latest, which has the same "
        "weights; preload one of them: to load one unloads the other (line 26)",
    ),
}


@pytest.mark.parametrize(("edit", "problem"), PHI.values(), ids=PHI)
def test_a_cluster_file_is_refused_for(refusal: Refusal, edit: Edit, problem: str) -> None:
    assert refusal("phi.yaml", edit) == [f"hosts/phi.yaml: {problem}"]


SCOUT = {
    "an Ollama cluster that is not there": (
        "ollama_cluster: fhi",
        "ollama_cluster: there is no cluster 'fhi'; did you mean phi? (line 11)",
    ),
    "an Ollama cluster like no other": (
        "ollama_cluster: x",
        "ollama_cluster: there is no cluster 'x'; there is: nonphi, phi (line 11)",
    ),
    "an Ollama cluster of another kind": (
        "ollama_cluster: staging",
        "ollama_cluster: staging is of kind staging; there is: nonphi, phi (line 11)",
    ),
    "external without a URL": (
        "",
        "ollama_mode: is external without a URL; add ollama_cluster: NAME or ollama_url: https://… (line 10)",
    ),
    "a URL that is not encrypted": (
        "ollama_url: http://ollama.phi.example.edu",
        "ollama_url: is not encrypted: use https://ollama.phi.example.edu, plain http is refused (line 11)",
    ),
    "a URL with a trailing slash": (
        "ollama_url: https://ollama.phi.example.edu/",
        "ollama_url: ends in a slash; right is https://ollama.phi.example.edu (line 11)",
    ),
    "a URL that ends in /api": (
        "ollama_url: https://ollama.phi.example.edu/api",
        "ollama_url: ends in /api, which clients add; right is https://ollama.phi.example.edu (line 11)",
    ),
    "a URL that ends in /v1/": (
        "ollama_url: https://ollama.phi.example.edu/v1/",
        "ollama_url: ends in a slash; right is https://ollama.phi.example.edu (line 11)",
    ),
    "a URL with a query": (
        "ollama_url: https://ollama.phi.example.edu?x=1",
        "ollama_url: has a query or fragment; right is https://ollama.phi.example.edu (line 11)",
    ),
    "a URL without a scheme": (
        "ollama_url: ollama.phi.example.edu",
        "ollama_url: 'ollama.phi.example.edu' is not a URL such as https://ollama.example.edu (line 11)",
    ),
    "a URL with a port that cannot be": (
        "ollama_url: https://ollama.phi.example.edu:99999",
        "ollama_url: is not a URL: Port out of range 0-65535 (line 11)",
    ),
    "a URL that disagrees with the cluster": (
        "ollama_cluster: phi\nollama_url: https://ollama.nonphi.example.edu",
        "ollama_url: is https://ollama.nonphi.example.edu; phi is https://ollama.phi.example.edu; leave "
        "ollama_url out, it "
        "follows from ollama_cluster (line 12)",
    ),
}


@pytest.mark.parametrize(("line", "problem"), SCOUT.values(), ids=SCOUT)
def test_a_scout_is_refused_for(refusal: Refusal, line: str, problem: str) -> None:
    assert refusal("scout-prod.yaml", ("ollama_cluster: phi", line)) == [f"hosts/scout-prod.yaml: {problem}"]


def test_deploy_needs_an_ollama_section(refusal: Refusal) -> None:
    assert refusal("scout-prod.yaml", ("external", "deploy")) == [
        "hosts/scout-prod.yaml: ollama_mode: is deploy without an ollama section; add ollama: with its models (line 10)"
    ]


def test_deploy_needs_a_host_with_a_gpu_or_cpu_only_and_in_an_air_gap_staging(refusal: Refusal) -> None:
    assert refusal("scout-prod.yaml", ("external", "deploy"), ("ollama_cluster: phi", "ollama: {}")) == [
        "hosts/scout-prod.yaml: air_gapped: is true without a staging cluster; add staging: NAME (line 5)",
        "hosts/scout-prod.yaml: hosts: has no host with role gpu; Ollama runs on the hosts with that role, with "
        "cpu_only "
        "too (line 7)",
    ]


def test_a_user_name_without_its_password(refusal: Refusal) -> None:
    assert refusal("staging.yaml", ("  ca:", "  username: robot\n  ca:")) == [
        "hosts/staging.yaml: harbor: has one of username and password; give both, or neither for anonymous pulls "
        "(line 11)"
    ]


ONE_OF = "has to have exactly one of file, environment and command"

SECRET = {
    "the old name": ("password_file: hunter2", "_file: is not a known key; did you mean password?"),
    "a number": (
        "password: 12345678",
        ": is neither the name of a file nor a mapping with one of file, environment and command",
    ),
    "a list": (
        "password: [hunter2]",
        ": is neither the name of a file nor a mapping with one of file, environment and command",
    ),
    "an empty name": ("password: ''", ": is empty; it takes the name of a file"),
    "the home of nobody": ("password: ~hunter2", ": names the home of a user that this machine does not know"),
    "no source": ("password: {field: a}", f": {ONE_OF}"),
    "two sources": ("password: {file: a, environment: HUNTER}", f": {ONE_OF}"),
    "a key that no source has": ("password: {value: hunter2}", ".value: is not a known key; "),
    "what is no variable": (
        "password: {environment: hunter2!}",
        ".environment: is not the name of an environment variable",
    ),
    "a command as a shell would take it": (
        "password: {command: op read x}",
        ".command: is 'op read x', not a list; List of a program and its arguments, run without a shell, that prints "
        "the secret",
    ),
    "an empty command": ("password: {command: []}", ".command: is empty; List of a program"),
    "a command without a program": ("password: {command: ['', x]}", ": has a command without a program"),
}


@pytest.mark.parametrize(("line", "problem"), SECRET.values(), ids=SECRET)
def test_the_source_of_a_secret_is_refused_for(refusal: Refusal, line: str, problem: str) -> None:
    told = refusal("staging.yaml", ("  ca:", f"  username: robot\n  {line}\n  ca:"))
    assert told[-1].startswith(f"hosts/staging.yaml: harbor.password{problem}")
    assert told[-1].endswith("(line 14)")
    assert not any("hunter2" in problem or "12345678" in problem for problem in told)


def test_a_cluster_has_hosts(refusal: Refusal) -> None:
    line = "  staging-1: {address: 203.0.113.11, roles: [server]}"
    assert refusal("staging.yaml", ("hosts:", "hosts: {}"), (line, "")) == [
        "hosts/staging.yaml: hosts: is empty; Host name: the host. One server at least (line 6)"
    ]


def test_a_cluster_has_a_server(refusal: Refusal) -> None:
    assert refusal("nonphi.yaml", ("[server, gpu]", "[agent, gpu]")) == [
        "hosts/nonphi.yaml: hosts: has no host with role server; a K3s cluster has at least one (line 6)"
    ]


@pytest.mark.parametrize("line", ["ollama_cluster: nonphi", "ollama_url: https://ollama.nonphi.example.edu"])
def test_patient_data_does_not_leave_its_environment(refusal: Refusal, line: str) -> None:
    field = line.partition(":")[0]
    assert refusal("scout-prod.yaml", ("192.0.2.33", "198.51.100.40"), ("ollama_cluster: phi", line)) == [
        f"hosts/scout-prod.yaml: {field}: nonphi is non-phi and this Scout is phi; patient data does not leave its "
        "environment: use a cluster of the same one (line 11)"
    ]


def test_and_other_data_does_not_come_in(refusal: Refusal) -> None:
    assert refusal("scout-dev.yaml", ("198.51.100.33", "192.0.2.40"), ("nonphi", "phi")) == [
        "hosts/scout-dev.yaml: ollama_cluster: phi is phi and this Scout is non-phi; patient data does not leave its "
        "environment: use a cluster of the same one (line 10)"
    ]


def test_a_scout_whose_requests_would_be_refused(refusal: Refusal) -> None:
    assert refusal("scout-prod.yaml", ("192.0.2.33", "192.0.2.50")) == [
        "hosts/scout-prod.yaml: hosts.scout-prod-1.address: 192.0.2.50 is in none of phi's allowed_clients: it "
        "would be "
        "refused; add it to ollama.allowed_clients of hosts/phi.yaml (line 8)"
    ]


OPERATOR = "gpu_operator: {version: v25.10.1, chart: charts/gpu-operator-v25.10.1.tgz, toolkit: host}"


def test_a_toolkit_that_the_release_does_not_have(refusal: Refusal) -> None:
    assert refusal(
        "phi.yaml",
        (OPERATOR, "gpu_operator: {version: v25.10.1, toolkit: nri}"),
        ("  hostname", "  runtime_class: null\n  hostname"),
    ) == [
        "hosts/phi.yaml: gpu_operator.toolkit: is nri, which v25.10.1 does not have; set gpu_operator.version: v26.3.0 "
        "or later, or another toolkit (line 14)"
    ]


def test_a_runtime_class_that_the_operator_removes(refusal: Refusal) -> None:
    assert refusal("phi.yaml", (OPERATOR, "gpu_operator: {version: v26.3.0, toolkit: nri}")) == [
        "hosts/phi.yaml: ollama.runtime_class: is nvidia, and with toolkit: nri the operator removes its runtime "
        "classes; write runtime_class: null (line 16)"
    ]


def test_half_of_the_toolkits_environment(refusal: Refusal) -> None:
    values = "gpu_operator: {values: {toolkit: {env: [{name: CONTAINERD_SOCKET, value: /run/x.sock}]}}}"
    assert refusal("phi.yaml", (OPERATOR, values)) == [
        "hosts/phi.yaml: gpu_operator.values.toolkit.env: would replace our list as a whole, and without any of its "
        "four the runtime is not found; leave it out; it follows from toolkit (line 14)"
    ]


@pytest.mark.parametrize("version", ["v26.3.0", "v26.7.0", "v100.0.0"])
def test_the_toolkit_as_a_plugin_without_a_runtime_class_is_let_pass(tmp_path: Path, version: str) -> None:
    shutil.copytree(SHIPPED, tmp_path / "hosts")
    phi = tmp_path / "hosts/phi.yaml"
    text = phi.read_text().replace(OPERATOR, f"gpu_operator: {{version: {version}, toolkit: nri}}")
    phi.write_text(text.replace("  hostname", "  runtime_class: null\n  hostname"))
    assert load_site(tmp_path / "hosts")


@pytest.mark.parametrize("address", ["scout-prod-1.example.edu", "127.0.0.1"])
def test_an_address_that_does_not_tell_where_requests_come_from_is_let_pass(tmp_path: Path, address: str) -> None:
    shutil.copytree(SHIPPED, tmp_path, dirs_exist_ok=True)
    text = (SHIPPED / "scout-prod.yaml").read_text()
    (tmp_path / "scout-prod.yaml").write_text(text.replace("192.0.2.33", address))
    assert load_site(tmp_path).clusters["scout-prod"].hosts["scout-prod-1"].address == address


def test_an_address_that_another_cluster_has(refusal: Refusal) -> None:
    assert refusal("staging.yaml", ("203.0.113.11", "192.0.2.11")) == [
        "hosts/staging.yaml: hosts.staging-1.address: is 192.0.2.11 port 22, which is phi-gpu-1 of phi; each "
        "host has an "
        "address and port of its own (line 7)"
    ]


def test_two_spellings_of_one_address_are_the_same(refusal: Refusal) -> None:
    assert len(refusal("phi.yaml", ("192.0.2.11", "2001:db8::1"), ("192.0.2.12", '"2001:0DB8:0:0::1"'))) == 1


def test_an_endpoint_that_another_cluster_has(refusal: Refusal) -> None:
    assert refusal("phi.yaml", ("ollama.phi.example.edu", "ollama.nonphi.example.edu")) == [
        "hosts/phi.yaml: ollama.hostname: is also that of nonphi; give each cluster a name of its own (line 18)"
    ]


def test_a_host_name_that_another_cluster_has(refusal: Refusal) -> None:
    assert refusal("staging.yaml", ("staging-1", "phi-gpu-1")) == [
        "hosts/staging.yaml: hosts.phi-gpu-1: is also a host of phi; give it a name of its own (line 7)"
    ]


def test_one_address_with_two_ports_is_two_hosts(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path, dirs_exist_ok=True)
    text = (SHIPPED / "staging.yaml").read_text()
    text = text.replace("203.0.113.11, roles", "192.0.2.11, ssh: {port: 2222}, roles")
    (tmp_path / "staging.yaml").write_text(text)
    assert len(load_site(tmp_path).hosts) == 9


def test_all_problems_of_all_files_are_told_together(refusal: Refusal) -> None:
    Path("hosts/nonphi.yaml").write_text("kind: [ollama\n")
    Path("hosts/scout-demo.yaml").write_text("")
    Path("hosts/scout-dev.yaml").write_text("- kind: scout\n")
    Path("hosts/scout-x.yml").touch()
    Path("hosts/Scout_Y.yaml").write_text(Path("hosts/staging.yaml").read_text().replace("staging-1", "y-1"))
    problems = refusal("phi.yaml", ("gpus: 1", "gpus: one"), ("0.24.0", "0.24"), ("jump:", "jmp:"))
    assert [problem.partition(";")[0] for problem in problems] == [
        "hosts/Scout_Y.yaml: 'Scout_Y' is not a DNS label: lowercase letters, digits and '-', at most 63 (line 3)",
        "hosts/nonphi.yaml: is not valid YAML: line 2, column 1: expected ',' or ']', but got '<stream end>'",
        "hosts/phi.yaml: ssh.jmp: is not a known key",
        "hosts/phi.yaml: hosts.phi-gpu-1.gpus: is 'one', not a whole number",
        "hosts/phi.yaml: ollama.version: is the number 0.24, not text: put it in quotes",
        "hosts/scout-demo.yaml: is empty",
        "hosts/scout-dev.yaml: is not a mapping",
        "hosts/scout-x.yml: would not be read: its name ends in .yml",
    ]


def test_a_reference_to_a_file_that_is_wrong_in_itself_is_not_told_as_dangling(refusal: Refusal) -> None:
    problems = refusal("staging.yaml", ("kind: staging", "kind: stage"))
    assert problems == ["hosts/staging.yaml: kind: is 'stage'; right is one of ollama, scout, staging (line 3)"]


def test_two_documents_in_one_file(refusal: Refusal) -> None:
    assert refusal("staging.yaml", ("harbor:", "---\nharbor:"))[0] == (
        "hosts/staging.yaml: has 2 YAML documents; one file per cluster"
    )


def test_what_is_not_text(refusal: Refusal) -> None:
    Path("hosts/phi.yaml").write_bytes(b"kind: \xff\xfe\n")
    problems = refusal("scout-prod.yaml", ("# Scout", "# A Scout"))
    assert problems == ["hosts/phi.yaml: is not text that YAML allows: invalid start byte; save it as UTF-8"]


def test_what_is_nested_without_end(refusal: Refusal) -> None:
    problems = refusal("phi.yaml", ("models:", "models: " + "[" * 5000))
    assert problems == ["hosts/phi.yaml: is nested too deeply to be an inventory"]


def test_a_secret_in_the_wrong_place_is_refused_and_not_repeated(refusal: Refusal) -> None:
    problems = refusal(
        "staging.yaml",
        ("  ca: secrets/ca.crt", "  passwort: hunter2\n  ca: |\n    -----BEGIN hunter2-----\n    hunter2"),
        ("url: https://", "url: https://robot:hunter2@"),
    )
    assert problems == [
        "hosts/staging.yaml: harbor.url: holds a user name or password; a URL here is https://host[:port] (line 12)",
        "hosts/staging.yaml: harbor.passwort: is not a known key; did you mean password? (line 13)",
        "hosts/staging.yaml: harbor.ca: is not one line of printable text; no value of an inventory is longer "
        "than a line "
        "(line 14)",
    ]


def test_a_directory_without_clusters_says_where_to_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InventoryError, match=r"site: is not a directory; name one with --site DIR or SCOUT_SITE"):
        load_site(Path("site"))
    Path("site").mkdir()
    with pytest.raises(
        InventoryError, match=r"site: has no cluster; write one file per cluster; example\.yaml is the manual"
    ):
        load_site(Path("site"))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "phi.yaml").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InventoryError, match=r"phi\.yaml: cannot be read: No such file or directory"):
        load_site(tmp_path)
