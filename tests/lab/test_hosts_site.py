"""The inventory that a lab writes is one that the product reads, and describes the hosts that there are."""

import os
import ssl
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from lab.certificates import Authority
from lab.lab import Lab
from lab.topology import DEFAULT_TOPOLOGY
from scout_ollama.inventory import OllamaCluster, ScoutCluster, StagingCluster, load_site

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def lab(namespaces: None) -> Iterator[Lab]:  # noqa: ARG001  fixtures are asked for by name
    made = Lab.create(f"test-{os.getpid()}", DEFAULT_TOPOLOGY)
    yield made
    made.down()


def test_the_inventory_is_valid_and_has_every_host(lab: Lab) -> None:
    site = load_site(lab.site)
    assert {host.name: host.address for host in site.hosts} == {host.name: host.address for host in lab.hosts}
    assert {type(cluster) for cluster in site.clusters.values()} == {OllamaCluster, ScoutCluster, StagingCluster}


def test_both_scouts_and_nobody_else_may_use_the_shared_ollama(lab: Lab) -> None:
    phi = load_site(lab.site).clusters["phi"]
    assert isinstance(phi, OllamaCluster)
    scouts = {lab.host(name).address for name in ("scout-prod-1", "scout-preprod-1")}
    assert {str(network) for network in phi.ollama.allowed_clients} == {f"{address}/32" for address in scouts}


def test_private_keys_are_their_owner_s_alone(lab: Lab) -> None:
    private = [path for path in lab.site.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
    assert {path.name for path in private} == {"operator", "ca.key", "phi.key", "staging.key"}
    assert {path.stat().st_mode & 0o077 for path in private} == {0}


def handshake(authority: Path, certificate: Path, key: Path, name: str) -> None:
    """A TLS handshake in memory between a server with the certificate and a client that trusts the authority."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate, key)
    client_side = ssl.create_default_context(cafile=authority)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(to_client, to_server, server_hostname=name)
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    pending = [client, server]
    for turn in range(20):
        side = pending[turn % len(pending)]
        try:
            side.do_handshake()
            pending.remove(side)
        except ssl.SSLWantReadError:
            pass
        if not pending:
            return
    raise AssertionError("the handshake does not come to an end")


def test_certificates_are_good_for_the_names_that_clients_use(lab: Lab) -> None:
    secrets = lab.site / "secrets"
    for cluster, name in {"phi": "ollama.phi.example.edu", "staging": "harbor.staging.example.edu"}.items():
        handshake(secrets / "ca.crt", secrets / f"{cluster}.crt", secrets / f"{cluster}.key", name)


def test_bad_certificates_are_bad_in_the_way_that_was_asked_for(lab: Lab, tmp_path: Path) -> None:
    authority = Authority(lab.site / "secrets")
    certificate, key = tmp_path / "bad.crt", tmp_path / "bad.key"

    authority.issue(["other.example.edu"]).write(certificate, key)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(lab.site / "secrets/ca.crt", certificate, key, "ollama.phi.example.edu")

    authority.issue(["ollama.phi.example.edu"], valid=-timedelta(days=1)).write(certificate, key)
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate has expired"):
        handshake(lab.site / "secrets/ca.crt", certificate, key, "ollama.phi.example.edu")

    certificate.write_bytes(authority.issue(["ollama.phi.example.edu"]).certificate)
    with pytest.raises(ssl.SSLError, match=r"(?i)key.values.mismatch"):
        handshake(lab.site / "secrets/ca.crt", certificate, key, "ollama.phi.example.edu")
