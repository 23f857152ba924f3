"""Runbooks as they are written: their commands, what each has to say, and what only a person can do."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.journeys.conftest import INV, ROOT, Said

DIRECTORY = ROOT / "docs/runbooks"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_ON_THE_LAB = "# not on the lab: "
SECONDS = 280


@dataclass(frozen=True)
class Command:
    """A line of a block, the exit status that it has to have, and what it has to print."""

    line: str
    status: int = 0
    says: tuple[str, ...] = ()

    @property
    def is_edit(self) -> bool:
        """A person edits a file."""
        return self.line.startswith("$EDITOR")


@dataclass(frozen=True)
class ByHand:
    """A block that the lab cannot run, and why."""

    why: str
    block: str


Step = Command | ByHand


def names() -> list[str]:
    """Every runbook."""
    return sorted(path.stem for path in DIRECTORY.glob("*.md") if path.name != "README.md")


def steps(name: str) -> list[Step]:
    """What a runbook says to do, in order."""
    return [step for block in BLOCK.findall((DIRECTORY / f"{name}.md").read_text()) for step in _of_block(block)]


def _of_block(block: str) -> Iterator[Step]:
    if block.startswith(NOT_ON_THE_LAB):
        first, _, rest = block.partition("\n")
        yield ByHand(first.removeprefix(NOT_ON_THE_LAB), rest)
        return
    for command, says in re.findall(r"^(?!# says: )(.+)\n((?:# says: .*\n)*)", block, re.MULTILINE):
        line, _, comment = re.sub(r" {2,}# ", "\0", command).partition("\0")
        status = re.fullmatch(r"exit (\d)", comment)
        said = tuple(text.removeprefix("# says: ") for text in says.splitlines())
        yield Command(line, int(status[1]) if status else 0, said)


@dataclass
class Engineer:
    """Somebody who follows a runbook in a checkout whose inventory is the lab's.

    ``variables`` are what they have learned on the way: names and values that later lines use.
    """

    checkout: Path
    variables: dict[str, str]

    @classmethod
    def with_site(cls, checkout: Path, site: Path) -> Engineer:
        """Make the checkout: everything is this one's, but ``hosts/``."""
        checkout.mkdir()
        for path in ROOT.iterdir():
            if path.name not in ("hosts", ".git"):
                (checkout / path.name).symlink_to(path)
        (checkout / "hosts").symlink_to(site)
        return cls(checkout, {})

    def follows(self, name: str, by_hand: Iterator[None]) -> None:
        """Do what a runbook says; ``by_hand`` does next what only a person can, and must come to its end."""
        try:
            for step in steps(name):
                if isinstance(step, ByHand) or step.is_edit:
                    next(by_hand)
                else:
                    self._types(step)
        finally:
            left = sum(1 for _ in by_hand)  # so that the lab is mended for the next one in any case
        assert left == 0, "more is done by hand than the runbook says"

    def _types(self, command: Command) -> None:
        said = self.types(command.line)
        print(f"$ {command.line}\n{said.out}{said.err}exit {said.status}", flush=True)
        assert said.status == command.status, f"{command.line}\n{said.err[-2000:]}"
        for text in command.says:
            assert text in said.out + said.err, command.line

    def types(self, line: str) -> Said:
        """Type one line."""
        ours = {"NO_COLOR": "1", "TERM": "dumb", "PATH": f"{INV.parent}:{os.environ['PATH']}"}
        state = {"XDG_STATE_HOME": str(self.checkout.with_name("state")), "HOME": str(self.checkout.with_name("home"))}
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=self.checkout,
            env={**os.environ, **ours, **state, **self.variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)
