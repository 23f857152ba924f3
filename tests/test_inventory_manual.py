"""``hosts/example.yaml`` is the manual and ``hosts/schema.json`` the editor's: both say what the models do."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from scout_ollama.inventory import Site, load_site
from scout_ollama.inventory.fields import Derived
from scout_ollama.inventory.loading import KINDS
from scout_ollama.inventory.problems import Where
from scout_ollama.inventory.reading import Document, read
from scout_ollama.inventory.schema import schema, text

HOSTS = Path(__file__).parent.parent / "hosts"
MANUAL = HOSTS / "example.yaml"


Field = tuple[type[BaseModel], str]
"""A field by the model that declares it and its name: what clusters share is one field."""


def declared(model: type[BaseModel]) -> Iterator[tuple[Field, FieldInfo]]:
    """Every field that can be written in a file for this model, and below."""
    for name, field in model.model_fields.items():
        if Derived() not in field.metadata:
            yield declaration(model, name)
            if inner := model_in(field.annotation):
                yield from declared(inner)


def explained(model: type[BaseModel], data: Any, document: Document, where: Where = ()) -> Iterator[tuple[Field, int]]:
    """Every field that stands in a document of the manual, with its line."""
    if isinstance(data, dict):
        for name in data.keys() & model.model_fields.keys():
            yield declaration(model, name)[0], document.lines[*where, name]
            if inner := model_in(model.model_fields[name].annotation):
                yield from explained(inner, data[name], document, (*where, name))
        for name in data.keys() - model.model_fields.keys():
            yield from explained(model, data[name], document, (*where, name))
    if isinstance(data, list):
        for index, item in enumerate(data):
            yield from explained(model, item, document, (*where, index))


def declaration(model: type[BaseModel], name: str) -> tuple[Field, FieldInfo]:
    owner = [base for base in model.__mro__ if issubclass(base, BaseModel) and name in base.model_fields][-1]
    return (owner, name), owner.model_fields[name]


def model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := model_in(part))), None)


DECLARED = dict(field for model in KINDS.values() for field in declared(model))
EACH_FIELD = pytest.mark.parametrize("field", DECLARED, ids=lambda field: f"{field[0].__name__}.{field[1]}")


@pytest.fixture(scope="module")
def comments(tmp_path_factory: pytest.TempPathFactory) -> dict[Field, str]:
    """What the manual says to each field, on the line where it first stands.

    A field that excludes the one before it stands there as a comment: ``# file: …``.
    """
    text = re.sub(r"^( +)# ([a-z_]+: )", r"\1\2", MANUAL.read_text(), flags=re.MULTILINE)
    file = tmp_path_factory.mktemp("manual") / "example.yaml"
    file.write_text(text)
    documents, problems = read(file)
    assert problems == []
    lines = text.splitlines()
    places = [place for found in documents for place in explained(KINDS[found.data["kind"]], found.data, found)]
    # From the last line to the first, so that the first one stays.
    return {field: lines[line - 1].partition("#")[2] for field, line in sorted(places, key=lambda place: -place[1])}


def test_the_manual_is_a_site_by_itself(tmp_path: Path) -> None:
    parts = re.split(r"^---.*$", MANUAL.read_text(), flags=re.MULTILINE)
    for name, part in zip(("phi", "staging", "scout-prod"), parts, strict=True):
        (tmp_path / f"{name}.yaml").write_text(part)
    site = load_site(tmp_path)
    assert isinstance(site, Site)
    assert [cluster.kind for cluster in site.clusters.values()] == ["ollama", "scout", "staging"]


def test_the_manual_is_not_part_of_the_site() -> None:
    assert "example" not in load_site(HOSTS).clusters


@EACH_FIELD
def test_the_manual_has_every_field_with_its_default(comments: dict[Field, str], field: Field) -> None:
    assert field in comments, "add it to hosts/example.yaml"
    info, comment = DECLARED[field], comments[field]
    if info.is_required():
        assert "default" not in comment
    elif info.default_factory is None and not isinstance(info.default, dict):
        said = info.default if isinstance(info.default, str) else json.dumps(info.default)
        assert re.search(rf"default {re.escape(said)}(\W|$)", comment), comment


@EACH_FIELD
def test_every_field_has_a_description(field: Field) -> None:
    description = DECLARED[field].description
    assert description
    assert description.endswith(".")


def test_the_schema_does_not_drift() -> None:
    assert (HOSTS / "schema.json").read_text() == text(), "python -m scout_ollama.inventory.schema > hosts/schema.json"


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("file", sorted(HOSTS.glob("*.yaml")), ids=lambda file: file.name)
def test_editors_find_the_schema_and_agree_with_what_is_shipped(file: Path) -> None:
    assert file.read_text().startswith("# yaml-language-server: $schema=schema.json\n")
    for document in read(file)[0]:
        jsonschema.validate(document.data, schema())


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("phi.yaml", "hostname:", "hostnam:"),
        ("phi.yaml", "kind: ollama", "kind: olama"),
        ("phi.yaml", "gpus: 1", "gpus: one"),
        ("phi.yaml", "address: 192.0.2.11, ", ""),
        ("phi.yaml", "hosts:", "name: phi\nhosts:"),
        ("phi.yaml", "address: 192.0.2.11", "address: 192.0.2.11, cluster: phi"),
        ("phi.yaml", "- qwen3-embedding:8b", "- https://ollama.com/x"),
        ("scout-prod.yaml", "external", "extern"),
    ],
)
def test_editors_see_what_would_be_refused(tmp_path: Path, file: str, old: str, new: str) -> None:
    shipped = (HOSTS / file).read_text()
    assert old in shipped
    (tmp_path / file).write_text(shipped.replace(old, new, 1))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(read(tmp_path / file)[0][0].data, schema())
