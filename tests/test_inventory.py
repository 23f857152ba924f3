"""The site as shipped, and what is computed from it."""

import re
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from pydantic import ValidationError

from scout_ollama.errors import InventoryError, Trouble
from scout_ollama.inventory import OllamaCluster, ScoutCluster, Site, StagingCluster, load_site
from scout_ollama.secrets import Secret

SHIPPED = Path(__file__).parent.parent / "hosts"
DOCUMENTATION = [ip_network(f"{net}/24") for net in ("192.0.2.0", "198.51.100.0", "203.0.113.0")]


@pytest.fixture
def site() -> Site:
    return load_site(SHIPPED)


def ollama(site: Site, name: str) -> OllamaCluster:
    cluster = site.clusters[name]
    assert isinstance(cluster, OllamaCluster)
    return cluster


def scout(site: Site, name: str) -> ScoutCluster:
    cluster = site.clusters[name]
    assert isinstance(cluster, ScoutCluster)
    return cluster


def one_scout(directory: Path, text: str) -> ScoutCluster:
    """A site of one Scout cluster, its file's further lines given."""
    hosts = "hosts:\n  s-1: {address: 192.0.2.1, roles: [server, gpu], gpus: 1}\n"
    (directory / "s.yaml").write_text(f"kind: scout\nenvironment: phi\n{hosts}{text}")
    return scout(load_site(directory), "s")


def test_the_shipped_site_has_two_shared_clusters_their_staging_and_four_scouts(site: Site) -> None:
    assert {name: cluster.kind for name, cluster in site.clusters.items()} == {
        "nonphi": "ollama",
        "phi": "ollama",
        "scout-demo": "scout",
        "scout-dev": "scout",
        "scout-preprod": "scout",
        "scout-prod": "scout",
        "staging": "staging",
    }
    assert list(site.clusters["phi"].hosts) == ["phi-gpu-1", "phi-gpu-2", "phi-gpu-3"]
    assert list(site.clusters["nonphi"].hosts) == ["nonphi-gpu-1"]


def test_the_shipped_site_names_nothing_that_exists(site: Site) -> None:
    for host in site.hosts:
        assert any(ip_address(host.address) in network for network in DOCUMENTATION), host
        assert host.ssh.jump is None or host.ssh.jump.endswith(".example.edu")
    for cluster in site.clusters.values():
        if isinstance(cluster, OllamaCluster):
            assert cluster.ollama.hostname.endswith(".example.edu")


def test_a_host_knows_its_name_and_its_cluster(site: Site) -> None:
    host = site.clusters["phi"].hosts["phi-gpu-2"]
    assert (host.name, host.cluster, host.address) == ("phi-gpu-2", "phi", "192.0.2.12")
    assert host.roles == {"server", "gpu"}


def test_scouts_use_the_shared_cluster_of_their_environment(site: Site) -> None:
    assert scout(site, "scout-prod").ollama_host == "https://ollama.phi.example.edu"
    assert scout(site, "scout-dev").ollama_host == "https://ollama.nonphi.example.edu"
    assert site.ollama_cluster_of(scout(site, "scout-demo")) is site.clusters["nonphi"]
    assert [s.name for s in site.scouts_of(ollama(site, "phi"))] == ["scout-preprod", "scout-prod"]


def test_the_air_gapped_cluster_is_fed_by_staging(site: Site) -> None:
    assert site.staging_of(site.clusters["phi"]) is site.clusters["staging"]
    assert site.staging_of(site.clusters["nonphi"]) is None


def test_ollama_host_of_a_scout_without_ollama_is_none(tmp_path: Path) -> None:
    assert one_scout(tmp_path, "").ollama_mode == "disabled"
    assert one_scout(tmp_path, "").ollama_host is None
    assert one_scout(tmp_path, "ollama_mode: disabled\nollama_url: https://ollama.example.edu\n").ollama_host is None


def test_ollama_host_of_a_scout_with_its_own_ollama_is_the_service_in_its_namespace(tmp_path: Path) -> None:
    cluster = one_scout(tmp_path, "ollama_mode: deploy\nollama: {namespace: chat, models: [gpt-oss:20b]}\n")
    assert cluster.ollama_host == "http://ollama.chat:11434"
    assert cluster.runs_ollama is cluster.ollama


def test_ollama_host_of_a_scout_with_a_url_is_that_url(tmp_path: Path) -> None:
    cluster = one_scout(tmp_path, "ollama_mode: external\nollama_url: https://gateway.example.edu:8443\n")
    assert cluster.ollama_host == "https://gateway.example.edu:8443"
    assert load_site(tmp_path).ollama_cluster_of(cluster) is None


