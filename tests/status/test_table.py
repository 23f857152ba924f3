"""The screen: 100 columns, a mark beside every colour, what is wrong below with the command to type."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from scout_ollama.facts import Section
from scout_ollama.status import table
from tests.status import readings
from tests.status.readings import NODES, OTHER, Reading, answer


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    return readings.well(tmp_path / "site")


def shown(renderable: RenderableType, *, soft_wrap: bool = False) -> list[str]:
    screen = io.StringIO()
    Console(width=100, file=screen).print(renderable, soft_wrap=soft_wrap)
    return [line.rstrip() for line in screen.getvalue().splitlines()]


def test_a_site_that_is_well_fits_on_one_screen(reading: Reading) -> None:
    lines = shown(table.of(reading.judged()))
    assert lines[0].startswith("All is well  read in 1.2 s at ")
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 100
    text = "\n".join(lines)
    assert "✓ https://ollama.phi.example.edu answers, 0 models   ✓ certificate: 89 days" in text
    assert "✓ deploy-ollama done 12 min ago by ada   ✓ lock: free" in text
    assert "✓ 4 models on every node" in text
    assert "✓ phi-gpu-3  ✓ v1.36.3  ✓ 1 of 1  ✓ 0.24.0  ✓ 1 model, 21.5 GB  ✓ 500 B free  ✓ answers" in text
    assert "✓ scout-prod     ✓ scout-prod-1 v1.36.3     external  https://ollama.phi.example.edu  ✓ answers" in text
    assert shown(table.problems(reading.judged())) == [""]


def test_what_is_wrong_stands_in_its_place_and_below_the_worst_first(reading: Reading) -> None:
    reading.say(NODES[0], version=answer({"version": "0.23.1"}))
    reading.lose(NODES[2])
    reading.see({"tags": Section(22, "error: 403")}, OTHER)
    lines = shown(table.of(reading.judged()))
    assert lines[0].startswith("2 things broken, 1 warning  read in")
    text = "\n".join(lines)
    assert "! phi-gpu-1  ✓ v1.36.3    ✓ 1 of 1  ! 0.23.1" in text
    assert "✗ phi-gpu-3  ✗ no answer  ?         ?" in text
    assert "✗ no answer" in next(line for line in lines if "✗ scout-prod " in line)
    told = shown(table.problems(reading.judged()), soft_wrap=True)
    heads = [line for line in told if not line.startswith(" ")]
    assert heads == [
        "phi-gpu-3: ✗ does not answer",
        "scout-prod: ✗ https://ollama.phi.example.edu does not answer this Scout",
        "phi-gpu-1: ! its Ollama is 0.23.1, the inventory wants 0.24.0",
    ]
    assert "  next: inv check-access --hosts phi" in told


def test_what_hosts_say_does_not_drive_the_terminal(reading: Reading) -> None:
    reading.say(NODES[0], version=answer({"version": "\x1b]0;owned\x07[bold]x[/bold]"}))
    text = "\n".join([*shown(table.of(reading.judged())), *shown(table.problems(reading.judged()))])
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[bold]x[/bold]" in text.replace("\n", "")
