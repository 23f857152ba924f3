"""What a person hears of a pull: each new thing at once, a layer that goes on now and then, with rate and time left."""

from __future__ import annotations

import json

from scout_ollama.models.pull_progress import PullProgress
from scout_ollama.sizes import left, shown


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def layer(done: int, total: int = 4_000_000_000) -> str:
    value = {"status": "pulling 3c5f", "digest": "sha256:3c5f", "total": total, "completed": done}
    return f"tiny:latest {json.dumps(value)}"


def test_a_layer_is_told_with_its_rate_and_the_time_left() -> None:
    said: list[str] = []
    clock = Clock()
    progress = PullProgress(said.append, lambda it: said.append(str(it)), clock)
    for second in range(21):
        clock.now = second
        progress.hear(layer(second * 100_000_000))
    assert said[0] == "tiny:latest: pulling 3c5f: 0 B of 4.0 GB"
    assert said[-1] == "tiny:latest: pulling 3c5f: 2.0 GB of 4.0 GB, 100 MB/s, 20 s left"
    assert len(said) == 5


def test_what_is_new_is_told_at_once() -> None:
    said: list[str] = []
    progress = PullProgress(said.append, lambda _: None, Clock())
    for status in ("pulling manifest", "verifying sha256 digest", "verifying sha256 digest", "success"):
        progress.hear(f'tiny:latest {{"status": "{status}"}}')
    assert said == [f"tiny:latest: {status}" for status in ("pulling manifest", "verifying sha256 digest", "success")]


def test_a_job_of_an_earlier_run_is_told() -> None:
    said: list[str] = []
    PullProgress(said.append, lambda it: said.append(str(it))).hear("adopted")
    assert said == ["a Job of an earlier run still pulls there: it is awaited"]


def test_lines_that_are_no_progress_are_passed_over() -> None:
    said: list[str] = []
    progress = PullProgress(said.append, lambda it: said.append(str(it)))
    for line in ("", "done", "failed: x", "ollama: time=…", "tiny:latest [1]", "tiny:latest null", 'a {"total": "x"}'):
        progress.hear(line)
    assert said == []


def test_sizes_and_times_are_what_a_person_says() -> None:
    assert [shown(size) for size in (0, 999, 1000, 99_600, 1_234_567, 240e9)] == [
        *("0 B", "999 B", "1.0 kB", "100 kB", "1.2 MB", "240 GB"),
    ]
    assert [left(seconds) for seconds in (3, 89, 90, 3600, 12_000)] == ["3 s", "89 s", "2 min", "60 min", "3 h 20 min"]
