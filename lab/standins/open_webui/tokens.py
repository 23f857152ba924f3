"""Who asks: tokens that live as long as the key that signs them, and the limit on signing in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
import time

LIMIT, WINDOW_SECONDS = 15, 180


def token(user: str, key: str) -> str:
    """A token for a user."""
    body = base64.urlsafe_b64encode(user.encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{body}.{_signature(body, key)}"


def user_of(given: str, key: str) -> str | None:
    """The user whose token it is; None if it was not made with this key."""
    parts = given.split(".")
    if len(parts) != 3 or not hmac.compare_digest(parts[2], _signature(parts[1], key)):
        return None
    return base64.urlsafe_b64decode(parts[1] + "==").decode()


def _signature(body: str, key: str) -> str:
    return hmac.new(key.encode(), body.encode(), hashlib.sha256).hexdigest()


class SignInLimit:
    """Fifteen tries an address in three minutes, right or wrong, counted by this process alone."""

    def __init__(self) -> None:
        self._tries: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def is_over(self, email: str) -> bool:
        """Count one try more, and say whether it is one too many."""
        now = time.monotonic()
        with self._lock:
            recent = [moment for moment in self._tries.get(email, []) if now - moment < WINDOW_SECONDS]
            self._tries[email] = [*recent, now]
        return len(recent) >= LIMIT
