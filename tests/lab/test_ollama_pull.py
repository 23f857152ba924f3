"""A pull by Ollama's stand-in from a real docker-registry: in the real server's order, with its surprises."""

from pathlib import Path

import pytest

from lab.standins import model_registry, models
from lab.standins.models import SeededModel
from lab.standins.ollama import pull
from lab.standins.ollama.names import Name
from lab.standins.ollama.store import Store
from tests.lab import test_harbor
from tests.lab.test_harbor import Harbor

harbor = test_harbor.harbor
pytestmark = test_harbor.pytestmark


@pytest.fixture
def name(harbor: Harbor, monkeypatch: pytest.MonkeyPatch) -> Name:
    """A model that the registry has."""
    monkeypatch.setattr(pull, "AUTHORITIES", harbor.ca)
    model_registry.push(harbor.registry, "tiny:latest")
    return Name.parse(f"localhost:{harbor.port}/library/tiny:latest")


def pulled(store: Store, name: Name, *, prune: bool = False) -> list[str]:
    return [str(value["status"]) for value in pull.pull(store, name, prune=prune)]


def test_the_manifest_comes_last_and_is_the_registrys(name: Name, harbor: Harbor, tmp_path: Path) -> None:
    store = Store(tmp_path)
    values = pull.pull(store, name, prune=False)
    for value in values:
        if value["status"] == "writing manifest":
            break
        assert not (tmp_path / "manifests" / name.path).exists()
    assert list(values) == [{"status": "success"}]
    manifest = harbor.registry.manifest("library/tiny", "latest")
    assert manifest
    assert f"sha256:{store.manifest(name).digest}" == manifest.digest


def test_a_partial_file_has_its_full_size_from_the_start(name: Name, tmp_path: Path) -> None:
    sizes = set()
    for value in pull.pull(Store(tmp_path), name, prune=False):
        for partial in (tmp_path / "blobs").glob("*-partial"):
            sizes.add(partial.stat().st_size == value["total"])
    assert sizes == {True}
    assert not list((tmp_path / "blobs").glob("*-partial*"))


def test_a_pull_that_is_killed_before_it_verifies_leaves_its_blobs_under_their_final_names(
    name: Name, tmp_path: Path
) -> None:
    for value in pull.pull(Store(tmp_path), name, prune=False):
        if value["status"] == "verifying sha256 digest":
            break
    assert list((tmp_path / "blobs").glob("sha256-*"))
    assert not (tmp_path / "manifests" / name.path).exists()


def test_what_is_there_by_name_is_taken_for_whole(name: Name, tmp_path: Path) -> None:
    store = Store(tmp_path)
    pulled(store, name)
    model = SeededModel(store, name)
    model.corrupt_weights()
    spoiled = model.blob("model").read_bytes()
    assert pulled(store, name)[-1] == "success"
    assert model.blob("model").read_bytes() == spoiled


def test_a_tag_that_moved_leaves_what_it_meant_unless_it_may_prune(name: Name, harbor: Harbor, tmp_path: Path) -> None:
    store = Store(tmp_path)
    pulled(store, name)
    first = SeededModel(store, name).blob("model")
    model_registry.push(harbor.registry, "tiny:latest", "second")
    pulled(store, name)
    assert SeededModel(store, name).blob("model") != first
    assert first.exists()
    model_registry.push(harbor.registry, "tiny:latest", "third")
    second = SeededModel(store, name).blob("model")
    assert "removing unused layers" in pulled(store, name, prune=True)
    assert not second.exists()


def test_what_the_registry_does_not_have_is_told_as_the_real_one_tells_it(name: Name, tmp_path: Path) -> None:
    missing = Name.parse(f"{name.host}/library/nosuch:1")
    with pytest.raises(pull.PullError, match="pull model manifest: file does not exist"):
        pulled(Store(tmp_path), missing)


def test_weights_that_are_none_are_pulled_like_others(name: Name, harbor: Harbor, tmp_path: Path) -> None:
    model_registry.push(harbor.registry, "bad:latest", "broken")
    bad = Name.parse(f"{name.host}/library/bad:latest")
    assert pulled(Store(tmp_path), bad)[-1] == "success"
    assert not SeededModel(Store(tmp_path), bad).blob("model").read_bytes().startswith(models.weights()[:4])
