"""Pod logs: asked of the kubelet on the pod's node, as the real API server does."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from urllib.parse import urlencode

from lab.standins.kube.errors import ApiError, Json, bad_request, internal

Logs = Callable[[Json, str, dict[str, str]], Iterator[bytes]]
"""(pod, container, options) -> its log; raises ApiError when it is called, not later. Options: those kubelets take."""
KUBELET_PORT = 10250
OPTIONS = ("follow", "tailLines", "previous", "timestamps", "sinceSeconds", "sinceTime", "limitBytes")


def container_of(pod: Json, wanted: str) -> str:
    """The container whose log is meant. Raises ApiError 400 when that is not clear."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    names = [c["name"] for c in spec.get("containers") or ()]
    init = [c["name"] for c in spec.get("initContainers") or ()]
    if wanted:
        if wanted not in names + init:
            raise bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    if len(names) != 1:
        text = f"a container name must be specified for pod {name}, choose one of: [{' '.join(names)}]"
        raise bad_request(text + (f" or one of the init containers: [{' '.join(init)}]" if init else ""))
    return str(names[0])


def from_kubelet(node_of: Callable[[str], Json | None], token: str, *, timeout: float = 30) -> Logs:
    """Logs over plain HTTP from the kubelet at the node's InternalIP: GET /containerLogs/NAMESPACE/POD/CONTAINER.

    `token` goes with it as a bearer token; `timeout` (seconds) bounds connecting, and reading what is not followed.
    """

    def ask(pod: Json, container: str, options: dict[str, str]) -> Iterator[bytes]:
        metadata, node_name = pod["metadata"], pod["spec"].get("nodeName")
        if not node_name:
            raise bad_request(f"pod {metadata['name']} does not have a host assigned")
        address, port = kubelet(node_of(node_name), node_name)
        path = f"/containerLogs/{metadata['namespace']}/{metadata['name']}/{container}"
        if options:
            path += "?" + urlencode(options)
        connection = http.client.HTTPConnection(address, port, timeout=timeout)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            if options.get("follow") == "true" and connection.sock:
                connection.sock.settimeout(None)
            response = connection.getresponse()
        except OSError as error:
            connection.close()
            why = str(error.strerror or error).lower()
            raise internal(
                f'Get "https://{address}:{port}{path}": dial tcp {address}:{port}: connect: {why}'
            ) from error
        if response.status != 200:
            text = response.read().decode(errors="replace").strip()
            connection.close()
            raise ApiError(response.status, "BadRequest" if response.status == 400 else "InternalError", text)
        return _pieces(connection, response)

    return ask


def _pieces(connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while piece := response.read1(65536):
            yield piece
    finally:
        connection.close()


def kubelet(node: Json | None, name: str) -> tuple[str, int]:
    """Address and port of a node's kubelet. Raises ApiError when there is none."""
    if node is None:
        raise ApiError(404, "NotFound", f'nodes "{name}" not found')
    status = node.get("status", {})
    found = [a["address"] for a in status.get("addresses") or () if a["type"] == "InternalIP"]
    if not found:
        raise internal(f"no preferred addresses found; known addresses: {status.get('addresses') or []}")
    port = status.get("daemonEndpoints", {}).get("kubeletEndpoint", {}).get("Port") or KUBELET_PORT
    return str(found[0]), int(port)
