"""The Ollamas behind Open WebUI, asked as it asks them: through the proxies of the environment, with its own trust."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from typing import Any

LIST_SECONDS = 10
CHAT_SECONDS = 3600


class Unreachable(Exception):
    """Nobody answered, or not as one that can be believed."""


class Refused(Exception):
    """A backend answered with an error of its own."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status


def ask(url: str, trust: ssl.SSLContext, body: Any = None, key: str = "", seconds: float = LIST_SECONDS) -> Any:
    """What a backend answers to a GET, or to a POST of ``body``. Raises Unreachable and Refused."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    try:
        request = urllib.request.Request(url, data, headers)  # noqa: S310 - as the real one, whatever was saved
        opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=trust))
        with opener.open(request, timeout=seconds) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        raise Refused(error.code, _told(error)) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Unreachable(f"Cannot connect to host {url.partition('://')[2].partition('/')[0]}: {error}") from error


def _told(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP Error: {error.code}"
