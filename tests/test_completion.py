"""Tab in Bash, as it is pressed: a command, an option, a host."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.test_cli import INV, ROOT

COMPLETE = """
. scripts/completion.bash
COMP_LINE=$1 COMP_POINT=${#1}
IFS=' :' read -ra COMP_WORDS <<<"$1"
_inv
printf '%s\\n' "${COMPREPLY[@]}"
"""


def tab(line: str, site: Path = ROOT / "hosts") -> list[str]:
    """What is offered when Tab is pressed after ``line``."""
    environment = {**os.environ, "PATH": f"{INV.parent}:{os.environ['PATH']}", "SCOUT_SITE": str(site)}
    bash = ["bash", "--norc", "-c", COMPLETE, "bash", line]
    done = subprocess.run(bash, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return shlex.split(done.stdout)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("inv drain", ["drain-host"]),
        ("inv deploy-ollama --lo", ["--lock-wait"]),
        ("inv drain-host --hosts phi-gpu-", ["phi-gpu-1", "phi-gpu-2", "phi-gpu-3"]),
        ("inv check --hosts scout-d", ["scout-demo", "scout-dev", "scout-demo-1", "scout-dev-1"]),
        ("inv check --hosts stag", ["staging", "staging-1"]),
        ("inv check --hosts staging,phi-gpu-1", ["staging,phi-gpu-1"]),
        ("inv drain-host --hosts phi:gpu", ["gpu-1", "gpu-2", "gpu-3"]),
    ],
)
def test_tab_completes(line: str, offered: list[str]) -> None:
    assert tab(line) == offered


def test_an_inventory_that_is_refused_offers_nothing_and_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "phi.yaml").write_text("kind: none\n")
    assert tab("inv check --hosts ph", tmp_path) == []
