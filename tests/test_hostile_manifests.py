"""Whatever a value is, the rendered manifest has exactly that value, and the shape that the template gives it."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scout_ollama import manifests

# No surrogates: YAML has none, and neither has a file that is UTF-8.
TEXTS = st.text(st.characters(codec="utf-8")) | st.sampled_from(
    [
        "",
        "null",
        "yes",
        "1e3",
        "{{ x }}",
        "{% raw %}",
        "a: b",
        "- x",
        "---\na: b",
        "# x",
        "&a *a !!int",
        "'\"\\",
        "\x7f\x85",
    ]
)
moderate = settings(max_examples=150)


def staging(**values: Any) -> list[manifests.KubeObject]:
    good = {
        "name": "n",
        "namespace": "n",
        "node": "n",
        "image": "i",
        "script": "s",
        "calls": [],
        "store": "/s",
        "store_type": "Directory",
    }
    return manifests.render("staging", {**good, **values})


def job(**values: Any) -> Any:
    (found,) = [obj for obj in staging(**values) if obj["kind"] == "Job"]
    return found


@moderate
@given(TEXTS)
@example("\N{GRINNING FACE}")
@example("\u2028 \ufeff \x85 \x00")
@example("a\n---\nkind: Secret\n")
def test_a_text(text: str) -> None:
    manifest = job(image=text)
    assert manifest["spec"]["template"]["spec"]["containers"][0]["image"] == text
    assert manifest.keys() == job().keys()
    assert yaml.safe_load(manifests.to_yaml([manifest])) == manifest


@moderate
@given(st.lists(TEXTS, max_size=4))
def test_a_list_of_texts(texts: list[str]) -> None:
    assert job(calls=texts)["spec"]["template"]["spec"]["containers"][0]["args"] == texts


@moderate
@given(st.dictionaries(TEXTS, TEXTS, max_size=4))
def test_the_values_of_the_gpu_operators_chart(values: dict[str, str]) -> None:
    content = yaml.safe_dump(values, sort_keys=False)
    (chart,) = manifests.render("gpu-operator", {"chart_content": "x", "values_content": content})
    assert chart["spec"]["valuesContent"] == content
    assert yaml.safe_load(chart["spec"]["valuesContent"]) == values
