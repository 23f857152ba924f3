"""One small file over HTTPS, bounded in size and time; proxies and SSL_CERT_FILE of the environment are respected."""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.request
from email.message import Message
from typing import IO
from urllib.error import HTTPError, URLError

from scout_ollama.errors import Trouble

SILENCE_SECONDS = 20.0
"""How long the other side may say nothing."""
BODY_SECONDS = 120.0
"""How long the file may take in all, once it has begun."""
CHUNK = 64 * 2**10


class NotThere(Trouble):
    """The server answers that it has no such file."""


def download(url: str, limit: int) -> bytes:
    """Return what stands at an https URL: at most ``limit`` bytes and one more, which says that there are more.

    Raises:
        NotThere: the server does not have it.
        Trouble: it cannot be reached, is not whom its certificate should name, or takes too long.
    """
    # Built for each call: the certificates and the proxies are those of the environment now.
    trusted = urllib.request.HTTPSHandler(context=ssl.create_default_context())
    opener = urllib.request.build_opener(trusted, _StayEncrypted)
    try:
        with opener.open(url, timeout=SILENCE_SECONDS) as response:
            return _body(response, limit)
    except HTTPError as error:
        error.close()
        raise _refused(url, error.code, error.reason) from None
    except URLError as error:
        raise _unreachable(url, error.reason) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _unreachable(url, error) from None


def _body(response: http.client.HTTPResponse, limit: int) -> bytes:
    body, end = bytearray(), time.monotonic() + BODY_SECONDS
    announced = response.length
    # read1 returns what one packet brought, so that a trickle cannot outlast the time.
    while len(body) <= limit and (chunk := response.read1(CHUNK)):
        body += chunk
        if time.monotonic() > end:
            raise TimeoutError(f"only {len(body)} bytes came in {BODY_SECONDS:.0f} s")
    if announced is not None and len(body) < min(announced, limit + 1):
        raise ConnectionError(f"the connection ended after {len(body)} of {announced} bytes")
    return bytes(body[: limit + 1])


class _StayEncrypted(urllib.request.HTTPRedirectHandler):
    """Follows a redirection to https only."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        if not newurl.startswith("https://"):
            raise URLError("it redirects to a URL that is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _refused(url: str, status: int, reason: str) -> Trouble:
    if status == http.HTTPStatus.NOT_FOUND:
        return NotThere(f"there is no {url}", why="the server answers 404", next="correct the name")
    why = f"the server answers {status} {reason}"
    return Trouble(f"{url} was not given", why=why, next="the same command later, or --from URL of a mirror")


def _unreachable(url: str, reason: object) -> Trouble:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return Trouble(
            f"{url}: the server's certificate is not trusted",
            why=reason.verify_message,
            next="SSL_CERT_FILE=/path/to/ca.crt before the command, if a proxy or mirror here has a CA of its own",
        )
    return Trouble(
        f"{url} cannot be reached",
        why=str(reason) or type(reason).__name__,
        next="run it on a machine with a way out, set HTTPS_PROXY, or name a mirror with --from URL",
    )
