"""The difference that a person reads before agreeing to it."""

from __future__ import annotations

import base64

import pytest
import yaml

from scout_ollama import difference


def test_a_changed_field_is_shown_with_its_path_before_and_after() -> None:
    before = {"spec": {"containers": [{"name": "ollama", "image": "ollama:0.24.0"}]}}
    after = {"spec": {"containers": [{"name": "ollama", "image": "ollama:0.24.1"}]}}
    assert difference.of_objects(before, after) == [
        "~ spec.containers[name=ollama].image: ollama:0.24.0 → ollama:0.24.1"
    ]


def test_an_item_put_first_does_not_shift_the_others() -> None:
    before = {"env": [{"name": "B", "value": "2"}]}
    after = {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}
    assert difference.of_objects(before, after) == ["+ env[name=A].name: A", "+ env[name=A].value: 1"]


def test_a_field_that_goes_is_shown_with_what_it_was() -> None:
    assert difference.of_objects({"spec": {"a": 1, "b": 2}}, {"spec": {"b": 2}}) == ["- spec.a: 1"]


def test_what_the_server_writes_is_no_difference() -> None:
    before = {"metadata": {"name": "x", "resourceVersion": "1", "generation": 1}, "status": {"ready": 1}}
    after = {"metadata": {"name": "x", "resourceVersion": "2", "generation": 2}, "status": {"ready": 2}}
    assert difference.of_objects(before, after) == []


def test_nor_is_its_count_of_templates() -> None:
    def counted(number: str) -> dict[str, object]:
        return {"metadata": {"annotations": {"deprecated.daemonset.template.generation": number}}}

    assert difference.of_objects(counted("1"), counted("2")) == []
    assert difference.of_objects(None, counted("1")) == difference.of_objects(None, {"metadata": {}})


def test_a_new_object_shows_all_of_its_fields() -> None:
    assert difference.of_objects(None, {"kind": "Service", "spec": {"ports": [80], "selector": {}}}) == [
        "+ kind: Service",
        "+ spec.ports[0]: 80",
        "+ spec.selector: {}",
    ]


def test_a_secret_shows_that_it_changed_but_not_what_it_is() -> None:
    def secret(text: str) -> dict[str, object]:
        return {"kind": "Secret", "data": {"tls.key": base64.b64encode(text.encode()).decode()}}

    (line,) = difference.of_objects(secret("old key"), secret("new key"))
    assert line.startswith("~ data.tls.key: (redacted ")
    for text in ("old key", "new key"):
        assert base64.b64encode(text.encode()).decode() not in line


@pytest.mark.parametrize(
    "text",
    [
        "configs: {h: {auth: {username: robot, password: hunter2}}}",
        'configs: {"h": {"auth": {"password": "hunter2"}}}',
        "configs:\n  h:\n    auth:\n      password: >-\n        hunter2\n",
        "configs: {h: {auth: {auth: hunter2}}}",
    ],
)
def test_a_document_shows_that_a_password_changed_however_it_was_written(text: str) -> None:
    before = difference.redacted(yaml.safe_load(text))
    after = difference.redacted(yaml.safe_load(text.replace("hunter2", "hunter3")))
    (line,) = difference.of_objects(before, after)
    assert line.startswith("~ configs.h.auth.")
    assert "hunter" not in line


def test_a_new_file_is_all_new_lines() -> None:
    assert difference.of_texts(None, "a\nb\n") == ["+a", "+b"]
