"""The stand-in API server's parts on their own: quantities, selectors, patches, sets of fields."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from lab.standins.kube import fieldsets, patches, quantity, schema, selectors
from lab.standins.kube.errors import ApiError, Json

DAEMON_SET = schema.builtin("apps", "v1", "DaemonSet")


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("1024Mi", "1Gi"),
        ("65537Mi", "65537Mi"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("0.5", "500m"),
        ("0.5Gi", "512Mi"),
        ("1e3", "1e3"),
        ("12e6", "12e6"),
        ("1000k", "1M"),
        (1, "1"),
        (0, "0"),
        ("0Mi", "0"),
        ("1.5Gi", "1536Mi"),
        ("100", "100"),
        ("1Ki", "1Ki"),
        ("-1", "-1"),
    ],
)
def test_quantities_are_stored_canonically(written: Any, stored: str) -> None:
    assert quantity.canonical(written) == stored


@pytest.mark.parametrize("text", ["", "lots", "1 Gi", "1GiB", "Gi", "1.2.3", "--1"])
def test_malformed_quantities(text: str) -> None:
    with pytest.raises(ValueError, match="quantities must match the regular expression"):
        quantity.canonical(text)


@given(some.integers(0, 10**15), some.sampled_from(["", "m", "k", "M", "G", "Ki", "Mi", "Gi"]))
def test_canonical_quantities_are_equal_and_stay(number: int, suffix: str) -> None:
    once = quantity.canonical(f"{number}{suffix}")
    assert quantity.parse(once) == quantity.parse(f"{number}{suffix}")
    assert quantity.canonical(once) == once


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("", True),
        ("a=1", True),
        ("a==1,b=2", True),
        ("a!=1", False),
        ("missing!=1", True),
        ("a in (1, 2),b", True),
        ("a notin (1,2)", False),
        ("missing notin (1)", True),
        ("!missing", True),
        ("!a", False),
        ("example.com/x=y", True),
    ],
)
def test_label_selectors(selector: str, selected: bool) -> None:
    obj = {"metadata": {"labels": {"a": "1", "b": "2", "example.com/x": "y"}}}
    assert selectors.labels(selector)(obj) == selected


@pytest.mark.parametrize("selector", ["a b", "a=(", "in (x)"])
def test_malformed_label_selectors(selector: str) -> None:
    with pytest.raises(ApiError, match="unable to parse requirement"):
        selectors.labels(selector)


def template(**spec: Any) -> Json:
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "spec": {"template": {"spec": spec}}}


def merged(old: Json, patch: Json) -> Json:
    found: Json = patches.strategic_patch(template(**old), template(**patch), DAEMON_SET)["spec"]["template"]["spec"]
    return found


def test_strategic_merge_by_key() -> None:
    old = {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}
    patch = {"containers": [{"name": "b", "image": "2"}, {"name": "c", "image": "3"}]}
    names = [(container["name"], container["image"]) for container in merged(old, patch)["containers"]]
    assert names == [("a", "1"), ("b", "2"), ("c", "3")]


def test_strategic_directives() -> None:
    old = {"containers": [{"name": "a"}, {"name": "b"}], "nodeSelector": {"x": "1", "y": "1"}}
    assert merged(old, {"containers": [{"name": "a", "$patch": "delete"}]})["containers"] == [{"name": "b"}]
    assert merged(old, {"containers": [{"name": "c"}, {"$patch": "replace"}]})["containers"] == [{"name": "c"}]
    assert merged(old, {"nodeSelector": {"z": "1", "$patch": "replace"}})["nodeSelector"] == {"z": "1"}
    assert merged(old, {"nodeSelector": {"x": None}})["nodeSelector"] == {"y": "1"}
    order = {"containers": [{"name": "c"}], "$setElementOrder/containers": [{"name": n} for n in "bca"]}
    assert [container["name"] for container in merged(old, order)["containers"]] == ["b", "c", "a"]


def test_a_volume_changes_its_source_by_retained_keys() -> None:
    old = {"volumes": [{"name": "v", "emptyDir": {}}]}
    patch = {"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/m"}}]}
    assert merged(old, patch)["volumes"] == [{"name": "v", "hostPath": {"path": "/m"}}]


def test_an_undo_replaces_the_template() -> None:
    """What `kubectl rollout undo` sends: a ControllerRevision's data."""
    old = template(containers=[{"name": "a", "image": "2", "env": [{"name": "X", "value": "1"}]}])
    new = {"spec": {"template": {"$patch": "replace", "spec": {"containers": [{"name": "a", "image": "1"}]}}}}
    undone = patches.strategic_patch(old, new, DAEMON_SET)
    assert undone["spec"]["template"] == {"spec": {"containers": [{"name": "a", "image": "1"}]}}


