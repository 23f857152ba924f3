"""Whether a certificate and its key will do for an endpoint: found out before they are used.

An ingress controller that is given a bad certificate does not complain: Traefik serves one of its own instead, and
clients fail. So they are read here as OpenSSL would read them, and judged as a client would.
"""

import os
import shlex
import ssl
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from scout_ollama.errors import Trouble
from scout_ollama.inventory import OllamaCluster, SecretSource, Tls

SOON = timedelta(days=30)
"""A certificate with less time left than this is worth a warning."""


@dataclass(frozen=True)
class Flaw:
    """Something wrong with a certificate: what, why, and what to do. One that is not fatal works today."""

    what: str
    why: str
    next: str
    fatal: bool = True


def require_good(cluster: OllamaCluster) -> list[Flaw]:
    """Return the flaws of the cluster's certificate that can wait; raise ``Trouble`` that lists those that cannot."""
    found = flaws(cluster.ollama.tls, cluster.ollama.hostname)
    fatal = [flaw for flaw in found if flaw.fatal]
    if len(fatal) == 1:
        raise Trouble(fatal[0].what, why=fatal[0].why, next=fatal[0].next)
    if fatal:
        listed = "\n".join(f"{flaw.what}: {flaw.why}; {flaw.next}" for flaw in fatal)
        repeat = f"put them right, then: inv deploy-ollama --hosts {cluster.name}"
        raise Trouble(f"the certificate of {cluster.ollama.hostname} is not usable", why=listed, next=repeat)
    return [flaw for flaw in found if not flaw.fatal]


def flaws(tls: Tls, hostname: str) -> list[Flaw]:
    """Everything that is wrong with these as certificate and key of ``https://hostname``; reads them, no more."""
    try:
        chain, key = read_chain(tls.certificate), _private_key(tls.key)
    except Trouble as trouble:
        return [Flaw(trouble.what, trouble.why, trouble.next)]
    found = [
        *_match(chain, _spki(key.public_key()), tls),
        *_validity(chain, tls),
        *_names(chain[0], hostname, tls),
        *_order(chain, tls),
        *_exposure(tls),
    ]
    if tls.ca and not any(flaw.fatal for flaw in found):
        found += _verification(tls, key, tls.ca, hostname)
    return found


def fingerprint(certificate: Path) -> str:
    """SHA-256 of the first certificate in a PEM file, in hexadecimal; raises ``Trouble``."""
    return _sha256(read_chain(certificate)[0])


def fingerprint_of(pem: str) -> str:
    """SHA-256 of the first certificate in PEM text, in hexadecimal; empty where the text holds none."""
    try:
        return _sha256(x509.load_pem_x509_certificates(pem.encode())[0])
    except ValueError:
        return ""


def expiry_of(pem: str) -> datetime | None:
    """When the first certificate in PEM text expires (UTC); None where the text holds none."""
    try:
        return x509.load_pem_x509_certificates(pem.encode())[0].not_valid_after_utc
    except ValueError:
        return None


def expired(pem: str) -> str:
    """The day on which the first certificate in PEM text expired; empty if it has not, or the text holds none."""
    ends = expiry_of(pem)
    return str(ends.date()) if ends and ends < datetime.now(UTC) else ""


def described(pem: str) -> str:
    """The first certificate in PEM text in words: names, serial number and last day; empty if the text holds none."""
    try:
        certificate = x509.load_pem_x509_certificates(pem.encode())[0]
    except ValueError:
        return ""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    ends = certificate.not_valid_after_utc
    days = (ends - datetime.now(UTC)).days
    dns = ", ".join(names.get_values_for_type(x509.DNSName))
    return f"{dns}, serial {certificate.serial_number:x}, until {ends.date()} ({days} days)"


def read_chain(file: Path) -> list[x509.Certificate]:
    """The certificates in a PEM file, in its order; raises ``Trouble`` if there is none."""
    try:
        chain = x509.load_pem_x509_certificates(_content(file))
        for certificate in chain:
            certificate.public_key()  # parsed when asked for: what cannot be is to fail here
    except (ValueError, UnsupportedAlgorithm):
        show = _command("openssl", "x509", "-noout", "-text", "-in", file)
        raise Trouble(
            f"{file} is not a certificate", why="it holds no PEM certificate that can be read", next=show
        ) from None
    return chain


