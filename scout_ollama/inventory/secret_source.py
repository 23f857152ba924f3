"""Where a secret comes from: a file, the environment, or a command that knows how to get at it."""

import os
import re
import shlex
import subprocess
import threading
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    model_validator,
)

from ..errors import Trouble
from ..outside import Unreadable, from_yaml
from ..secrets import Secret
from .fields import LocalFile

SECONDS = 120
"""A command may ask a person, who may have to find a key first; it is not waited for longer than this."""

KINDS = ("file", "environment", "command")

_variables: set[str] = set()
"""Environment variables that hold secrets: no command that is run here inherits them."""

_one_at_a_time = threading.Lock()


def _variable(name: str) -> str:
    """Not shown when refused: it may be the secret itself, put in the wrong place."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError("is not the name of an environment variable")
    return name


class SecretSource(BaseModel):
    """Where a secret is read from when it is needed."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_extra={"oneOf": [{"required": [kind]} for kind in KINDS]}
    )

    file: LocalFile | None = Field(None, description="File that holds the secret.")
    environment: Annotated[str, AfterValidator(_variable)] | None = Field(
        None, description="Name of the environment variable that holds the secret."
    )
    command: list[str] | None = Field(
        None,
        min_length=1,
        description="List of a program and its arguments, run without a shell, that prints the secret.",
    )
    field: str | None = Field(
        None, min_length=1, description="Key of the secret where what is read is YAML; a.b for one that is nested."
    )
    _directory: Path = PrivateAttr(Path())

    def model_post_init(self, context: Any) -> None:
        """Commands run in the directory of the inventory, which the loader gives as context."""
        self._directory = (context or {}).get("directory", Path())
        if self.environment:
            _variables.add(self.environment)

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if sum(getattr(self, kind) is not None for kind in KINDS) != 1:
            raise ValueError("has to have exactly one of file, environment and command")
        if self.command and not self.command[0]:
            raise ValueError("has a command without a program")
        return self

    def __str__(self) -> str:
        """What is read, as messages name it; of a command only the program, since an argument may be confidential."""
        if self.command:
            place = f"what {self.command[0]} prints"
        else:
            place = f"the environment variable {self.environment}" if self.environment else str(self.file)
        return f"{self.field} in {place}" if self.field else place

    def read(self) -> Secret:
        """Read the secret, without the line end after it; a command is run once in the life of the process.

        Raises ``Trouble`` if it cannot be read, or is empty; neither a secret nor the output of a command is in it.
        """
        try:
            text = self._content().decode()
        except UnicodeDecodeError:
            raise self._unread("it is not UTF-8 text") from None
        if self.field:
            text = self._picked(self.field, text)
        text = text.removesuffix("\n").removesuffix("\r")
        if not text.strip():
            raise self._unread("it is empty")
        return Secret(text)

    def _content(self) -> bytes:
        if self.command:
            with _one_at_a_time:  # of several threads that need it one asks the person
                return _output(tuple(self.command), self._directory.resolve())
        if self.environment:
            if self.environment not in os.environ:
                raise self._unread("it is not set")
            return os.fsencode(os.environ[self.environment])
        assert self.file
        try:
            return self.file.read_bytes()
        except OSError as error:
            raise self._unread(error.strerror or "it is no file that can be read") from None

    def _picked(self, field: str, text: str) -> str:
        """The value of the field in a YAML document."""
        try:
            value = from_yaml(text)
        except Unreadable:
            raise self._no_field("what is read is not YAML") from None
        for key in field.split("."):
            if not isinstance(value, dict) or key not in value:
                raise self._no_field("there is no such field")
            value = value[key]
        if not isinstance(value, str):
            raise self._no_field("it is not text: a number or the like has to stand in quotes")
        return value

    def _no_field(self, why: str) -> Trouble:
        return _unread(str(self), why, "correct the field in the inventory, or what is read")

    def _unread(self, why: str) -> Trouble:
        return _unread(str(self), why, self._next())

    def _next(self) -> str:
        if self.command:
            return _by_hand(self._directory)
        if self.environment:
            return f"read -rs {self.environment}; export {self.environment}; then the same command again"
        return f"ls -l {shlex.quote(str(self.file))}"


def _as_source(value: object) -> object:
    """The name of a file stands for itself. Nothing else is shown: it may be the secret."""
    if isinstance(value, str | Path):
        return {"file": value}
    if isinstance(value, dict | SecretSource):
        return value
    raise ValueError("is neither the name of a file nor a mapping with one of file, environment and command")


SecretField = Annotated[SecretSource, BeforeValidator(_as_source, json_schema_input_type=LocalFile | SecretSource)]


@cache
def _output(command: tuple[str, ...], directory: Path) -> bytes:
    """What a command prints. It may ask on the terminal; its standard error is left there too."""
    name = f"what {command[0]} prints"
    environment = {variable: value for variable, value in os.environ.items() if variable not in _variables}
    try:
        done = subprocess.run(
            command, cwd=directory, env=environment, stdout=subprocess.PIPE, timeout=SECONDS, check=False
        )
    except FileNotFoundError:
        raise _unread(name, "there is no such program", f"install {command[0]}, or correct the command") from None
    except OSError as error:
        raise _unread(name, f"it cannot be run: {error.strerror}", _by_hand(directory)) from None
    except subprocess.TimeoutExpired:
        raise _unread(name, f"it did not end within {SECONDS} seconds", _by_hand(directory)) from None
    if done.returncode:
        how = f"with status {done.returncode}" if done.returncode > 0 else f"by signal {-done.returncode}"
        raise _unread(name, f"it was ended {how}", _by_hand(directory))
    return done.stdout


def _unread(name: str, why: str, next: str) -> Trouble:
    return Trouble(f"cannot read {name}", why=why, next=next)


def _by_hand(directory: Path) -> str:
    return f"cd {shlex.quote(str(directory))}; there run the command as the inventory has it"
