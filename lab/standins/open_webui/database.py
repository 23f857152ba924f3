"""The database: configuration by key, users, and models. It wins over the environment from the first start on."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lab.standins.open_webui.settings import Settings, Values

SCHEMA = """
CREATE TABLE IF NOT EXISTS config (key TEXT PRIMARY KEY, value TEXT NOT NULL, updated_at BIGINT);
CREATE TABLE IF NOT EXISTS user (id TEXT PRIMARY KEY, email TEXT UNIQUE, name TEXT, password TEXT, role TEXT);
CREATE TABLE IF NOT EXISTS model (id TEXT PRIMARY KEY, document TEXT NOT NULL);
"""


class Database:
    """One file, which several replicas may have open; nothing is kept in memory, but with persistence turned off."""

    def __init__(self, settings: Settings) -> None:
        self._file = settings.data / "webui.db"
        self._unsaved: Values | None = None if settings.persistent else dict(settings.defaults)
        with self._open() as database:
            database.executescript(SCHEMA)
            if settings.reset:
                database.execute("DELETE FROM config")
        self._seed(settings)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self._file, timeout=30)
        try:
            with database:
                yield database
        finally:
            database.close()

    def _seed(self, settings: Settings) -> None:
        """A start adds what is missing, and nothing else."""
        with self._open() as database:
            for key, value in settings.defaults.items():
                row = (key, json.dumps(value), int(time.time()))
                database.execute("INSERT OR IGNORE INTO config VALUES (?, ?, ?)", row)
        if settings.admin and not self.users():
            self.add_user("deploy", *settings.admin)

    def config(self) -> Values:
        """Every value by key."""
        if self._unsaved is not None:
            return dict(self._unsaved)
        with self._open() as database:
            return {key: json.loads(value) for key, value in database.execute("SELECT key, value FROM config")}

    def upsert(self, values: Mapping[str, Any]) -> None:
        """Save values; where persistence is off, for this process."""
        if self._unsaved is not None:
            self._unsaved |= values
            return
        with self._open() as database:
            for key, value in values.items():
                row = (key, json.dumps(value), int(time.time()))
                database.execute("INSERT OR REPLACE INTO config VALUES (?, ?, ?)", row)

    def users(self) -> list[tuple[str, str, str]]:
        """Each user's id, e-mail and role."""
        with self._open() as database:
            return list(database.execute("SELECT id, email, role FROM user"))

    def add_user(self, name: str, email: str, password: str) -> str:
        """Add a user, the first as the administrator; their id."""
        role = "user" if self.users() else "admin"
        row = (str(uuid.uuid4()), email.lower(), name, _hashed(password, email), role)
        with self._open() as database:
            database.execute("INSERT INTO user VALUES (?, ?, ?, ?, ?)", row)
        return row[0]

    def authenticate(self, email: str, password: str) -> tuple[str, str] | None:
        """The id and role of whoever has this password."""
        query = "SELECT id, role FROM user WHERE email = ? AND password = ?"
        with self._open() as database:
            found = database.execute(query, (email.lower(), _hashed(password, email))).fetchone()
        return (found[0], found[1]) if found else None

    def models(self) -> list[dict[str, Any]]:
        """Every preset and override."""
        with self._open() as database:
            return [json.loads(row[0]) for row in database.execute("SELECT document FROM model ORDER BY id")]

    def add_model(self, model: dict[str, Any]) -> None:
        """Add or replace one."""
        with self._open() as database:
            database.execute("INSERT OR REPLACE INTO model VALUES (?, ?)", (model["id"], json.dumps(model)))


def _hashed(password: str, email: str) -> str:
    return hashlib.scrypt(password.encode(), salt=email.lower().encode(), n=2**10, r=8, p=1).hex()
