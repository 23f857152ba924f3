from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path

import pytest

from scout_ollama.errors import Trouble
from scout_ollama.known_hosts import HostKey, KnownHosts, Verdict, add, name_of


def key(number: int, kind: str = "ssh-ed25519") -> HostKey:
    """A key that is like no other number's."""
    name = kind.encode()
    return HostKey(kind, len(name).to_bytes(4) + name + (32).to_bytes(4) + bytes([number]) * 32)


def line(names: str, entry: HostKey, marker: str = "") -> str:
    return f"{marker}{names} {entry.type} {base64.b64encode(entry.blob).decode()} comment\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "known_hosts"


def known(path: Path, text: str) -> KnownHosts:
    path.write_text(text)
    return KnownHosts.load(path)


def test_a_file_that_is_not_there_knows_nobody(path: Path) -> None:
    assert KnownHosts.load(path).verdict("gpu-1", key(1)) is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("names", "name", "matches"),
    [
        ("10.20.0.11", "10.20.0.11", True),
        ("10.20.0.11", "10.20.0.110", False),
        ("gpu-1,10.20.0.11", "10.20.0.11", True),
        ("10.20.0.?", "10.20.0.1", True),
        ("10.20.*", "10.20.0.11", True),
        ("10.20.*,!10.20.0.11", "10.20.0.11", False),
        ("!10.20.0.11", "10.20.0.12", False),
        ("GPU-1.Example.edu", "gpu-1.example.edu", True),
        ("[10.20.0.11]:2222", "[10.20.0.11]:2222", True),
        ("10.20.0.11", "[10.20.0.11]:2222", False),
        ("[10.20.0.11]:2222", "10.20.0.11", False),
        ("[12]0.20.0.11", "10.20.0.11", False),  # brackets are no character class here
        ("2001:db8::1", "2001:db8::1", True),
    ],
)
def test_names_match_as_openssh_matches_them(path: Path, names: str, name: str, matches: bool) -> None:
    expected = Verdict.KNOWN if matches else Verdict.UNKNOWN
    assert known(path, line(names, key(1))).verdict(name, key(1)) is expected
    found = subprocess.run(["ssh-keygen", "-F", name, "-f", path], capture_output=True, check=False)
    assert (found.returncode == 0) is matches


def test_a_standard_port_is_left_out_of_the_name() -> None:
    assert name_of("GPU-1.example.edu", 22) == "gpu-1.example.edu"
    assert name_of("2001:db8::1", 2222) == "[2001:db8::1]:2222"


def test_a_hashed_name_is_found(path: Path) -> None:
    path.write_text(line("10.20.0.11", key(1)))
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", path], check=True, capture_output=True)
    assert "10.20.0.11" not in path.read_text()
    assert KnownHosts.load(path).verdict("10.20.0.11", key(1)) is Verdict.KNOWN
    assert KnownHosts.load(path).verdict("10.20.0.12", key(1)) is Verdict.UNKNOWN


def test_another_key_for_a_known_host_is_a_change(path: Path) -> None:
    hosts = known(path, line("gpu-1", key(1)) + line("gpu-1", key(2, "ssh-rsa")))
    assert hosts.verdict("gpu-1", key(3)) is Verdict.CHANGED
    assert hosts.verdict("gpu-1", key(2, "ssh-rsa")) is Verdict.KNOWN
    assert [entry.line for entry in hosts.rivals("gpu-1", key(3))] == [1]


def test_revoked_wins_over_known_wherever_it_stands(path: Path) -> None:
    hosts = known(path, line("*", key(1), "@revoked ") + line("gpu-1", key(1)) + line("gpu-1", key(2)))
    assert hosts.verdict("gpu-1", key(1)) is Verdict.REVOKED
    assert hosts.verdict("gpu-1", key(2)) is Verdict.KNOWN


def test_a_certificate_authority_vouches_for_no_plain_key(path: Path) -> None:
    assert known(path, line("*", key(1), "@cert-authority ")).verdict("gpu-1", key(1)) is Verdict.UNKNOWN


def test_comments_and_empty_lines_are_left_alone(path: Path) -> None:
    assert known(path, f"# ours\n\n  \n{line('gpu-1', key(1))}").verdict("gpu-1", key(1)) is Verdict.KNOWN


@pytest.mark.parametrize(
    "wrong",
    [
        "gpu-1",
        "gpu-1 ssh-ed25519",
        "gpu-1 ssh-ed25519 not-base64!",
        "gpu-1 ssh-ed25519 AAAA",
        "@revokd gpu-1 ssh-ed25519 AAAA",
        "|1|broken ssh-ed25519 " + base64.b64encode(key(1).blob).decode(),
    ],
)
def test_a_line_that_cannot_be_read_is_trouble_not_skipped(path: Path, wrong: str) -> None:
    with pytest.raises(Trouble) as caught:
        known(path, line("gpu-2", key(2)) + wrong + "\n")
    assert f"{path}: line 2 is not a known_hosts entry" in str(caught.value)


def test_adding_keeps_everything_that_is_there(path: Path) -> None:
    path.write_text("# by hand\ngpu-9 ssh-ed25519 " + base64.b64encode(key(9).blob).decode())  # without a last newline
    path.chmod(0o640)
    add(path, "gpu-1", key(1))
    assert path.read_text().startswith("# by hand\ngpu-9 ssh-ed25519 ")
    assert {KnownHosts.load(path).verdict(name, key(number)) for name, number in [("gpu-9", 9), ("gpu-1", 1)]} == {
        Verdict.KNOWN
    }
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(path.parent) == ["known_hosts"]  # noqa: PTH208 - names, not paths
