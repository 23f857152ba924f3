"""inv check: examine the selected clusters, one after the other, and tell what does not hold."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING

from scout_ollama import report, sizes
from scout_ollama.doctor.catalogue import check_of
from scout_ollama.doctor.examining import examine
from scout_ollama.doctor.verdicts import Status, Verdict
from scout_ollama.fleet import Fleet
from scout_ollama.inventory import Site
from scout_ollama.results import CheckOutput

if TYPE_CHECKING:
    from rich.text import Text

STYLES: dict[Status, str] = {"pass": "green", "warn": "yellow", "fail": "red", "could not tell": "magenta"}


def command(site: Site, selector: str, *, as_json: bool) -> int:
    """Examine the clusters of the selected hosts; return 1 if something does not hold or cannot be told."""
    clusters = site.clusters_of(site.select(selector))
    examined: dict[str, list[Verdict]] = {}
    with Fleet(site) as fleet:
        for cluster in clusters:
            examined[cluster.name] = verdicts = examine(site, cluster, fleet)
            if not as_json:
                report.print_text(told(cluster.name, verdicts), soft_wrap=True)
    if as_json:
        report.print_json([output(name, verdict) for name, verdicts in examined.items() for verdict in verdicts])
    bad = any(verdict.status in ("fail", "could not tell") for verdicts in examined.values() for verdict in verdicts)
    return 1 if bad else 0


def explain(id: str) -> None:
    """Print what a check is about.

    Raises:
        Trouble: there is no such check.
    """
    check = check_of(id)
    report.print_text(f"{check.id}: {check.holds}\n\n{check.about}")


def output(cluster: str, verdict: Verdict) -> dict[str, object]:
    """Return a verdict as the document that ``CheckOutput`` describes."""
    return CheckOutput(cluster=cluster, **asdict(verdict)).model_dump(mode="json")


def told(cluster: str, verdicts: Sequence[Verdict]) -> Text:
    """Return a cluster's verdicts for a terminal: what holds by name, what does not with its place, why and remedy."""
    from rich.text import Text

    by_check = [(id, list(group)) for id, group in groupby(verdicts, key=lambda verdict: verdict.check)]
    text = Text(f"{cluster}\n", style="bold")
    for worst, checks in groupby(by_check, key=lambda pair: _worst(pair[1])):
        if worst == "pass":
            names = ", ".join(id for id, _ in checks)
            text.append(textwrap.indent(textwrap.fill(f"pass: {names}", 100), "  ") + "\n", style=STYLES[worst])
            continue
        for id, same in checks:
            text.append(f"  {worst}: {id}: {check_of(id).holds}\n", style=STYLES[worst])
            text.append("".join(map(_below, same)), style=STYLES[worst])
    return text.append(_summary(cluster, verdicts), style="bold")


def _worst(verdicts: Sequence[Verdict]) -> Status:
    return max((verdict.status for verdict in verdicts), key=list(STYLES).index)


def _below(verdict: Verdict) -> str:
    """A verdict's message, indented below its check."""
    if verdict.status == "pass":
        return ""
    return "".join(f"      {line}\n" for line in str(verdict.trouble).splitlines() if line.strip())


def _summary(cluster: str, verdicts: Sequence[Verdict]) -> str:
    failed = [verdict for verdict in verdicts if verdict.status == "fail"]
    unknown = [verdict for verdict in verdicts if verdict.status == "could not tell"]
    if failed:
        first = failed[0]
        return f"{cluster}: {sizes.counted(len(failed), 'fault')}; begin with {first.check} on {first.place}\n"
    if unknown:
        return f"{cluster}: could not tell everything\n"
    return f"{cluster}: everything holds\n"
