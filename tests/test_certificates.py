"""The certificate of an endpoint is judged from its files, before a cluster gets them."""

import hashlib
import re
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from scout_ollama import certificates
from scout_ollama.certificates import Flaw, flaws
from scout_ollama.errors import Trouble
from scout_ollama.inventory import OllamaCluster, Tls

HOSTNAME = "ollama.phi.example.edu"
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Elsewhere = tuple[str, Callable[[Sequence["Issued"], str], Tls]]


def curve_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class Issued:
    """A certificate with its key, which may issue others."""

    name: str
    issuer: "Issued | None" = None
    names: Sequence[x509.GeneralName] = ()
    days: float = 90
    starts: float = -1
    key: Key = field(default_factory=curve_key)
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH

    def __post_init__(self) -> None:
        issuer = self.issuer or self
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(self._subject())
            .issuer_name(issuer._subject())
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=min(self.starts, self.days - 1)))
            .not_valid_after(now + timedelta(days=self.days))
            .add_extension(x509.BasicConstraints(ca=not self.names, path_length=None), critical=True)
        )
        if self.names:
            builder = builder.add_extension(x509.SubjectAlternativeName(self.names), critical=False)
            builder = builder.add_extension(x509.ExtendedKeyUsage([self.usage]), critical=False)
        self.certificate = builder.sign(issuer.key, hashes.SHA256())
        self.pem = self.certificate.public_bytes(Encoding.PEM).decode()

    def _subject(self) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])

    def key_pem(self, encryption: KeySerializationEncryption | None = None) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()).decode()


ROOT = Issued("Root")
MIDDLE = Issued("Intermediate", ROOT)


def leaf(*names: str, issuer: Issued = MIDDLE, days: float = 90, starts: float = -1) -> Issued:
    return Issued("leaf", issuer, [x509.DNSName(name) for name in names or [HOSTNAME]], days, starts)


