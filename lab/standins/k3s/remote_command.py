"""The kubelet's side of kubectl exec: a command in a container behind a WebSocket (v5.channel.k8s.io, and v4)."""

import base64
import contextlib
import hashlib
import json
import os
import struct
import subprocess
import threading
from http.server import BaseHTTPRequestHandler
from typing import IO, Any
from urllib.parse import parse_qs

from lab.standins.k3s.containers import Container

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDIN, STDOUT, STDERR, ERROR, CLOSE = 0, 1, 2, 3, 255  # the channels: the first byte of a message
BINARY, CLOSING, PING, PONG = 0x2, 0x8, 0x9, 0xA
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
PIECE = 32768


def serve(handler: BaseHTTPRequestHandler, container: Container, query: str) -> None:
    """Answer the request that `handler` has read: run its command, and talk until it ends or the client has left."""
    asked = parse_qs(query)
    _upgrade(handler)
    socket = WebSocket(handler)
    try:
        process = container.attach(asked["command"])
    except OSError as error:
        socket.send(ERROR, json.dumps(_failure(f"Internal error occurred: {error}")).encode())
        socket.close()
        return
    assert process.stdin is not None
    if asked.get("input") != ["1"]:
        process.stdin.close()
    outputs = ((STDOUT, process.stdout), (STDERR, process.stderr))
    threads = [threading.Thread(target=_copy, args=(pipe, socket, channel)) for channel, pipe in outputs if pipe]
    ending = threading.Thread(target=_end, args=(process, threads, socket))
    for thread in (*threads, ending):
        thread.start()
    with contextlib.suppress(OSError, EOFError):
        socket.feed(process.stdin)
    with contextlib.suppress(OSError):
        process.stdin.close()
    ending.join()


class WebSocket:
    """The server's end of one connection."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self._read = handler.rfile
        self._write = handler.wfile
        self._lock = threading.Lock()

    def send(self, channel: int, data: bytes) -> None:
        """Send a message; one to a client that has left is lost."""
        self._frame(BINARY, bytes([channel]) + data)

    def close(self) -> None:
        """Say goodbye."""
        self._frame(CLOSING, struct.pack(">H", 1000))

    def feed(self, stdin: IO[bytes]) -> None:
        """Write what the client sends, until it closes the channel or leaves (EOFError); it may leave later, too."""
        while True:
            opcode, data = self._receive()
            if opcode == CLOSING:
                return
            if opcode == PING:
                self._frame(PONG, data)
            elif opcode == BINARY and data[:1] == bytes([STDIN]):
                with contextlib.suppress(OSError, ValueError):  # the command has closed its side
                    stdin.write(data[1:])
            elif opcode == BINARY and data == bytes([CLOSE, STDIN]):
                stdin.close()

    def _receive(self) -> tuple[int, bytes]:
        first, second = self._exactly(2)
        size = second & 0x7F
        if size > 125:
            size = struct.unpack(">H" if size == 126 else ">Q", self._exactly(2 if size == 126 else 8))[0]
        mask = self._exactly(4) if second & 0x80 else bytes(4)
        data = self._exactly(size)
        return first & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))

    def _exactly(self, count: int) -> bytes:
        data = self._read.read(count)
        if len(data) < count:
            raise EOFError
        return data

    def _frame(self, opcode: int, data: bytes) -> None:
        size = len(data)
        head = (
            struct.pack(">BB", 0x80 | opcode, size)
            if size < 126
            else struct.pack(">BBH", 0x80 | opcode, 126, size)
            if size < 65536
            else struct.pack(">BBQ", 0x80 | opcode, 127, size)
        )
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._write.write(head + data)
            self._write.flush()


def _upgrade(handler: BaseHTTPRequestHandler) -> None:
    offered = [name.strip() for name in handler.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    accept = base64.b64encode(hashlib.sha1(f"{handler.headers['Sec-WebSocket-Key']}{GUID}".encode()).digest())  # noqa: S324
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(101)
    handler.send_header("Upgrade", "websocket")
    handler.send_header("Connection", "Upgrade")
    handler.send_header("Sec-WebSocket-Accept", accept.decode())
    handler.send_header("Sec-WebSocket-Protocol", next(name for name in PROTOCOLS if name in offered))
    handler.end_headers()


def _copy(pipe: IO[bytes], socket: WebSocket, channel: int) -> None:
    while data := os.read(pipe.fileno(), PIECE):
        socket.send(channel, data)


def _end(process: subprocess.Popen[bytes], outputs: list[threading.Thread], socket: WebSocket) -> None:
    """When the command has ended and all that it said is sent, say how it ended."""
    for thread in outputs:
        thread.join()
    code = process.wait()
    socket.send(ERROR, json.dumps(_exited(code)).encode())
    socket.close()


def _exited(code: int) -> dict[str, Any]:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    code = 128 - code if code < 0 else code
    causes = [{"reason": "ExitCode", "message": str(code)}]
    failure = _failure(f"command terminated with non-zero exit code: exit status {code}")
    return {**failure, "reason": "NonZeroExitCode", "details": {"causes": causes}}


def _failure(message: str) -> dict[str, Any]:
    return {"metadata": {}, "status": "Failure", "message": message}
