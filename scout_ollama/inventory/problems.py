"""What is wrong in an inventory: found one by one, refused all together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InventoryError

Where = tuple[str | int, ...]
"""A place inside a file: ``("ollama", "models", 1, "base")``."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong: in which file, where in it, what, and what would be right."""

    file: Path
    where: Where
    wrong: str
    right: str = ""
    line: int | None = None

    def __str__(self) -> str:
        place = f"{self.file}: {dotted(self.where)}: " if self.where else f"{self.file}: "
        line = f" (line {self.line})" if self.line else ""
        return place + self.wrong + (f"; {self.right}" if self.right else "") + line


def refuse(root: Path, problems: Sequence[Problem]) -> None:
    """Raise ``InventoryError`` with every problem, if there is one."""
    if not problems:
        return
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = [f"{count} in the inventory {root}", *(f"  {problem}" for problem in problems)]
    raise InventoryError("\n".join(lines), next="correct the above, then run the same command again")


def dotted(where: Where) -> str:
    """``ollama.models[1].base``"""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where)
    return text.removeprefix(".")
