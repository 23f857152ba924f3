"""Whatever hosts answer, the site is judged, and what is shown of it is text on a terminal and in HTML."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scout_ollama.facts import Section
from scout_ollama.report import print_text
from scout_ollama.status import page, table
from tests.spoiling import GARBAGE
from tests.status import readings
from tests.status.readings import ASKER, NODES, Reading

HOSTILE = "</title><script>x</script><b onload='y'>\x1b[2J\x9b[red]z[/red]"
TEXTS = st.just(HOSTILE) | st.text(max_size=20) | GARBAGE.map(json.dumps)
SECTIONS = st.builds(Section, st.sampled_from([0, 0, 1, 124]), TEXTS)
ANSWERS = st.dictionaries(st.sampled_from(["version", "ps", "tags"]), SECTIONS)
few = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    return readings.well(tmp_path / "site")


@few
@given(said=ANSWERS, seen=ANSWERS, section=SECTIONS)
def test_whatever_is_answered(
    reading: Reading,
    capsys: pytest.CaptureFixture[str],
    said: dict[str, Section],
    seen: dict[str, Section],
    section: Section,
) -> None:
    reading.say(NODES[0], **said)
    reading.see(seen, ASKER)
    reading.change(NODES[1], gpus=section, k3s=section)
    status = reading.judged()
    print_text(table.of(status), wide=True)
    print_text(table.problems(status), soft_wrap=True)
    shown = capsys.readouterr().out
    html = page.of(status)
    for text in (shown, html):
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
    assert "<script" not in html
    assert "<b onload" not in html
