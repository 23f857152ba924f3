"""``inv list-hosts``: the selection and its merged values, from the inventory alone."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from scout_ollama.inventory import Site, load_site
from scout_ollama.listing import render, rows

HOSTS = Path(__file__).parent.parent / "hosts"


@pytest.fixture
def site() -> Site:
    return load_site(HOSTS)


def printed(site: Site, selector: str, width: int = 80) -> list[str]:
    screen = io.StringIO()
    Console(file=screen, width=width).print(render(rows(site, site.select(selector))))
    return [line.rstrip() for line in screen.getvalue().splitlines()]


def test_a_row_has_the_merged_values_of_its_host_and_cluster(site: Site) -> None:
    (row,) = rows(site, site.select("phi:gpu-1"))
    assert row == {
        "host": "phi-gpu-1",
        "cluster": "phi",
        "kind": "ollama",
        "environment": "phi",
        "air_gapped": True,
        "staging": "staging",
        "address": "192.0.2.11",
        "ssh": {"user": "scout", "port": 22, "jump": "jump.example.edu", "key_file": None, "connect_timeout": 10},
        "node_name": "phi-gpu-1",
        "roles": ["gpu", "server"],
        "gpus": 1,
        "gpu_memory_gib": 80,
        "ollama_version": "0.24.0",
        "ollama_mode": None,
        "ollama_host": "https://ollama.phi.example.edu",
        "models": [
            "qwen3-embedding:8b",
            "gemma4-31b-long:latest",
            "qwen3.6-35b-long:latest",
            "gpt-oss-120b-long:latest",
        ],
    }


def test_a_scout_shows_its_mode_and_its_endpoint(site: Site) -> None:
    (row,) = rows(site, site.select("scout-dev"))
    assert (row["ollama_mode"], row["ollama_host"]) == ("external", "https://ollama.nonphi.example.edu")
    assert (row["ollama_version"], row["models"]) == (None, [])


def test_rows_are_json(site: Site) -> None:
    everything = rows(site, site.select("*"))
    assert json.loads(json.dumps(everything)) == everything


def test_on_a_screen_hosts_stand_under_their_cluster(site: Site) -> None:
    assert printed(site, "phi,scout-prod,staging") == [
        "phi: phi, air-gapped behind staging, ollama 0.24.0",
        "https://ollama.phi.example.edu",
        "  phi-gpu-1     scout@192.0.2.11 via jump.example.edu  server gpu  1x80 GiB",
        "  phi-gpu-2     scout@192.0.2.12 via jump.example.edu  server gpu  1x80 GiB",
        "  phi-gpu-3     scout@192.0.2.13 via jump.example.edu  server gpu  1x80 GiB",
        "",
        "scout-prod: phi, air-gapped, ollama external https://ollama.phi.example.edu",
        "  scout-prod-1  scout@192.0.2.33                       server",
        "",
        "staging: phi, staging",
        "  staging-1     scout@203.0.113.11                     server",
        "",
    ]


def test_an_ipv6_address_and_a_port_are_written_as_in_a_url(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(
        "kind: staging\nenvironment: phi\nollama_nfs_path: /nfs\nharbor: {url: https://harbor.example.edu}\n"
        "hosts: {s-1: {address: '2001:DB8::1', roles: [server, gpu], gpus: 2, ssh: {port: 2222}}}\n"
    )
    assert printed(load_site(tmp_path), "s")[1] == "  s-1  scout@[2001:db8::1]:2222  server gpu  2"


def test_nothing_selected_is_nothing_shown() -> None:
    assert Console(file=io.StringIO()).render_str("") is not None
    assert rows(load_site(HOSTS), []) == []
    screen = io.StringIO()
    Console(file=screen).print(render([]))
    assert screen.getvalue() == ""


def test_no_file_that_the_inventory_names_is_read(tmp_path: Path) -> None:
    for file in HOSTS.glob("*.yaml"):
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "secrets").mkdir()
    sentinel = "hunter2"
    for name in ("phi.key", "harbor.password"):
        (tmp_path / "secrets" / name).write_text(sentinel)
    with (tmp_path / "staging.yaml").open("a") as staging:
        staging.write("  username: robot\n  password: secrets/harbor.password\n")
    site = load_site(tmp_path)
    assert sentinel not in json.dumps(rows(site, site.hosts)) + "".join(printed(site, "*"))