def test_a_scout_that_names_the_url_of_a_shared_cluster_is_one_of_its_scouts(tmp_path: Path) -> None:
    for file in SHIPPED.glob("*.yaml"):
        text = file.read_text().replace("ollama_cluster: phi", "ollama_url: https://ollama.phi.example.edu")
        (tmp_path / file.name).write_text(text)
    site = load_site(tmp_path)
    assert scout(site, "scout-prod").ollama_cluster is None
    assert [s.name for s in site.scouts_of(ollama(site, "phi"))] == ["scout-preprod", "scout-prod"]


def test_ssh_of_a_host_is_merged_over_that_of_its_cluster(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("""\
kind: scout
environment: phi
ssh: {user: operator, jump: jump.example.edu, port: 2200, connect_timeout: 3, key_file: keys/all}
hosts:
  s-1: {address: 192.0.2.1, roles: [server]}
  s-2: {address: 192.0.2.2, roles: [agent], ssh: {port: 2222, jump: null, key_file: keys/two}}
""")
    first, second = load_site(tmp_path).hosts
    assert (first.ssh.user, first.ssh.port, first.ssh.jump) == ("operator", 2200, "jump.example.edu")
    assert (second.ssh.user, second.ssh.port, second.ssh.jump) == ("operator", 2222, None)
    assert (first.ssh.connect_timeout, second.ssh.connect_timeout) == (3, 3)
    assert (first.ssh.key_file, second.ssh.key_file) == (tmp_path / "keys/all", tmp_path / "keys/two")


def test_files_are_relative_to_the_inventory_and_a_tilde_is_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/operator")
    text = (SHIPPED / "nonphi.yaml").read_text().replace("secrets/nonphi.key", "~/nonphi.key")
    (tmp_path / "nonphi.yaml").write_text(text.replace("secrets/ca.crt", "/etc/ssl/ca.crt"))
    tls = ollama(load_site(tmp_path), "nonphi").ollama.tls
    assert tls.certificate == tmp_path / "secrets/nonphi.crt"
    assert tls.key.file == Path("/home/operator/nonphi.key")
    assert tls.ca == Path("/etc/ssl/ca.crt")


def test_a_model_may_be_a_plain_name(site: Site, tmp_path: Path) -> None:
    cluster = one_scout(tmp_path, "ollama_mode: deploy\nollama: {models: [a, {name: 'b:1', preload: true}]}\n")
    assert cluster.ollama
    assert [(model.name, model.preload) for model in cluster.ollama.models] == [("a", False), ("b:1", True)]
    assert ollama(site, "nonphi").ollama.names == ["gemma4-31b-long:latest", "gpt-oss-120b-long:latest"]


def test_an_unquoted_minus_one_is_a_duration(tmp_path: Path) -> None:
    cluster = one_scout(tmp_path, "ollama_mode: deploy\nollama: {keep_alive: -1, load_timeout: 1h30m}\n")
    assert cluster.ollama
    assert (cluster.ollama.keep_alive, cluster.ollama.load_timeout) == ("-1", "1h30m")


def test_yaml_keeps_its_1_1_surprises_to_itself(tmp_path: Path) -> None:
    cluster = one_scout(tmp_path, "ssh: {user: no}\nopen_webui: {namespace: on}\n")
    assert (cluster.ssh.user, cluster.open_webui.namespace) == ("no", "on")


def test_the_inventory_is_never_changed(site: Site) -> None:
    for model, field in ((site.clusters["phi"], "air_gapped"), (site.hosts[0], "address")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(model, field, None)


def test_known_hosts_is_in_the_inventory_and_believes_nobody_as_shipped(site: Site) -> None:
    assert site.known_hosts == SHIPPED / "known_hosts"
    assert all(line.startswith("#") for line in site.known_hosts.read_text().splitlines())


def test_listing_needs_no_secret_but_a_deploy_refuses_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SHIPPED.parent)
    site = load_site(Path("hosts"))
    with pytest.raises(InventoryError) as refused:
        site.check_files([site.clusters["phi"]])
    lines = str(refused.value).splitlines()
    assert lines[0] == "4 problems in the inventory hosts"
    right = "give it there, or correct the path"
    assert f"  hosts/phi.yaml: ollama.tls.certificate: hosts/secrets/phi.crt does not exist; {right}" in lines
    assert f"  hosts/staging.yaml: harbor.ca: hosts/secrets/ca.crt does not exist; {right}" in lines
    assert not any("nonphi" in line for line in lines)


def test_files_that_are_there_are_accepted_and_a_directory_is_not_a_file(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for file in (SHIPPED / "nonphi.yaml",):
        (tmp_path / file.name).write_text(file.read_text())
    for name in ("nonphi.crt", "nonphi.key", "ca.crt"):
        (secrets / name).touch()
    site = load_site(tmp_path)
    site.check_files(site.clusters.values())
    (secrets / "nonphi.key").unlink()
    (secrets / "nonphi.key").mkdir()
    with pytest.raises(InventoryError, match=r"nonphi\.yaml: ollama\.tls\.key: .* is a directory, not a file"):
        site.check_files(site.clusters.values())


def test_a_key_file_that_one_host_names_is_checked_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("""\
kind: scout
environment: phi
hosts:
  s-1: {address: 192.0.2.1, roles: [server]}
  s-2: {address: 192.0.2.2, roles: [agent], ssh: {key_file: nowhere}}
""")
    site = load_site(tmp_path)
    with pytest.raises(
        InventoryError, match=r"s\.yaml: hosts\.s-2\.ssh\.key_file: .*/nowhere does not exist"
    ) as refused:
        site.check_files(site.clusters.values())
    assert "s-1" not in str(refused.value)


def staging_with(directory: Path, password: str) -> tuple[Site, StagingCluster]:
    """A site of one staging cluster, the source of Harbor's password given."""
    text = (SHIPPED / "staging.yaml").read_text()
    text = re.sub(r".*(kubeconfig|ca\.crt).*\n", "", text)
    (directory / "staging.yaml").write_text(f"{text}  username: robot\n  password: {password}\n")
    site = load_site(directory)
    cluster = site.clusters["staging"]
    assert isinstance(cluster, StagingCluster)
    return site, cluster


def test_harbors_password_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    _, staging = staging_with(tmp_path, "secrets/harbor")
    with pytest.raises(Trouble, match=r"cannot read .*/secrets/harbor"):
        staging.harbor.login()
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/harbor").write_text("hunter2\n")
    assert staging.harbor.login() == ("robot", Secret("hunter2"))
    assert "hunter2" not in repr(staging.model_dump())


def test_a_password_of_several_lines_is_none(tmp_path: Path) -> None:
    _, staging = staging_with(tmp_path, "harbor")
    (tmp_path / "harbor").write_text("hunter2\nurl = file:///etc/passwd\n")
    with pytest.raises(Trouble) as refused:
        staging.harbor.login()
    assert str(refused.value).splitlines() == [
        f"{tmp_path}/harbor is not a password",
        "  why: a password is one line, and what is read has more",
        "  next: correct harbor.password",
    ]


def test_a_password_where_the_name_of_its_file_should_stand_is_not_repeated(tmp_path: Path) -> None:
    for password in ("hunter2", "hunter2" * 50):
        site, _ = staging_with(tmp_path, password)
        with pytest.raises(InventoryError) as refused:
            site.check_files(site.clusters.values())
        assert str(refused.value).splitlines()[1] == (
            f"  {tmp_path}/staging.yaml: harbor.password: names a file that does not exist; give it there, or correct "
            "the path"
        )


def test_an_unset_variable_is_found_before_a_host_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site, staging = staging_with(tmp_path, "{environment: HARBOR_PASSWORD}")
    monkeypatch.delenv("HARBOR_PASSWORD", raising=False)
    with pytest.raises(
        InventoryError,
        match=r"harbor\.password: HARBOR_PASSWORD is not set in the environment; set it there, or correct its name",
    ):
        site.check_files(site.clusters.values())
    monkeypatch.setenv("HARBOR_PASSWORD", "hunter2")
    site.check_files(site.clusters.values())
    assert staging.harbor.login() == ("robot", Secret("hunter2"))


def test_a_command_is_not_run_to_check_files(tmp_path: Path) -> None:
    site, staging = staging_with(tmp_path, "{command: [sh, -c, 'touch ran; echo hunter2']}")
    site.check_files(site.clusters.values())
    assert not (tmp_path / "ran").exists()
    assert staging.harbor.login() == ("robot", Secret("hunter2"))
    assert (tmp_path / "ran").exists()


def test_harbor_without_a_password_is_anonymous(site: Site) -> None:
    staging = site.clusters["staging"]
    assert isinstance(staging, StagingCluster)
    assert staging.harbor.login() is None
    assert staging.harbor.projects["nvcr.io"] == "nvidia-proxy"


def test_the_import_is_cheap() -> None:
    heavy = ("rich", "cryptography", "fabric", "paramiko", "invoke", "jinja2")
    script = (
        f"import sys, scout_ollama.inventory, scout_ollama.listing; print([n for n in {heavy} if n in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=SHIPPED.parent
    )
    assert loaded.stdout.strip() == "[]"
