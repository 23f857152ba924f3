"""One probe of a container, done for real from the node. The texts are the kubelet's."""

import http.client
import socket
import ssl
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.standins.k3s.containers import Container
from lab.standins.k3s.pull import go_error


@dataclass(frozen=True)
class Result:
    """The answer to one probe."""

    ok: bool
    message: str = ""


def run(probe: Mapping[str, Any], container: Mapping[str, Any], address: str, running: Container) -> Result:
    """Ask once, for at most the probe's timeoutSeconds."""
    timeout = float(probe.get("timeoutSeconds") or 1)
    if "httpGet" in probe:
        return _http(probe["httpGet"], container, address, timeout)
    if "tcpSocket" in probe:
        return _tcp(probe["tcpSocket"], container, address, timeout)
    if "exec" in probe:
        return _exec(probe["exec"]["command"], running, timeout)
    return Result(False, "gRPC probes are not supported by this stand-in")


def _http(action: Mapping[str, Any], container: Mapping[str, Any], address: str, timeout: float) -> Result:
    host, port = action.get("host") or address, port_number(action["port"], container)
    scheme, path = action.get("scheme", "HTTP").lower(), action.get("path") or "/"
    connection: http.client.HTTPConnection
    if scheme == "https":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # as the kubelet, which knows no CA here
        connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
    headers = {"User-Agent": "kube-probe/1.36", "Accept": "*/*", "Connection": "close"}
    headers |= {h["name"]: h["value"] for h in action.get("httpHeaders") or []}
    try:
        connection.request("GET", path, headers=headers)
        status = connection.getresponse().status
    except TimeoutError:
        words = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        return Result(False, f'Get "{scheme}://{host}:{port}{path}": {words}')
    except (OSError, http.client.HTTPException) as error:
        return Result(False, f'Get "{scheme}://{host}:{port}{path}": {go_error(error, host, port)}')
    finally:
        connection.close()
    if 200 <= status < 400:
        return Result(True)
    return Result(False, f"HTTP probe failed with statuscode: {status}")


def _tcp(action: Mapping[str, Any], container: Mapping[str, Any], address: str, timeout: float) -> Result:
    host, port = action.get("host") or address, port_number(action["port"], container)
    try:
        socket.create_connection((host, port), timeout=timeout).close()
    except OSError as error:
        return Result(False, go_error(error, host, port))
    return Result(True)


def _exec(command: list[str], running: Container, timeout: float) -> Result:
    try:
        done = running.exec(command, timeout)
    except subprocess.TimeoutExpired:
        return Result(False, f'command timed out: "{" ".join(command)}" timed out after {timeout:g}s')
    except (OSError, ProcessLookupError) as error:
        return Result(False, str(error))
    return Result(done.returncode == 0, (done.stdout + done.stderr).strip())


def port_number(port: int | str, container: Mapping[str, Any]) -> int:
    """A port by number or by the name it has in the container; 0 when there is none of that name."""
    if isinstance(port, int):
        return port
    ports = container.get("ports") or []
    return next((int(p["containerPort"]) for p in ports if p.get("name") == port), 0)
