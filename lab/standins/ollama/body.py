"""A request's body on a connection that is used again: of a given length, or in chunks."""

from __future__ import annotations

from email.message import Message
from io import BufferedIOBase


class Body:
    """Reads one body and not a byte more."""

    def __init__(self, connection: BufferedIOBase, headers: Message) -> None:
        self._connection = connection
        self._chunked = headers.get("Transfer-Encoding", "").lower() == "chunked"
        self._left = 0 if self._chunked else int(headers.get("Content-Length") or 0)
        self.finished = not self._chunked and not self._left
        """Whether the whole body has been read."""

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        if self._chunked and not self._left and not self.finished:
            self._next_chunk()
        content = self._connection.read(min(size, self._left)) if self._left else b""
        self._left -= len(content)
        if self._chunked and content and not self._left:
            self._connection.readline()
        if not self._chunked and not (content and self._left):
            self.finished = True
        return content

    def _next_chunk(self) -> None:
        size = self._connection.readline(1024).split(b";")[0].strip()
        self._left = int(size or b"0", 16)
        if not self._left:
            self._connection.readline(1024)
            self.finished = True