class Files:
    """The files of an endpoint in a directory, as an operator puts them there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def tls(self, chain: Sequence[Issued], *, key: str | None = None, ca: str | None = ROOT.pem) -> Tls:
        """Certificates in this order, the key of the first unless told otherwise, and the CA."""
        texts = {"phi.crt": "".join(issued.pem for issued in chain), "phi.key": key or chain[0].key_pem(), "ca.crt": ca}
        for name, text in texts.items():
            if text is not None:
                (self.directory / name).write_text(text)
                (self.directory / name).chmod(0o600)
        certificate, private, authority = (Path(name) for name in texts)
        return Tls(certificate=certificate, key=private, ca=authority if ca else None)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.chdir(tmp_path)
    return Files(tmp_path)


def only(found: list[Flaw]) -> Flaw:
    assert len(found) == 1, found
    return found[0]


def test_a_full_chain_from_the_private_ca_is_good(files: Files) -> None:
    assert flaws(files.tls([leaf(), MIDDLE]), HOSTNAME) == []
    assert flaws(files.tls([leaf(), MIDDLE, ROOT]), HOSTNAME) == []


def test_a_certificate_straight_from_the_ca_is_good(files: Files) -> None:
    assert flaws(files.tls([leaf(issuer=ROOT)]), HOSTNAME) == []


def test_an_rsa_certificate_is_good(files: Files) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert flaws(files.tls([Issued("leaf", ROOT, [x509.DNSName(HOSTNAME)], key=key)]), HOSTNAME) == []


def test_a_self_signed_certificate_that_is_its_own_ca_is_good(files: Files) -> None:
    own = Issued("own", None, [x509.DNSName(HOSTNAME)])
    assert flaws(files.tls([own], ca=own.pem), HOSTNAME) == []
    assert flaws(files.tls([own], ca=None), HOSTNAME) == []


@pytest.mark.parametrize(
    ("names", "hostname", "covered"),
    [
        (["other.example.edu", HOSTNAME], HOSTNAME, True),
        (["*.phi.example.edu"], HOSTNAME, True),
        (["OLLAMA.phi.Example.edu"], HOSTNAME, True),
        (["*.example.edu"], HOSTNAME, False),
        (["*.phi.example.edu"], "phi.example.edu", False),
        (["phi.example.edu"], HOSTNAME, False),
        (["*"], HOSTNAME, False),
        (["o*.phi.example.edu"], HOSTNAME, False),
    ],
)
def test_names_and_wildcards_as_clients_match_them(
    files: Files, names: list[str], hostname: str, covered: bool
) -> None:
    found = flaws(files.tls([leaf(*names, issuer=ROOT)]), hostname)
    if covered:
        assert found == []
    else:
        assert only(found) == Flaw(
            f"phi.crt is not for {hostname}",
            f"its DNS names are: {', '.join(names)}",
            f"get one with subjectAltName DNS:{hostname}",
        )


def test_a_common_name_does_not_count(files: Files) -> None:
    nameless = Issued(HOSTNAME, ROOT, [x509.IPAddress(ip_address("192.0.2.11"))])
    assert only(flaws(files.tls([nameless]), HOSTNAME)).why == "it has no DNS names; a common name does not count"
    assert only(flaws(files.tls([Issued(HOSTNAME, ROOT)]), HOSTNAME)).what == f"phi.crt is not for {HOSTNAME}"


def test_an_expired_certificate(files: Files) -> None:
    flaw = only(flaws(files.tls([leaf(days=-3), MIDDLE]), HOSTNAME))
    assert flaw.what == "phi.crt has expired"
    assert re.fullmatch(r"it ended at \d{4}-\d\d-\d\d \d\d:\d\d UTC, 3 days ago", flaw.why)
    assert (flaw.next, flaw.fatal) == ("renew it, then put it in phi.crt", True)


def test_an_expired_intermediate(files: Files) -> None:
    middle = Issued("Intermediate", ROOT, days=-1)
    assert (
        only(flaws(files.tls([leaf(issuer=middle), middle]), HOSTNAME)).what == "certificate 2 in phi.crt has expired"
    )


def test_a_certificate_that_is_not_valid_yet(files: Files) -> None:
    flaw = only(flaws(files.tls([leaf(starts=2), MIDDLE]), HOSTNAME))
    assert (flaw.what, flaw.next, flaw.fatal) == ("phi.crt is not valid yet", "date -u; wait, or set the clock", True)


@pytest.mark.parametrize(("days", "left"), [(29.5, 29), (0.5, 0)])
def test_a_certificate_that_expires_soon_works_today(files: Files, days: float, left: int) -> None:
    flaw = only(flaws(files.tls([leaf(days=days), MIDDLE]), HOSTNAME))
    assert (flaw.what, flaw.fatal) == (f"phi.crt expires in {left} days", False)


def test_the_key_of_another_certificate(files: Files) -> None:
    flaw = only(flaws(files.tls([leaf(), MIDDLE], key=leaf().key_pem()), HOSTNAME))
    assert flaw.what == "phi.key is not the key of the certificate"
    assert flaw.why == "phi.crt was issued for another key"


def test_a_chain_that_begins_with_the_intermediate(files: Files) -> None:
    server = leaf()
    found = flaws(files.tls([MIDDLE, server], key=server.key_pem()), HOSTNAME)
    assert found[0] == Flaw(
        "phi.crt is in the wrong order",
        "the key belongs to certificate 2 in the file, and servers present the first one",
        "move certificate 2 to the top",
    )


def test_a_chain_in_the_wrong_order(files: Files) -> None:
    found = flaws(files.tls([leaf(), ROOT, MIDDLE]), HOSTNAME)
    assert {flaw.what for flaw in found} == {"the chain in phi.crt is broken"}
    assert found[0].why == "certificate 1 in it was issued by 'CN=Intermediate', not by the next"
    assert found[0].next == "order it: the certificate, then the issuer of each"


def test_an_issuer_of_the_right_name_with_another_key_is_another(files: Files) -> None:
    found = flaws(files.tls([leaf(), Issued("Intermediate", ROOT)]), HOSTNAME)
    assert [flaw.what for flaw in found] == ["the chain in phi.crt is broken"]


def test_a_missing_intermediate_is_found_with_the_ca(files: Files) -> None:
    assert only(flaws(files.tls([leaf()]), HOSTNAME)) == Flaw(
        "ca.crt does not verify phi.crt",
        "unable to get local issuer certificate",
        "openssl verify -CAfile ca.crt -untrusted phi.crt phi.crt",
    )


def test_a_missing_intermediate_is_suspected_without_the_ca(files: Files) -> None:
    flaw = only(flaws(files.tls([leaf()], ca=None), HOSTNAME))
    assert (flaw.what, flaw.fatal) == ("phi.crt may be incomplete", False)
    assert "'CN=Intermediate'" in flaw.why


def test_another_ca(files: Files) -> None:
    flaw = only(flaws(files.tls([leaf(), MIDDLE], ca=Issued("Root").pem), HOSTNAME))
    assert (flaw.what, flaw.fatal) == ("ca.crt does not verify phi.crt", True)


def test_a_certificate_for_clients_is_not_one_for_servers(files: Files) -> None:
    client = Issued("leaf", ROOT, [x509.DNSName(HOSTNAME)], usage=ExtendedKeyUsageOID.CLIENT_AUTH)
    flaw = only(flaws(files.tls([client]), HOSTNAME))
    assert "purpose" in flaw.why


def test_a_key_that_openssl_finds_too_weak(files: Files) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - the weak key is the case
    flaw = only(flaws(files.tls([Issued("leaf", ROOT, [x509.DNSName(HOSTNAME)], key=key)]), HOSTNAME))
    assert flaw.what == "phi.crt does not work for TLS"
    assert "KEY_TOO_SMALL" in flaw.why


def test_a_key_with_a_passphrase(files: Files) -> None:
    server = leaf()
    tls = files.tls([server, MIDDLE], key=server.key_pem(BestAvailableEncryption(b"hunter2")))
    flaw = only(flaws(tls, HOSTNAME))
    assert flaw.what == "phi.key has a passphrase"
    assert flaw.next == "openssl pkey -in phi.key -out NEW.key"


def test_files_that_hold_something_else(files: Files) -> None:
    server = leaf()
    good = files.tls([server, MIDDLE])
    cases = {
        "phi.crt is not a certificate": ("phi.crt", server.key_pem()),
        "phi.key is not a private key": ("phi.key", server.pem),
        "ca.crt is not a CA certificate": ("ca.crt", "nothing"),
    }
    for what, (name, content) in cases.items():
        file = files.directory / name
        before = file.read_text()
        file.write_text(content)
        assert only(flaws(good, HOSTNAME)).what == what
        file.write_text(before)
    assert flaws(good, HOSTNAME) == []


@pytest.mark.parametrize("content", [b"", b"\0\xff", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_garbage_is_told_not_thrown(files: Files, content: bytes) -> None:
    tls = files.tls([leaf(), MIDDLE])
    for file in (tls.certificate, tls.key.file, tls.ca):
        assert file
        before = file.read_bytes()
        file.write_bytes(content)
        assert str(file) in only(flaws(tls, HOSTNAME)).what
        file.write_bytes(before)


def test_a_missing_file(files: Files) -> None:
    tls = files.tls([leaf(), MIDDLE])
    (files.directory / "phi.key").unlink()
    assert only(flaws(tls, HOSTNAME)) == Flaw("cannot read phi.key", "No such file or directory", "ls -l phi.key")


def test_a_key_among_the_certificates(files: Files) -> None:
    server = leaf()
    tls = files.tls([server, MIDDLE])
    tls.certificate.write_text(server.pem + MIDDLE.pem + server.key_pem())
    flaw = only(flaws(tls, HOSTNAME))
    assert (flaw.what, flaw.fatal) == ("phi.crt holds a private key", True)


def test_a_key_that_everybody_can_read(files: Files) -> None:
    tls = files.tls([leaf(), MIDDLE])
    (files.directory / "phi.key").chmod(0o644)
    flaw = only(flaws(tls, HOSTNAME))
    assert (flaw.next, flaw.fatal) == ("chmod 600 phi.key", False)


@pytest.fixture(params=["command", "environment"])
def elsewhere(request: pytest.FixtureRequest, files: Files, monkeypatch: pytest.MonkeyPatch) -> Elsewhere:
    """The files of an endpoint, its key not among them: a command prints it, or it is in the environment."""

    def tls(chain: Sequence[Issued], key: str) -> Tls:
        given = files.tls(chain, key=key)
        (files.directory / "phi.key").unlink()
        monkeypatch.setenv("PHI_KEY", key)
        # Each case has a command of its own, since one that was run is not run again.
        (files.directory / "vault").write_text(f"#!/bin/sh\n# {files.directory}\ncat <<'END'\n{key}\nEND\n")
        (files.directory / "vault").chmod(0o700)
        vault = str(files.directory / "vault")
        source = {"command": {"command": [vault]}, "environment": {"environment": "PHI_KEY"}}[request.param]
        return Tls(certificate=given.certificate, key=source, ca=given.ca)

    name = {"command": f"what {files.directory}/vault prints", "environment": "the environment variable PHI_KEY"}
    return name[request.param], tls


def test_a_key_that_is_in_no_file_is_good(elsewhere: Elsewhere) -> None:
    server = leaf()
    assert flaws(elsewhere[1]([server, MIDDLE], server.key_pem()), HOSTNAME) == []


def test_a_key_that_is_in_no_file_is_named_by_its_source(elsewhere: Elsewhere) -> None:
    name, tls = elsewhere
    flaw = only(flaws(tls([leaf(), MIDDLE], leaf().key_pem()), HOSTNAME))
    assert flaw.what == f"{name} is not the key of the certificate"


def test_what_is_no_key_is_told_with_the_way_to_look_at_it(elsewhere: Elsewhere) -> None:
    name, tls = elsewhere
    server = leaf()
    flaw = only(flaws(tls([server, MIDDLE], server.pem), HOSTNAME))
    assert (flaw.what, flaw.next) == (
        f"{name} is not a private key",
        f"pipe {name} into: openssl pkey -noout -check",
    )


def test_the_fingerprint_is_that_of_the_first_certificate(files: Files) -> None:
    server = leaf()
    tls = files.tls([server, MIDDLE])
    wanted = hashlib.sha256(ssl.PEM_cert_to_DER_cert(server.pem)).hexdigest()
    assert certificates.fingerprint(tls.certificate) == wanted
    assert certificates.fingerprint_of(f"depth=0 CN = leaf\n{server.pem}\nDONE") == wanted
    assert certificates.fingerprint_of("no certificate") == ""
    with pytest.raises(Trouble, match="cannot read nowhere"):
        certificates.fingerprint(Path("nowhere"))


def cluster(tls: Tls) -> OllamaCluster:
    return OllamaCluster.model_validate(
        {
            "name": "phi",
            "kind": "ollama",
            "environment": "phi",
            "hosts": {"phi-gpu-1": {"address": "192.0.2.11", "roles": ["server", "gpu"], "gpus": 1}},
            "ollama": {"hostname": HOSTNAME, "tls": tls, "allowed_clients": ["192.0.2.0/28"]},
        }
    )


def test_require_good_returns_what_can_wait(files: Files) -> None:
    tls = files.tls([leaf(days=3), MIDDLE])
    assert [flaw.what for flaw in certificates.require_good(cluster(tls))] == ["phi.crt expires in 2 days"]


def test_require_good_refuses_what_cannot(files: Files) -> None:
    with pytest.raises(Trouble) as refused:
        certificates.require_good(cluster(files.tls([leaf(days=-3), MIDDLE])))
    assert (refused.value.what, refused.value.next) == ("phi.crt has expired", "renew it, then put it in phi.crt")


def test_require_good_tells_everything_at_once(files: Files) -> None:
    with pytest.raises(Trouble) as refused:
        certificates.require_good(
            cluster(files.tls([leaf("other.example.edu", days=-3), MIDDLE], key=leaf().key_pem()))
        )
    assert refused.value.what == f"the certificate of {HOSTNAME} is not usable"
    assert [line.partition(":")[0] for line in refused.value.why.splitlines()] == [
        "phi.key is not the key of the certificate",
        "phi.crt has expired",
        f"phi.crt is not for {HOSTNAME}",
    ]
    assert refused.value.next == "put them right, then: inv deploy-ollama --hosts phi"
