"""What another release of the chart changes by its defaults, as far as it matters with our values."""

from __future__ import annotations

from collections.abc import Iterator

from scout_ollama import difference
from scout_ollama.gpu_operator.chart import Chart, Values
from scout_ollama.gpu_operator.images import effective
from scout_ollama.gpu_operator.values import value_at

# Defaults that a release changed (v26.7.0) and that our values hold.
HELD = {
    "ccManager.enabled": "it is for confidential virtual machines, which do not run here",
    "dcgmExporter.serviceMonitor.enabled": "it needs a kind of object that only a monitoring stack brings",
}


def value_changes(before: Chart, after: Chart, values: Values, *, values_before: Values | None = None) -> list[str]:
    """Return a line for each value that would differ, as ``difference.of_objects`` writes it.

    ``values`` are ours over the defaults of ``after``, and over those of ``before`` too unless those were others.

    Behind them stands each default that changed and is held by ours, with the reason. What is switched off before and
    after is left out.
    """
    there = effective(before, values if values_before is None else values_before)
    changed = difference.of_objects(there, effective(after, values))
    return [*changed, *_held(before, after, values)]


def _held(before: Chart, after: Chart, values: Values) -> Iterator[str]:
    for path, reason in HELD.items():
        old, new = value_at(before.values, path), value_at(after.values, path)
        ours = value_at(values, path)
        if old != new and ours is not None and ours != new:
            yield f"= {path}: stays {ours}, though its default is {new} now: {reason}"
