"""Runs the stand-in API server: python3 -m lab.standins.kube --data DIR --listen ADDRESS:PORT --token-file FILE."""

from __future__ import annotations

import argparse
import csv
import os
import signal
import threading
from pathlib import Path

from lab.standins.kube import tls
from lab.standins.kube.server import Server, kubeconfig, serve


def read_tokens(path: Path) -> dict[str, str]:
    """The tokens of a file as kube-apiserver's --token-auth-file: lines of token,user,uid[,"group,group"]."""
    with path.open(newline="") as lines:
        return {row[0]: row[1] for row in csv.reader(lines) if row}


def main() -> None:
    """Serves until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="lab.standins.kube", description="a stand-in Kubernetes API server")
    parser.add_argument("--data", type=Path, required=True, help="directory of its objects and certificates")
    parser.add_argument("--listen", required=True, help="ADDRESS:PORT")
    parser.add_argument("--token-file", type=Path, required=True, help="lines of token,user,uid")
    parser.add_argument("--name", action="append", default=[], help="a further name or address for its certificate")
    parser.add_argument("--kubeconfig", type=Path, help="where to write one; default DIR/kubeconfig")
    parser.add_argument("--kubelet-token", type=Path, help="file with the token kubelets ask for")
    parser.add_argument(
        "--tls", type=Path, nargs=3, metavar=("CA", "CERTIFICATE", "KEY"), help="files to use instead of its own"
    )
    wanted = parser.parse_args()
    try:
        server = _start(wanted)
    except (OSError, ValueError) as error:
        parser.exit(1, f"lab.standins.kube: cannot serve on {wanted.listen}: {error}\n")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    print(f"serving {server.url}", flush=True)
    stop.wait()
    server.close()


def _start(wanted: argparse.Namespace) -> Server:
    """Starts serving as the command line asks, and writes the kubeconfig. Raises OSError or ValueError."""
    address, _, port = wanted.listen.rpartition(":")
    tokens = read_tokens(wanted.token_file)
    if not tokens:
        raise ValueError(f"no token in {wanted.token_file}: a line is token,user,uid")
    server = serve(
        wanted.data,
        tokens,
        listen=(address, int(port)),
        names=wanted.name,
        files=tls.Files(*wanted.tls) if wanted.tls else None,
        kubelet_token=wanted.kubelet_token.read_text().strip() if wanted.kubelet_token else "",
    )
    text = kubeconfig(server.url, server.files.ca, next(iter(tokens)))
    _write_private(wanted.kubeconfig or wanted.data / "kubeconfig", text)
    return server


def _write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner reads, whole or not at all."""
    made = path.with_name(path.name + ".new")
    made.unlink(missing_ok=True)
    with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    made.rename(path)


if __name__ == "__main__":
    main()
