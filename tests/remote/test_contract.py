"""What every Remote does, whichever way it reaches its host: over SSH, on this machine, or recorded."""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scout_ollama.inventory import Host
from scout_ollama.remote import CommandFailed, LocalRemote, RecordingRemote, Remote, RemoteError, Script, output
from scout_ollama.remote.ssh import SshRemote

MIB = 1024 * 1024
BINARY = bytes(range(256)) * 4


def local_host() -> Host:
    return Host(name="here", cluster="test", address="127.0.0.1", roles=frozenset({"server"}))


def ends(pid: int) -> bool:
    """Whether a process that was killed ends, within the seconds that a busy machine may take for it."""
    deadline = time.monotonic() + 10
    while not has_ended(pid) and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    return has_ended(pid)


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or only waits for its parent to take note."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


class Contract:
    @pytest.fixture
    def remote(self) -> Remote:
        raise NotImplementedError

    @pytest.fixture
    def directory(self, tmp_path: Path) -> Path:
        """An empty directory."""
        path = tmp_path / "directory"
        path.mkdir()
        return path

    @pytest.fixture
    def small_disk(self, tmp_path: Path) -> Iterator[Path]:
        """A file system of 64 KiB."""
        if os.geteuid() != 0:
            pytest.skip("only root can mount a small file system to fill")
        mount = tmp_path / "disk"
        mount.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", mount], check=True)
        yield mount
        subprocess.run(["umount", mount], check=True)

    def test_a_script_gets_its_name_and_its_arguments_as_they_are(self, remote: Remote) -> None:
        script = Script("greet", 'printf "<%s>" "$0" "$#" "$@"')
        arguments = [
            "two words",
            "",
            "it's",
            '"quoted"',
            "$HOME `id` $(id)",
            "new\nline",
            "-n",
            "*",
            "back\\slash",
            "é",
        ]
        said = remote.read(script, *arguments).stdout
        assert said == "".join(f"<{word}>" for word in ["greet", str(len(arguments)), *arguments])

    def test_a_script_reads_the_data_after_itself_to_its_end(self, remote: Remote) -> None:
        digest = remote.run(Script("digest", "sha256sum"), stdin=BINARY).stdout.split()[0]
        assert digest == hashlib.sha256(BINARY).hexdigest()

    def test_no_data_is_an_empty_standard_input(self, remote: Remote) -> None:
        assert remote.read(Script("count", "wc -c")).stdout.strip() == "0"

    def test_five_megabytes_arrive_whole_and_fast(self, remote: Remote) -> None:
        data = BINARY * (5 * 1024)
        result = remote.run(Script("digest", "sha256sum"), stdin=data)
        assert result.stdout.split()[0] == hashlib.sha256(data).hexdigest()
        assert result.seconds < 2

    def test_a_script_need_not_read_its_data(self, remote: Remote) -> None:
        assert remote.run(Script("deaf", "echo done"), stdin=b"x" * 5 * MIB).stdout == "done\n"

    def test_much_output_on_both_streams_while_much_data_goes_in(self, remote: Remote) -> None:
        script = Script("flood", "head -c 8388608 /dev/zero; head -c 8388608 /dev/zero >&2; wc -c")
        result = remote.run(script, stdin=b"x" * 5 * MIB)
        assert len(result.stderr) == 8 * MIB
        assert result.stdout.lstrip("\0") == f"{5 * MIB}\n"

    def test_a_failing_script_raises_with_its_last_words_and_whole_result(self, remote: Remote) -> None:
        with pytest.raises(CommandFailed) as caught:
            remote.run(Script("fail", "echo some; seq 100 >&2; echo no such thing >&2; exit 7"))
        assert caught.value.result.status == 7
        assert caught.value.result.stdout == "some\n"
        assert str(caught.value).startswith(f"{remote.host.name}: fail failed with status 7")
        assert "no such thing" in str(caught.value)
        assert "\n50\n" not in str(caught.value)

    def test_a_failing_script_is_an_answer_when_that_is_asked_for(self, remote: Remote) -> None:
        assert remote.read(Script("fail", "exit 3"), check=False).status == 3

    def test_set_eu_works(self, remote: Remote) -> None:
        for mistake in ("false", 'echo "$undefined"', "missing-command"):
            result = remote.read(Script("strict", f"set -eu\n{mistake}\necho went on"), check=False)
            assert result.status != 0
            assert "went on" not in result.stdout

    def test_a_script_that_is_no_shell_script_fails_before_it_does_anything(
        self, remote: Remote, tmp_path: Path
    ) -> None:
        mark = tmp_path / "mark"
        with pytest.raises(CommandFailed, match=r"(?i)syntax error"):
            remote.run(Script("torn", f'touch {mark}\nif true; then echo "cut he'))
        assert not mark.exists()

    def test_undecodable_output_is_replaced(self, remote: Remote) -> None:
        assert remote.read(Script("bytes", r"printf 'a\377b'")).stdout == "a\N{REPLACEMENT CHARACTER}b"

    def test_too_much_output_is_cut_off(self, remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(output, "LIMIT_BYTES", 1 * MIB)
        with pytest.raises(RemoteError, match="yes printed more than"):
            remote.run(Script("yes", "yes"), timeout=20)

    def test_a_script_that_takes_too_long_is_ended_on_the_host(self, remote: Remote, tmp_path: Path) -> None:
        pid_file = tmp_path / "pid"
        with pytest.raises(RemoteError, match="linger took longer than 1 s"):
            remote.run(Script("linger", f"echo $$ >{pid_file}; sleep 60"), timeout=1)
        assert ends(int(pid_file.read_text()))

    def test_a_script_that_will_not_be_ended_is_killed_on_the_host(
        self, remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("scout_ollama.remote.script._GRACE_SECONDS", 1)
        pid_file = tmp_path / "pid"
        with pytest.raises(RemoteError, match="stubborn took longer than 1 s"):
            remote.run(Script("stubborn", f"trap '' TERM; echo $$ >{pid_file}; sleep 60"), timeout=1)
        assert ends(int(pid_file.read_text()))

    def test_a_script_that_is_killed_says_so(self, remote: Remote) -> None:
        with pytest.raises(RemoteError, match="doomed was killed"):
            remote.run(Script("doomed", "kill -KILL $$"))

    def test_lines_are_told_as_they_come(self, remote: Remote, tmp_path: Path) -> None:
        go = tmp_path / "go"
        heard: list[str] = []

        def hear(line: str) -> None:
            heard.append(line)
            go.touch()  # the script waits for this: the first line was told before the last was printed

        script = Script("talk", f"echo one; while ! [ -e {go} ]; do sleep 0.01; done; printf two")
        result = remote.run(script, timeout=20, on_line=hear)
        assert heard == ["one", "two"]
        assert result.stdout == "one\ntwo"

    def test_put_makes_a_file_with_its_mode(self, remote: Remote, tmp_path: Path) -> None:
        path = tmp_path / "a 'file' -n"
        remote.put(BINARY, str(path), mode=0o640)
        assert path.read_bytes() == BINARY
        assert path.stat().st_mode & 0o7777 == 0o640

    def test_put_replaces_a_file_in_one_step(self, remote: Remote, directory: Path) -> None:
        path = directory / "config"
        path.write_text("old")
        reader = path.open()
        remote.put(b"new", str(path))
        assert path.read_text() == "new"
        assert reader.read() == "old"  # who has it open keeps the old file: it was never written to
        assert [*directory.iterdir()] == [path]

    def test_put_sets_the_owner(self, remote: Remote, tmp_path: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can give files away")
        path = tmp_path / "config"
        remote.put(b"new", str(path), owner="nobody:nogroup", sudo=True)
        assert path.owner() == "nobody"
        assert path.group() == "nogroup"

    def test_put_on_a_full_disk_keeps_the_old_file_and_leaves_nothing(self, remote: Remote, small_disk: Path) -> None:
        path = small_disk / "config"
        path.write_text("old")
        with pytest.raises(CommandFailed, match=r"writing .*/config failed(.|\n)*No space left on device"):
            remote.put(b"x" * MIB, str(path))
        assert path.read_text() == "old"
        assert [*small_disk.iterdir()] == [path]

    def test_put_on_a_read_only_disk_says_so(self, remote: Remote, small_disk: Path) -> None:
        path = small_disk / "config"
        path.write_text("old")
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
        with pytest.raises(CommandFailed, match="Read-only file system"):
            remote.put(b"new", str(path))
        assert path.read_text() == "old"

    def test_put_into_a_directory_that_is_not_there_says_so(self, remote: Remote, tmp_path: Path) -> None:
        with pytest.raises(CommandFailed, match="No such file or directory"):
            remote.put(b"new", str(tmp_path / "missing" / "config"))

    def test_a_conversation_goes_back_and_forth_until_one_side_ends_it(self, remote: Remote) -> None:
        script = Script("echo", 'echo "hello $1"; while read -r word; do echo "you said $word"; done; echo bye >&2')
        talk = remote.converse(script, "you")
        assert talk.hear(20) == "hello you"
        for word in ("one", "two"):
            talk.say(f"{word}\n")
            assert talk.hear(20) == f"you said {word}"
        talk.close()
        assert [talk.hear(20), talk.hear(20)] == ["bye", None]

    def test_what_is_not_said_in_time_is_trouble_and_comes_later_all_the_same(self, remote: Remote) -> None:
        talk = remote.converse(Script("slow", "read -r word; echo $word"))
        with pytest.raises(RemoteError, match="slow does not answer"):
            talk.hear(0.2)
        talk.say("late\n")
        assert talk.hear(20) == "late"

    def test_nothing_can_be_said_to_a_script_that_has_ended(self, remote: Remote) -> None:
        talk = remote.converse(Script("short", "exit 0"))
        assert talk.hear(20) is None
        with pytest.raises(RemoteError, match="short ended before it should"):
            talk.say("anybody there?\n")

    def test_a_script_that_is_spoken_with_learns_of_our_end(self, remote: Remote, tmp_path: Path) -> None:
        mark = tmp_path / "ended"
        talk = remote.converse(Script("wait", f"cat >/dev/null; touch {mark}; echo over"))
        talk.close()
        assert talk.hear(20) == "over"
        assert mark.exists()

    def test_it_can_be_asked_again_and_again_then_closed(self, remote: Remote) -> None:
        with remote:
            assert [remote.read(Script("say", 'echo "$1"'), str(n)).stdout for n in range(5)] == [
                f"{n}\n" for n in range(5)
            ]
        remote.close()


class TestSshRemote(Contract):
    @pytest.fixture
    def remote(self, ssh: SshRemote) -> Remote:
        return ssh


class TestLocalRemote(Contract):
    @pytest.fixture
    def remote(self) -> Remote:
        return LocalRemote(local_host())


class TestRecordingRemoteThatPassesOn(Contract):
    @pytest.fixture
    def remote(self) -> Remote:
        return RecordingRemote(local_host(), LocalRemote(local_host()))


def test_a_recording_remote_answers_from_a_function_and_remembers() -> None:
    remote = RecordingRemote(local_host(), lambda call: f"{call.script} {' '.join(call.args)}")
    assert remote.read(Script("look", "exit 1"), "here", sudo=True).stdout == "look here"
    remote.put(b"secret", "/etc/thing", mode=0o600, owner="root")
    (look, put) = remote.calls
    assert (look.kind, look.script, look.args, look.sudo) == ("read", "look", ("here",), True)
    assert (put.kind, put.args, put.stdin, put.mode, put.owner) == ("put", ("/etc/thing",), b"secret", 0o600, "root")
    assert "secret" not in repr(put)
