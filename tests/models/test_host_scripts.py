"""The scripts that look at a store, verify it, publish in it and prune it: run here, on real files."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from scout_ollama.facts import parse_sections
from scout_ollama.models import stored
from scout_ollama.models.publishing import publish
from scout_ollama.models.sets import ModelSet
from scout_ollama.models.stored import Stored
from scout_ollama.store import ModelName, blob_file
from tests.models.stores import SITE, SMALL, TINY, digest, manifest

SCRIPTS = Path(__file__).parent.parent.parent / "scripts" / "host"
CONTENTS = ("a", "{}", "config of a")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A store with blobs of a model that is to be published, and a directory for what is kept about the host."""
    (tmp_path / "store/manifests").mkdir(parents=True)
    (tmp_path / "store/blobs").mkdir()
    return tmp_path


def run(here: Path, *scripts: str, args: tuple[str, ...] = (), stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    text = "\n".join((SCRIPTS / f"{script}.sh").read_text() for script in scripts)
    argv = ["sh", "-c", text, scripts[-1], str(here / "store"), str(here / "state"), *args]
    done = subprocess.run(argv, input=stdin, capture_output=True, check=False)
    return subprocess.CompletedProcess(argv, done.returncode, done.stdout.decode(), done.stderr.decode())


def look(here: Path) -> Stored:
    done = run(here, "emit", "model-store")
    assert done.returncode == 0, done.stderr
    return stored.parse(parse_sections(done.stdout))


def put(here: Path, *contents: str) -> dict[str, int]:
    """Put blobs into the store; return their sizes."""
    for content in contents:
        (here / "store/blobs" / blob_file(digest(content))).write_text(content)
    return {digest(content): len(content) for content in contents}


def tiny(weights: str = "a") -> bytes:
    return manifest(weights, size=len(weights)).replace(
        b'"size": 10}', f'"size": {len("config of " + weights)}}}'.encode()
    )


def verify(here: Path, sizes: Mapping[str, int]) -> list[str]:
    lines = [f"{blob_file(name)} {size}\n" for name, size in sizes.items()]
    done = run(here, "verify-blobs", stdin="".join([*lines, "end\n"]).encode())
    assert done.returncode == 0, done.stderr
    return sorted(line.split(" ")[0] for line in done.stdout.splitlines())


Publishing = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def publishing(here: Path) -> Publishing:
    def _publish(number: int, models: Mapping[ModelName, bytes], **more: Any) -> subprocess.CompletedProcess[str]:
        host = SITE.clusters["phi"].hosts["phi-gpu-1"]
        options = {"copied": (), "pod": None, "preload": (), "say": lambda *_: None, **more}
        change = publish(host, str(here / "store"), number, ModelSet(models), look(here), **options)
        assert change
        return run(here, "publish-models", args=(str(number), ""), stdin=change.request())

    return _publish


# -- looking


def test_a_store_is_read_as_it_is(here: Path) -> None:
    put(here, *CONTENTS)
    file = here / "store/manifests" / TINY.manifest_path
    file.parent.mkdir(parents=True)
    file.write_bytes(tiny())
    (file.parent / "broken").write_text("{oops")
    (file.parent / "odd name\n; rm -rf").write_text("x")
    (here / "store/blobs/sha256-1234-partial").write_text("x")
    now = look(here)
    assert now.manifests == {TINY: tiny()}
    assert [str(name) for name in now.broken] == ["tiny:broken"]
    assert now.odd == ("registry.ollama.ai/library/tiny/odd name\n; rm -rf",)
    assert set(now.blobs) == {digest(content) for content in CONTENTS}
    assert now.small[digest("{}")] == b"{}"
    assert now.verified == {}
    assert now.space


def test_a_directory_without_a_store_is_told_from_an_empty_one(here: Path) -> None:
    assert look(here).flaw == ""
    (here / "store/manifests").rmdir()
    assert look(here).flaw == "blobs/ and manifests/ are not in it"
    (here / "store/blobs").rmdir()
    (here / "store").rmdir()
    assert "No such file" in look(here).flaw


# -- verifying


def test_what_was_hashed_is_on_record_until_the_file_changes(here: Path) -> None:
    sizes = put(here, *CONTENTS)
    assert verify(here, sizes) == ["ok", "ok", "ok"]
    assert look(here).verified == dict.fromkeys(sizes, True)
    os.utime(here / "store/blobs" / blob_file(digest("a")))
    assert look(here).verified == dict.fromkeys([digest("{}"), digest("config of a")], True)


def test_each_damage_is_told_by_what_it_is(here: Path) -> None:
    sizes = put(here, "aaaa", "bbbb", "cccc")
    blobs = here / "store/blobs"
    (blobs / blob_file(digest("aaaa"))).write_text("aaxa")
    (blobs / blob_file(digest("bbbb"))).write_text("bb")
    (blobs / blob_file(digest("cccc"))).unlink()
    assert verify(here, sizes) == ["bad", "missing", "short"]
    assert look(here).verified == {digest("aaaa"): False}


def test_nothing_to_hash_keeps_the_record(here: Path) -> None:
    sizes = put(here, *CONTENTS)
    verify(here, sizes)
    assert verify(here, {}) == []
    assert look(here).verified == dict.fromkeys(sizes, True)


def test_a_blob_that_is_gone_leaves_the_record(here: Path) -> None:
    verify(here, put(here, *CONTENTS))
    (here / "store/blobs" / blob_file(digest("a"))).unlink()
    verify(here, {})
    (record,) = (here / "state/models").glob("verified-*")
    assert hashlib.sha256(b"a").hexdigest() not in record.read_text()


def test_a_list_that_is_cut_off_is_refused(here: Path) -> None:
    done = run(here, "verify-blobs", stdin=b"sha256-12 5\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert "did not arrive whole" in done.stderr


# -- publishing


def test_a_set_is_published_and_nothing_else_is_left_in_the_tree(here: Path, publishing: Publishing) -> None:
    put(here, *CONTENTS)
    done = publishing(1, {TINY: tiny()}, copied=[digest(content) for content in CONTENTS])
    assert done.returncode == 0, done.stderr
    tree = here / "store/manifests"
    assert [path for path in tree.rglob("*") if path.is_file()] == [tree / TINY.manifest_path]
    assert list((here / "store/.scout-ollama").iterdir()) == []
    now = look(here)
    assert now.sets == {1: ModelSet({TINY: tiny()})}
    assert all(now.is_whole(name, size) for name, size in now.sets[1].blobs.items())


def test_two_tags_of_a_new_model_and_one_of_a_known_one(here: Path, publishing: Publishing) -> None:
    put(here, *CONTENTS)
    other, upper = ModelName.parse("tiny:other"), ModelName.parse("hf.co/someone/tiny:Q4")
    assert publishing(1, {TINY: tiny(), other: tiny()}).returncode == 0
    assert publishing(2, {TINY: tiny(), other: tiny(), SMALL: tiny(), upper: tiny()}).returncode == 0
    assert set(look(here).manifests) == {TINY, other, SMALL, upper}


def test_a_set_with_a_blob_of_another_size_is_not_published(here: Path, publishing: Publishing) -> None:
    put(here, "{}", "config of a")
    done = publishing(1, {TINY: tiny()})
    assert done.returncode == 1
    assert "has no bytes, not 1: nothing was published" in done.stderr
    assert list((here / "store/manifests").iterdir()) == []
    assert look(here).sets == {}


def test_models_that_go_leave_no_empty_directory(here: Path, publishing: Publishing) -> None:
    put(here, *CONTENTS)
    assert publishing(1, {TINY: tiny(), SMALL: tiny()}).returncode == 0
    assert publishing(2, {TINY: tiny()}, gone=[SMALL]).returncode == 0
    assert set(look(here).manifests) == {TINY}
    assert [path for path in (here / "store/manifests").rglob("*") if path.is_dir() and not list(path.iterdir())] == []


def test_what_does_not_arrive_whole_changes_nothing(here: Path) -> None:
    done = run(here, "publish-models", args=("1", ""), stdin=b"manifest a/b/c/d e30=\n")
    assert done.returncode == 1
    assert "did not arrive whole" in done.stderr
    assert list((here / "store/manifests").iterdir()) == []


# -- pruning


def test_a_blob_that_a_manifest_names_after_all_stays(here: Path, publishing: Publishing) -> None:
    put(here, *CONTENTS, "stray")
    publishing(1, {TINY: tiny()})
    lines = [f"blob {blob_file(digest(content))}\n" for content in ("a", "stray")]
    done = run(here, "prune-models", args=("",), stdin="".join([*lines, "end\n"]).encode())
    assert done.returncode == 0, done.stderr
    assert set(look(here).blobs) == {digest(content) for content in CONTENTS}


def test_the_last_model_goes_and_the_tree_stays(here: Path, publishing: Publishing) -> None:
    put(here, *CONTENTS)
    publishing(1, {TINY: tiny()})
    done = run(here, "prune-models", args=("",), stdin=f"manifest {TINY.manifest_path}\nset 1\nend\n".encode())
    assert done.returncode == 0, done.stderr
    now = look(here)
    assert (now.flaw, now.manifests, now.sets) == ("", {}, {})
    assert list((here / "store/manifests").iterdir()) == []
