"""The page, as a browser shows it: nothing is loaded, nothing is complained of, and it fits on a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from scout_ollama import secrets
from scout_ollama.facts import Section
from scout_ollama.status import page, timeline, topology
from scout_ollama.status.document import SiteStatus
from tests import browser
from tests.browser import Page
from tests.status import readings
from tests.status.readings import ASKER, NODES, Reading, answer

HOSTILE = "</title><script src='https://evil.example.edu/x.js'></script><img src=x onerror=alert(1)>\x1b]0;"


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    return readings.well(tmp_path / "site")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Page]:
    program = browser.chromium()
    if program is None:
        pytest.fail("there is no Chromium to show the page in: apt-get install chromium, or name it in CHROMIUM")
    with browser.browsing(program) as opened:
        yield opened


def hostile(reading: Reading) -> SiteStatus:
    """A site whose hosts say what would be markup in all that they say."""
    broken = Section(1, HOSTILE)
    one, two, three = NODES
    reading.change(one, gpus=broken, gpu_memory=(), kept=readings.kept(reading.now, result="failed", who=HOSTILE))
    reading.say(two, version=answer({"version": HOSTILE}), ps=broken)
    reading.change(three, k3s=broken)
    reading.see({"tags": broken}, ASKER)
    return reading.judged()


def opened(chromium: Page, html: str, file: Path, *, width: int = 1060, dark: bool = False) -> Page:
    file.write_text(html)
    chromium.requests.clear()
    chromium.complaints.clear()
    chromium.open(file.as_uri(), width=width, dark=dark)
    return chromium


@pytest.mark.parametrize("width", [1060, 375, 320])
def test_the_page_loads_nothing_and_fits(reading: Reading, chromium: Page, tmp_path: Path, width: int) -> None:
    reading.lose(NODES[2])
    file = tmp_path / "status.html"
    shown = opened(chromium, page.of(reading.judged()), file, width=width)
    assert shown.requests == [file.as_uri()]
    assert shown.complaints == []
    assert shown.ask("document.documentElement.scrollWidth") <= width
    visible = "[...document.querySelectorAll('svg.picture')].filter(e => e.getBoundingClientRect().height).length"
    assert shown.ask(visible) == 2  # the topology and the timeline, of this width
    text = shown.ask("document.body.innerText")
    assert "1 thing broken" in text
    assert "ping 192.0.2.13" in text
    assert all(name in text for name in NODES)


def test_what_hosts_say_is_text(reading: Reading, chromium: Page, tmp_path: Path) -> None:
    file = tmp_path / "status.html"
    shown = opened(chromium, page.of(hostile(reading)), file)
    assert shown.requests == [file.as_uri()]
    assert shown.complaints == []
    assert shown.ask("document.querySelectorAll('script, img, [onerror]').length") == 0
    assert "its Ollama is </title><script src='https://evil.example.edu/" in shown.ask("document.body.innerText")
    assert "by </title><script src='https://evil.example.edu/x.js'></script><img" in shown.ask(
        "document.body.innerText"
    )
    assert "\x1b" not in file.read_text()


def test_a_script_that_got_in_would_not_run_and_reach_nobody(reading: Reading, chromium: Page, tmp_path: Path) -> None:
    planted = page.of(reading.judged()).replace("<footer>", "<script>document.title = 'ran'</script><footer>")
    shown = opened(chromium, planted, tmp_path / "status.html")
    assert shown.ask("document.title") != "ran"
    assert any("Content Security Policy" in complaint for complaint in shown.complaints)


def test_the_dark_page_is_dark_and_the_light_one_light(reading: Reading, chromium: Page, tmp_path: Path) -> None:
    html = page.of(reading.judged())
    colour = "getComputedStyle(document.body).backgroundColor"
    light = opened(chromium, html, tmp_path / "status.html").ask(colour)
    dark = opened(chromium, html, tmp_path / "status.html", dark=True).ask(colour)
    assert [sum(map(int, re.findall(r"\d+", found))) > 384 for found in (light, dark)] == [True, False]


def test_every_state_has_a_word_beside_its_colour(reading: Reading, chromium: Page, tmp_path: Path) -> None:
    shown = opened(chromium, page.of(hostile(reading)), tmp_path / "status.html")
    labels = "[...new Set([...document.querySelectorAll('svg.mark')].map(e => e.getAttribute('aria-label')))]"
    assert set(shown.ask(labels)) == {"ok", "warning", "unknown", "broken"}


def test_a_secret_is_on_no_page(reading: Reading) -> None:
    secrets.Secret("hunter2-hunter2&<")
    reading.change(NODES[0], gpus=Section(1, "it said hunter2-hunter2&<"), gpu_memory=())
    html = page.of(reading.judged())
    assert "it said " in html
    assert "hunter2" not in html


def test_a_page_for_a_wall_is_loaded_again(reading: Reading) -> None:
    status = reading.judged()
    assert '<meta http-equiv="refresh" content="5">' in page.of(status, 5.0)
    assert "refresh" not in page.of(status)


# -- what is drawn


def test_the_picture_has_every_scout_endpoint_and_node_and_the_lines_between(reading: Reading) -> None:
    reading.lose(NODES[2])
    for picture in (topology.wide(reading.judged()), topology.narrow(reading.judged())):
        titles = [box.title for box in picture.boxes]
        assert sorted(titles) == sorted(["scout-preprod", "scout-prod", "ollama.phi.example.edu", *NODES])
        assert [box.state for box in picture.boxes if box.title == NODES[2]] == ["broken"]
        assert [line.state for line in picture.lines].count("unknown") == 1
        assert all(box.x >= 0 and box.x + box.width <= picture.width for box in picture.boxes)
        assert all(box.y >= 0 and box.y + box.height <= picture.height for box in picture.boxes)


def test_boxes_do_not_overlap(reading: Reading) -> None:
    for picture in (topology.wide(reading.judged()), topology.narrow(reading.judged())):
        for one in picture.boxes:
            for two in picture.boxes:
                apart = one.x + one.width <= two.x or two.x + two.width <= one.x
                apart = apart or one.y + one.height <= two.y or two.y + two.height <= one.y
                assert one is two or apart, (one, two)


def test_runs_stand_in_the_order_of_time_and_close_ones_apart(reading: Reading) -> None:
    moments = (reading.now - timedelta(seconds=seconds) for seconds in (7200, 60, 30, 0))
    records = [readings.record(moment, run=str(number)) for number, moment in enumerate(moments)]
    reading.change(NODES[0], kept=replace(readings.kept(reading.now), runs=records))
    line = timeline.of(reading.judged("phi"), 960, 150, 7)
    assert line
    assert [mark.x for mark in line.marks] == sorted(mark.x for mark in line.marks)
    assert len({(mark.x // 14, mark.y) for mark in line.marks}) == 4
    assert all(150 <= mark.x <= 960 for mark in line.marks)