@pytest.mark.parametrize(
    ("operations", "result"),
    [
        ([{"op": "add", "path": "/list/-", "value": 3}], {"list": [1, 2, 3], "a/b": 1}),
        ([{"op": "add", "path": "/list/0", "value": 0}], {"list": [0, 1, 2], "a/b": 1}),
        ([{"op": "remove", "path": "/a~1b"}], {"list": [1, 2]}),
        ([{"op": "replace", "path": "/list", "value": []}], {"list": [], "a/b": 1}),
        ([{"op": "move", "from": "/list/0", "path": "/x"}], {"list": [2], "a/b": 1, "x": 1}),
        ([{"op": "copy", "from": "/list", "path": "/x"}], {"list": [1, 2], "a/b": 1, "x": [1, 2]}),
    ],
)
def test_json_patch(operations: list[Json], result: Json) -> None:
    before = {"list": [1, 2], "a/b": 1}
    assert patches.json_patch(before, operations) == result
    assert before == {"list": [1, 2], "a/b": 1}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/nope"},
        {"op": "replace", "path": "/nope", "value": 1},
        {"op": "test", "path": "/a", "value": 2},
        {"op": "sort", "path": "/a"},
    ],
)
def test_json_patches_that_do_not_fit(operation: Json) -> None:
    with pytest.raises(ApiError) as caught:
        patches.json_patch({"a": 1}, [operation])
    assert caught.value.code == 422


def test_merge_patch() -> None:
    assert patches.merge_patch({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": None, "e": 3}, "d": [2]}) == {
        "a": {"c": 2, "e": 3},
        "d": [2],
    }


names = some.sampled_from(["a", "b", "c", "d"])
environments = some.lists(
    some.builds(lambda n, v: {"name": n, "value": v}, names, names), unique_by=lambda e: e["name"]
)
labels = some.dictionaries(names, names, min_size=1)
objects = some.builds(
    lambda env, own, image: {
        **template(containers=[{"name": "main", "image": image, "env": env}]),
        "metadata": {"labels": own},
    },
    environments,
    labels,
    names,
)


@given(objects)
def test_fields_survive_their_encoding(obj: Json) -> None:
    fields = fieldsets.fields_of(obj, DAEMON_SET)
    assert fieldsets.decode(fieldsets.encode(fields)) == fields


@given(objects, objects)
def test_merging_sets_what_is_asked_and_loses_nothing(live: Json, config: Json) -> None:
    result = fieldsets.merge(live, config, DAEMON_SET)
    fields = fieldsets.fields_of(result, DAEMON_SET)
    assert fieldsets.fields_of(config, DAEMON_SET) | fieldsets.fields_of(live, DAEMON_SET) == fields
    again = fieldsets.merge(result, config, DAEMON_SET)
    assert again == result


@given(objects, objects)
def test_what_differs_is_what_comparing_tells(old: Json, new: Json) -> None:
    difference = fieldsets.compare(old, new, DAEMON_SET)
    assert (difference.added | difference.modified | difference.removed == set()) == (
        fieldsets.fields_of(old, DAEMON_SET) == fieldsets.fields_of(new, DAEMON_SET) and not difference.modified
    )
    before, after = fieldsets.fields_of(old, DAEMON_SET), fieldsets.fields_of(new, DAEMON_SET)
    assert after - before <= difference.added
    assert before - after <= difference.removed
