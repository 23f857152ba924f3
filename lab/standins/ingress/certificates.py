"""The certificates that Traefik would serve: every tls.secretName of every Ingress, chosen later by the names in it."""

import base64
import binascii
import ssl
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from lab.standins.ingress.routes import Cluster, Object

DEFAULT_SUBJECT = "/CN=TRAEFIK DEFAULT CERT"


def pems(cluster: Cluster) -> tuple[dict[str, str], list[str]]:
    """(PEM of chain and key by "namespace_secret", what Traefik would log about secrets it cannot use)."""
    secrets = {(s["metadata"]["namespace"], s["metadata"]["name"]): s for s in cluster.secrets}
    found: dict[str, str] = {}
    problems: list[str] = []
    for namespace, name in sorted(set(_wanted(cluster.ingresses))):
        secret = secrets.get((namespace, name))
        if secret is None:
            problems.append(f"Error configuring TLS error=secret {namespace}/{name} does not exist")
            continue
        pem = _pem(secret)
        if pem is None:
            problems.append(f"Error configuring TLS error=secret {namespace}/{name} has no usable tls.crt and tls.key")
            continue
        found[f"{namespace}_{name}"] = pem
    return found, problems


def _wanted(ingresses: Iterable[Object]) -> Iterable[tuple[str, str]]:
    for ingress in ingresses:
        for tls in ingress["spec"].get("tls") or []:
            if tls.get("secretName"):
                yield ingress["metadata"]["namespace"], tls["secretName"]


def _pem(secret: Object) -> str | None:
    data = secret.get("data") or {}
    try:
        certificate = base64.b64decode(data["tls.crt"]).decode()
        key = base64.b64decode(data["tls.key"]).decode()
    except (KeyError, binascii.Error, UnicodeDecodeError):
        return None
    pem = f"{certificate.rstrip()}\n{key.rstrip()}\n"
    return pem if _is_pair(pem) else None


def _is_pair(pem: str) -> bool:
    """Whether the certificate parses and the key is its own."""
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(pem)
        file.flush()
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file.name)
        except (ssl.SSLError, OSError):
            return False
    return True


def make_default(path: Path) -> None:
    """Traefik's self-signed certificate, for clients that name no host it has a certificate for."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "365", "-subj", DEFAULT_SUBJECT, "-keyout", f"{path}.key", "-out", f"{path}.crt"]
    subprocess.run(command, check=True, capture_output=True)
    key, certificate = Path(f"{path}.key"), Path(f"{path}.crt")
    path.touch(mode=0o600)
    path.write_text(certificate.read_text() + key.read_text())
    key.unlink()
    certificate.unlink()
