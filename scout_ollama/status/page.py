"""The site as one self-contained page: for a wall, a mail, a phone."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from scout_ollama.audit import local
from scout_ollama.errors import printable
from scout_ollama.secrets import masked_values
from scout_ollama.status import timeline, topology
from scout_ollama.status.document import SiteStatus, worst
from scout_ollama.status.runs import name_of
from scout_ollama.status.words import KINDS, STATES, headline

_HERE = Path(__file__).parent
RUNS = 12
"""Runs in the table below the timeline."""


def of(status: SiteStatus, again: float | None = None) -> str:
    """Return the page as HTML; with ``again`` the browser loads it again after so many seconds.

    Nothing in it is loaded from anywhere, no script runs, and whatever a host said is text.
    """
    shown = SiteStatus.model_validate(_printable(masked_values(status.model_dump(mode="json"))))
    style = (_HERE / "page.css").read_text()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return _template().render(
        status=shown,
        again=again,
        style=style,
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'",
        headline=headline(shown),
        pictures=[("wide", topology.wide(shown)), ("narrow", topology.narrow(shown))],
        timelines=[("wide", timeline.of(shown, 960, 150, 7)), ("narrow", timeline.of(shown, 344, 84, 3))],
        runs=timeline.all_of(shown, RUNS),
    )


def _printable(value: Any) -> Any:
    """The same document without control characters in its texts."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(key): _printable(item) for key, item in value.items()}
    return [_printable(item) for item in value] if isinstance(value, list) else value


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    environment.globals |= {"KINDS": KINDS, "STATES": STATES}
    environment.filters |= {
        "local": local,
        "name_of": name_of,
        "state_of": timeline.state_of,
        "worst": _worst,
        "moment": _moment,
    }
    return environment.get_template("page.html.j2")


def _worst(cells: Any) -> str:
    return worst(cell.state for cell in cells)


def _moment(moment: datetime) -> str:
    """As it is where the page is made, with the zone: it may be read elsewhere."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
