"""inv check: examine the selected clusters, one after the other, and tell what does not hold."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from scout_ollama import report, sizes
from scout_ollama.doctor.catalogue import check_of
from scout_ollama.doctor.examining import examine
from scout_ollama.doctor.verdicts import Verdict
from scout_ollama.fleet import Fleet
from scout_ollama.inventory import Site
from scout_ollama.results import CheckOutput

if TYPE_CHECKING:
    from rich.text import Text

STYLES = {"pass": "green", "warn": "yellow", "fail": "red", "could not tell": "magenta"}


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
    return CheckOutput(
        cluster=cluster,
        check=verdict.check,
        place=verdict.place,
        status=verdict.status,
        what=verdict.what,
        why=verdict.why,
        next=verdict.next,
    ).model_dump(mode="json")


def told(cluster: str, verdicts: Sequence[Verdict]) -> Text:
    """Return a cluster's verdicts for a terminal: a line for each check, and below it what does not hold where."""
    from rich.text import Text

    text = Text(f"{cluster}\n", style="bold")
    for id, group in groupby(verdicts, key=lambda verdict: verdict.check):
        same = list(group)
        worst = max(same, key=lambda verdict: list(STYLES).index(verdict.status)).status
        passed = [verdict.place for verdict in same if verdict.status == "pass"]
        if worst == "pass":
            where = passed[0] if len(passed) == 1 else sizes.counted(len(passed), "host")
            text.append(f"  {'pass':<15}{id:<16}{check_of(id).holds}  ({where})\n", style=STYLES["pass"])
            continue
        text.append(f"  {worst:<15}{id:<16}{check_of(id).holds}\n", style=STYLES[worst])
        for verdict in same:
            if verdict.status != "pass":
                text.append(_below(verdict), style=STYLES[verdict.status])
    return text.append(_summary(cluster, verdicts), style="bold")


def _below(verdict: Verdict) -> str:
    """A verdict's message, indented below its check; what could not be told has no why of its own."""
    return "".join(f"      {line}\n" for line in str(verdict.trouble).splitlines())


def _summary(cluster: str, verdicts: Sequence[Verdict]) -> str:
    failed = [verdict for verdict in verdicts if verdict.status == "fail"]
    unknown = [verdict for verdict in verdicts if verdict.status == "could not tell"]
    if failed:
        first = failed[0]
        return f"{cluster}: {sizes.counted(len(failed), 'fault')}; begin with {first.check} on {first.place}\n"
    if unknown:
        return f"{cluster}: could not tell everything\n"
    return f"{cluster}: everything holds\n"
