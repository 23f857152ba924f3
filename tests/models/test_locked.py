"""``models.lock``: what each tag meant when it was published, cluster by cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from scout_ollama.errors import Trouble
from scout_ollama.inventory import Site
from scout_ollama.models import locked
from tests.models.stores import SMALL, TINY

ONE, TWO = "1" * 64, "2" * 64


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, {})


def test_a_cluster_replaces_its_own_models_and_leaves_the_others(site: Site) -> None:
    assert locked.write(site, "phi", {TINY: ONE, SMALL: ONE})
    assert locked.write(site, "nonphi", {TINY: TWO})
    assert locked.write(site, "phi", {TINY: TWO})
    assert locked.read(site, "phi") == {TINY: TWO}
    assert locked.lock_of(site).read_text() == f"{TWO}  nonphi  tiny:latest\n{TWO}  phi  tiny:latest\n"


def test_the_same_models_are_not_written_again(site: Site) -> None:
    assert locked.write(site, "phi", {TINY: ONE})
    assert not locked.write(site, "phi", {TINY: ONE})


def test_lines_that_say_nothing_are_passed_over(site: Site) -> None:
    locked.lock_of(site).write_text(f"# a note\n\n{ONE}  phi  no name!\n{ONE}  phi  tiny:latest\n<<<<<<< HEAD\n")
    assert locked.read(site, "phi") == {TINY: ONE}


def test_a_lock_that_cannot_be_read_is_trouble(site: Site) -> None:
    locked.lock_of(site).mkdir()
    with pytest.raises(Trouble, match=r"models\.lock cannot be read"):
        locked.read(site, "phi")
