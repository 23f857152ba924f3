"""One reading of everything that tells how far the operator is, from what the script prints."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scout_ollama.errors import Trouble
from scout_ollama.facts import Sections, parse_sections
from scout_ollama.gpu_operator import state
from scout_ollama.gpu_operator.state import ALWAYS_THERE, Holder
from scout_ollama.inventory import Host

HOST = Host(name="phi-gpu-1", cluster="phi", address="192.0.2.11", roles=frozenset({"server"}))
EMPTY = json.dumps({"kind": "List", "items": []})
METADATA = {
    "name": "gpu-operator",
    "creationTimestamp": "2026-01-02T00:00:00Z",
    "managedFields": [
        {"manager": "scout-ollama", "time": "2026-01-02T00:05:00Z", "fieldsV1": {"f:spec": {}}},
        {"manager": "helm-controller", "time": "2026-01-02T00:09:00Z", "fieldsV1": {"f:status": {}}},
    ],
}


def printed(**sections: str) -> Sections:
    """What the script prints; sections that are not given are empty."""
    given = dict.fromkeys(ALWAYS_THERE, EMPTY) | {"clock": "1767312600", "chart": "", "releases": "", "holders": ""}
    texts = given | {name.replace("_", "."): text for name, text in sections.items()}
    lines = [[f"gpu.{name} 0", *(f"  {line}" for line in text.splitlines())] for name, text in texts.items()]
    return parse_sections("\n".join(line for section in lines for line in section))


def test_a_cluster_without_an_operator() -> None:
    found = state.parsed(printed(), HOST)
    assert (found.chart, found.job, found.releases, found.policies) == (None, None, (), ())
    assert found.allocatable("phi-gpu-1") == 0


def test_the_chart_was_applied_when_its_spec_was_last_set_and_not_its_status() -> None:
    status: dict[str, Any] = {"conditions": [{"type": "Failed", "status": "True", "message": "no more retries"}]}
    found = state.parsed(printed(chart=f"{json.dumps(METADATA)}\n{json.dumps(status)}\n"), HOST).chart
    assert found is not None
    assert found.applied.isoformat() == "2026-01-02T00:05:00+00:00"
    assert found.age == 1767312600 - found.applied.timestamp()
    assert (found.failure, found.is_going) == ("no more retries", False)


def test_releases_are_sorted_by_number_not_by_name() -> None:
    labels = "".join(json.dumps({"version": str(number), "status": "superseded"}) + "\n" for number in (9, 10, 2))
    assert [one["version"] for one in state.parsed(printed(releases=labels), HOST).releases] == ["10", "9", "2"]


def test_who_holds_gpus_is_told_by_node_and_who_has_none_is_not() -> None:
    text = "ollama ollama-x phi-gpu-1 1,\nkube-system dns phi-gpu-1 ,\nml job phi-gpu-2 ,2,1,\n"
    found = state.parsed(printed(holders=text), HOST)
    assert found.holders == {"phi-gpu-1": (Holder("ollama", "ollama-x", 1),), "phi-gpu-2": (Holder("ml", "job", 3),)}


@pytest.mark.parametrize("missing", ALWAYS_THERE)
def test_a_question_without_an_answer_is_trouble_and_never_an_empty_cluster(missing: str) -> None:
    sections = printed()
    del sections[f"gpu.{missing}"]
    with pytest.raises(Trouble, match="does not answer as it should"):
        state.parsed(sections, HOST)


def test_what_kubectl_said_last_is_told() -> None:
    sections = parse_sections("gpu.clock 0\n  1\ngpu.chart 1\n  E1126\n  connection refused\n")
    with pytest.raises(Trouble) as trouble:
        state.parsed(sections, HOST)
    assert trouble.value.why == "connection refused"
