"""What is made once is made by one, whole or not at all."""

import subprocess
import sys
from pathlib import Path

import pytest

from lab import paths
from lab.once import made_once

MAKER = """
import sys
from pathlib import Path
from lab.once import made_once

def make(new):
    new.mkdir()
    (new / "content").write_text("whole")
    with open(sys.argv[2], "a") as log:
        log.write("made\\n")

print((made_once(Path(sys.argv[1]), make) / "content").read_text())
"""


def test_of_two_at_once_one_makes_it_and_both_have_it(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", MAKER, str(tmp_path / "cache/thing"), str(tmp_path / "log")]
    both = [subprocess.Popen(argv, cwd=paths.CHECKOUT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=60)[0] for process in both] == ["whole\n", "whole\n"]
    assert (tmp_path / "log").read_text() == "made\n"


def test_what_was_interrupted_is_not_there_and_is_made_anew(tmp_path: Path) -> None:
    thing = tmp_path / "thing"

    def interrupted(new: Path) -> None:
        new.mkdir()
        (new / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made_once(thing, interrupted)
    assert not thing.exists()
    made_once(thing, Path.mkdir)
    assert list(thing.iterdir()) == []
