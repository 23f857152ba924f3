"""What a person hears while blobs are copied to many nodes."""

from __future__ import annotations

from scout_ollama.models.blob import Blob
from scout_ollama.models.copy_progress import CopyProgress
from scout_ollama.progress import Progress

WANTED = {node: [Blob("sha256:a", 900_000_000), Blob("sha256:b", 100_000_000)] for node in ("gpu-1", "gpu-2")}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_all_nodes_are_one_line_every_few_seconds() -> None:
    said: list[Progress] = []
    clock = Clock()
    progress = CopyProgress(WANTED, said.append, clock)
    progress.begins("gpu-1", "sha256:a", 400_000_000)
    progress.begins("gpu-2", "sha256:a", 0)
    for second in range(1, 11):
        clock.now = second
        progress.arrived("gpu-1", "sha256:a", 400_000_000 + second * 40_000_000)
        progress.arrived("gpu-2", "sha256:a", second * 40_000_000)
    assert list(map(str, said)) == [
        "copied 760 MB of 2.0 GB, 72.0 MB/s, 17 s left; gpu-1 60 %, gpu-2 16 %",
        "copied 1.2 GB of 2.0 GB, 76.0 MB/s, 11 s left; gpu-1 80 %, gpu-2 36 %",
    ]


def test_a_blob_that_is_begun_anew_counts_from_the_beginning() -> None:
    said: list[Progress] = []
    clock = Clock()
    progress = CopyProgress({"gpu-1": WANTED["gpu-1"]}, said.append, clock)
    progress.begins("gpu-1", "sha256:a", 0)
    progress.arrived("gpu-1", "sha256:a", 900_000_000)
    progress.begins("gpu-1", "sha256:a", 0)
    clock.now = 5
    progress.arrived("gpu-1", "sha256:a", 100_000_000)
    assert list(map(str, said)) == ["copied 100 MB of 1.0 GB, 20.0 MB/s, 45 s left; gpu-1 10 %"]


def test_a_node_that_has_everything_is_not_named_any_more() -> None:
    said: list[Progress] = []
    clock = Clock()
    progress = CopyProgress(WANTED, said.append, clock)
    for digest, size in (("sha256:a", 900_000_000), ("sha256:b", 100_000_000)):
        progress.begins("gpu-1", digest, 0)
        progress.arrived("gpu-1", digest, size)
    clock.now = 5
    progress.arrived("gpu-2", "sha256:a", 0)
    assert list(map(str, said)) == ["copied 1.0 GB of 2.0 GB, 200 MB/s, 5 s left; gpu-2 0 %"]
