"""The server's own certificate authority and certificate, made once with the openssl command."""

from __future__ import annotations

import ipaddress
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Files:
    """Where the authority's certificate and the server's certificate and key are."""

    ca: Path
    certificate: Path
    key: Path

    @property
    def ca_key(self) -> Path:
        """The authority's key, if it is of ``ensure``'s making."""
        return self.ca.with_suffix(".key")


def ensure(directory: Path, names: Iterable[str]) -> Files:
    """The files in `directory`; made when the server's certificate is not there. `names` are DNS names or addresses."""
    files = Files(directory / "ca.crt", directory / "server.crt", directory / "server.key")
    if files.certificate.exists():
        return files
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    constraints = "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign"
    _request(files.ca_key, files.ca, "/CN=kube-server-ca", *constraints)
    listed = ",".join(("IP:" if _is_address(name) else "DNS:") + name for name in dict.fromkeys(names))
    made = directory / "server.crt.new"
    extensions = (
        f"subjectAltName={listed}",
        "extendedKeyUsage=serverAuth,clientAuth",
        "basicConstraints=critical,CA:FALSE",
    )
    _request(files.key, made, "/CN=kube-apiserver", *extensions, signer=(files.ca, files.ca_key))
    made.rename(files.certificate)
    return files


def _request(
    key: Path, certificate: Path, subject: str, *extensions: str, signer: tuple[Path, Path] | None = None
) -> None:
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "3650",
    ]
    command += ["-keyout", str(key), "-out", str(certificate), "-subj", subject]
    for extension in extensions:
        command += ["-addext", extension]
    if signer:
        command += ["-CA", str(signer[0]), "-CAkey", str(signer[1])]
    subprocess.run(command, check=True, capture_output=True)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