def _private_key(source: SecretSource) -> PrivateKeyTypes:
    """The private key that a secret is; raises ``Trouble`` if it is none, or if the secret cannot be read."""
    try:
        return load_pem_private_key(source.read().reveal().encode(), password=None)
    except TypeError:  # how cryptography says that it wants a passphrase
        strip = _openssl_pkey(source, "-out", "NEW.key")
        raise Trouble(
            f"{source} has a passphrase", why="the ingress controller has no way to give one", next=strip
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        show = _openssl_pkey(source, "-noout", "-check")
        raise Trouble(f"{source} is not a private key", why="it holds no PEM key that can be read", next=show) from None


def _openssl_pkey(source: SecretSource, *options: str) -> str:
    """What to type so that OpenSSL reads the key."""
    if source.file and not source.field:
        return _command("openssl", "pkey", "-in", source.file, *options)
    return f"pipe {source} into: {_command('openssl', 'pkey', *options)}"


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        why = error.strerror or str(error)
        raise Trouble(f"cannot read {file}", why=why, next=_command("ls", "-l", file)) from None


def _match(chain: Sequence[x509.Certificate], key: bytes, tls: Tls) -> Iterator[Flaw]:
    keys = [_spki(certificate.public_key()) for certificate in chain]
    if key == keys[0]:
        return
    if key in keys:
        place = keys.index(key) + 1
        why = f"the key belongs to certificate {place} in the file, and servers present the first one"
        yield Flaw(f"{tls.certificate} is in the wrong order", why, f"move certificate {place} to the top")
    else:
        why = f"{tls.certificate} was issued for another key"
        yield Flaw(
            f"{tls.key} is not the key of the certificate", why, "give the key that the certificate was requested with"
        )


def _validity(chain: Sequence[x509.Certificate], tls: Tls) -> Iterator[Flaw]:
    now = datetime.now(UTC)
    for place, certificate in enumerate(chain, start=1):
        what = f"{tls.certificate}" if place == 1 else f"certificate {place} in {tls.certificate}"
        start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        left = end - now
        renew = f"renew it, then put it in {tls.certificate}"
        if start > now:
            yield Flaw(
                f"{what} is not valid yet",
                f"it starts at {_utc(start)}, now is {_utc(now)}",
                "date -u; wait, or set the clock",
            )
        elif left < timedelta():
            yield Flaw(f"{what} has expired", f"it ended at {_utc(end)}, {-left.days - 1} days ago", renew)
        elif left < SOON:
            yield Flaw(f"{what} expires in {left.days} days", f"it ends at {_utc(end)}", renew, fatal=False)


def _names(leaf: x509.Certificate, hostname: str, tls: Tls) -> Iterator[Flaw]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
            x509.DNSName
        )
    except (x509.ExtensionNotFound, ValueError):
        names = []
    if not any(_covers(name.lower(), hostname) for name in names):
        why = f"its DNS names are: {', '.join(names)}" if names else "it has no DNS names; a common name does not count"
        yield Flaw(f"{tls.certificate} is not for {hostname}", why, f"get one with subjectAltName DNS:{hostname}")


def _covers(name: str, hostname: str) -> bool:
    """A wildcard stands for one label (RFC 9525, section 6.3)."""
    if name.startswith("*."):
        return hostname.partition(".")[2] == name.removeprefix("*.")
    return name == hostname


def _order(chain: Sequence[x509.Certificate], tls: Tls) -> Iterator[Flaw]:
    for place, (certificate, issuer) in enumerate(pairwise(chain), start=1):
        if not _issued(certificate, issuer):
            why = f"certificate {place} in it was issued by {certificate.issuer.rfc4514_string()!r}, not by the next"
            yield Flaw(
                f"the chain in {tls.certificate} is broken", why, "order it: the certificate, then the issuer of each"
            )
    if not tls.ca and len(chain) == 1 and not _issued(chain[0], chain[0]):
        why = f"it does not hold its issuer, {chain[0].issuer.rfc4514_string()!r}: clients that lack that one refuse it"
        add = "append the intermediate certificates, or name the CA as tls.ca"
        yield Flaw(f"{tls.certificate} may be incomplete", why, add, fatal=False)


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _exposure(tls: Tls) -> Iterator[Flaw]:
    if b"PRIVATE KEY-----" in tls.certificate.read_bytes():
        yield Flaw(f"{tls.certificate} holds a private key", "certificates are public", "remove the key from it")
    if (file := tls.key.file) and file.stat().st_mode & stat.S_IROTH:
        change = _command("chmod", "600", file)
        yield Flaw(f"everybody on this machine can read {file}", "its mode says so", change, fatal=False)


def _verification(tls: Tls, key: PrivateKeyTypes, ca: Path, hostname: str) -> Iterator[Flaw]:
    """A TLS handshake in memory, between a server with this certificate and a client that trusts ``ca`` alone."""
    verify = _command("openssl", "verify", "-CAfile", ca, "-untrusted", tls.certificate, tls.certificate)
    try:
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.load_verify_locations(ca)
    except (ssl.SSLError, OSError) as error:
        yield Flaw(
            f"{ca} is not a CA certificate",
            error.strerror or str(error),
            _command("openssl", "x509", "-noout", "-in", ca),
        )
        return
    try:
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with _through_a_pipe(key) as pipe:
            server.load_cert_chain(tls.certificate, pipe)
        _shake_hands(client, server, hostname)
    except ssl.SSLCertVerificationError as error:
        yield Flaw(f"{ca} does not verify {tls.certificate}", error.verify_message, verify)
    except ssl.SSLError as error:
        yield Flaw(f"{tls.certificate} does not work for TLS", error.reason or str(error), verify)


@contextmanager
def _through_a_pipe(key: PrivateKeyTypes) -> Iterator[str]:
    """The name of a pipe that holds the key as PEM: ``ssl`` reads keys by name only, and no disk is to see this one."""
    reading, writing = os.pipe()
    try:
        with open(writing, "wb") as end:  # noqa: PTH123 - a descriptor, not a path
            end.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        yield f"/dev/fd/{reading}"
    finally:
        os.close(reading)


def _shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, hostname: str) -> None:
    upstream, downstream = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(downstream, upstream, server_hostname=hostname),
        server.wrap_bio(upstream, downstream, server_side=True),
    ]
    while sides:  # each round moves a side on, or raises
        for side in list(sides):
            try:
                side.do_handshake()
                sides.remove(side)
            except ssl.SSLWantReadError:
                continue


def _sha256(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()


def _spki(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _utc(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _command(*words: str | Path) -> str:
    return shlex.join(str(word) for word in words)
