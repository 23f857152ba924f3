"""The forced command of a run's key sends blobs, and nothing else, whatever is asked of it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent.parent / "scripts/host/serve-blobs.sh"
HEX = "ab" * 32
NAME = f"sha256-{HEX}"
OTHER = f"sha256-{'cd' * 32}"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    for directory in ("incoming", "blobs"):
        (tmp_path / directory).mkdir()
    (tmp_path / "blobs" / NAME).write_text("the blob")
    (tmp_path / "blobs/secret").write_text("a secret")
    (tmp_path / "secret").write_text("a secret")
    return tmp_path


@contextmanager
def asking(store: Path, asked: str | None) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, **({} if asked is None else {"SSH_ORIGINAL_COMMAND": asked})}
    argv = ["sh", str(SCRIPT), str(store / "incoming"), str(store / "blobs")]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(argv, env=environment, cwd=store, start_new_session=True, **streams)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=20)


def ask(store: Path, asked: str | None) -> tuple[int, str]:
    """Return how it ends and what it has sent."""
    with asking(store, asked) as process:
        sent, _ = process.communicate(timeout=20)
        return process.returncode, sent.decode()


def sent_at_first(store: Path, asked: str) -> str:
    """Return what it sends before it waits for more."""
    with asking(store, asked) as process:
        assert process.stdout
        return os.read(process.stdout.fileno(), 100).decode()


def test_a_blob_is_sent_from_an_offset_and_followed(store: Path) -> None:
    assert sent_at_first(store, f"{NAME} 0") == "the blob"
    assert sent_at_first(store, f"{NAME} 4") == "blob"


def test_a_reader_that_has_more_than_is_here_gets_what_comes_after_it(store: Path) -> None:
    file = store / "incoming" / NAME
    file.write_text("the")
    with asking(store, f"{NAME} 6") as process:
        file.write_text("the bl")
        file.write_text("the blob")
        assert process.stdout
        assert os.read(process.stdout.fileno(), 100) == b"ob"


def test_what_is_arriving_comes_before_what_is_there(store: Path) -> None:
    """What is there under the final name may be damaged, as it is fetched anew."""
    (store / "incoming" / NAME).write_text("the b")
    assert sent_at_first(store, f"{NAME} 0") == "the b"


def test_a_blob_that_is_not_there_is_told_from_a_question_that_is_none(store: Path) -> None:
    assert ask(store, f"{OTHER} 0") == (66, "")


@pytest.mark.parametrize(
    "asked",
    [
        None,
        "",
        "sh",
        "cat secret",
        NAME,
        f"{NAME} ",
        f"{NAME} -1",
        f"{NAME} 0x1",
        f"{NAME} 1e3",
        f"{NAME} 0 ",
        f" {NAME} 0",
        f"{NAME}  0",
        f"{NAME} 0 0",
        f"{NAME} 0\n",
        f"{NAME} 0\n{OTHER} 0",
        f"{NAME}\n 0",
        f"{NAME}\t0",
        f"{NAME} 1234567890123456",
        f"{NAME} $((1))",
        f"{NAME} 0; cat secret",
        f"{NAME} 0;cat<secret",
        f"{NAME} 0|sh",
        f"{NAME} `id`",
        f"{NAME} ٣",
        f"{NAME[:-1]} 0",
        f"{NAME}a 0",
        f"{NAME[:-1]}/ 0",
        f"{NAME[:-1]}* 0",
        f"{NAME[:-1]}? 0",
        f"sha256-{HEX.upper()} 0",
        f"sha256-{'..' * 32} 0",
        f"sha256-{'../secret'.rjust(64, '.')} 0",
        f"sha256-{'*' * 64} 0",
        f"SHA256-{HEX} 0",
        "secret 0",
        "../secret 0",
        "sha256-secret 0",
        f"./{NAME} 0",
        f"-n {NAME} 0",
        f"--version {NAME} 0",
        f"rsync --server --sender -e.LsfxCIvu . {NAME}",
        f"rsync --server --sender --remove-source-files -e.LsfxCIvu . {NAME}",
        f"rsync --server -e.LsfxCIvu . {NAME}",
        f"scp -t {NAME}",
        "/usr/lib/openssh/sftp-server",
    ],
)
def test_nothing_else_is_answered(store: Path, asked: str | None) -> None:
    assert ask(store, asked) == (64, "")


def test_a_link_is_not_followed(store: Path) -> None:
    (store / "incoming" / OTHER).symlink_to(store / "secret")
    (store / "blobs" / OTHER).symlink_to(store / "secret")
    assert ask(store, f"{OTHER} 0") == (66, "")
