"""What the facts scripts print, parsed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from scout_ollama.facts import Section, Sections, Space, facts_script, parse_sections, space_of
from scout_ollama.remote import Script


def test_sections_have_their_status_and_their_text() -> None:
    output = "hostname 0\n  phi-gpu-1\nregistries 0\n  mirrors:\n    docker.io: {}\n\ngpus 9\n  NVIDIA-SMI has failed\n"
    sections = parse_sections(output)
    assert sections["hostname"] == Section(0, "phi-gpu-1")
    assert sections["registries"].text == "mirrors:\n  docker.io: {}"
    assert not sections["gpus"].ok


def test_a_section_that_is_not_there_reads_as_a_command_that_was_not_found() -> None:
    assert parse_sections("")["nothing"] == Section(127, "")


def test_output_that_looks_like_a_heading_is_not_one() -> None:
    assert set(parse_sections("a 0\n  b 0\n  c 1\n")) == {"a"}


@given(st.text(st.characters(exclude_characters="\0\r", codec="utf-8"), max_size=200))
def test_whatever_a_command_prints_comes_back_as_it_was(text: str) -> None:
    """sh's $(…) drops newlines at the end; nothing else is lost."""
    script = Script.load("emit").text + 'emit said printf %s "$1"\n'
    printed = subprocess.run(["sh", "-c", script, "sh", text], capture_output=True, check=True).stdout
    assert parse_sections(printed.decode())["said"] == Section(0, text.rstrip("\n"))


@given(st.text(max_size=300))
def test_no_output_of_a_host_makes_the_parser_fail(text: str) -> None:
    parse_sections(text)


def test_a_command_that_fails_shows_its_errors_and_one_that_succeeds_does_not() -> None:
    script = (
        Script.load("emit").text
        + "emit bad sh -c 'echo why >&2; exit 3'\nemit good sh -c 'echo warning >&2; echo fine'\n"
    )
    printed = subprocess.run(["sh", "-c", script], capture_output=True, check=True, text=True).stdout
    sections = parse_sections(printed)
    assert sections["bad"] == Section(3, "why")
    assert sections["good"] == Section(0, "fine")


def answers_together(asked: str) -> Sections:
    script = facts_script("together").text + asked
    return parse_sections(subprocess.run(["sh", "-c", script], capture_output=True, check=True, text=True).stdout)


def test_what_is_begun_together_is_shown_like_everything_else() -> None:
    asked = """
        begin lines sh -c 'printf "one\\n\\ntwo"'
        begin silent true
        begin bad sh -c 'echo so far; echo why >&2; exit 3'
        begin missing no-such-command
        emit meanwhile echo here
    """
    sections = answers_together(asked)
    assert list(sections) == ["meanwhile", "lines", "silent", "bad", "missing"]
    assert sections["lines"] == Section(0, "one\n\ntwo")
    assert sections["silent"] == Section(0, "")
    assert sections["bad"] == Section(3, "so far\nwhy")
    assert (sections["missing"].status, "not found" in sections["missing"].text) == (127, True)


def test_a_file_is_looked_at_without_a_process(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("a 0\n\n  b\n")
    (tmp_path / "empty").touch()
    asked = "".join(f"look {name} {tmp_path}/{name}\n" for name in ("there", "empty", "missing"))
    assert answers_together(asked) == {
        "there": Section(0, "a 0\n\n  b"),
        "empty": Section(0, ""),
        "missing": Section(1, ""),
    }


def test_a_host_whose_disk_is_full_says_so() -> None:
    asked = facts_script("together").text + "emit disk df -P -B1 /tmp\nbegin errors sh -c 'echo why >&2; exit 3'\n"
    nothing_fits = 'mount -t tmpfs -o size=4k,nr_inodes=1 full /tmp && exec sh -c "$1"'
    argv = ["unshare", "--mount", "sh", "-c", nothing_fits, "sh", asked]
    sections = parse_sections(subprocess.run(argv, capture_output=True, check=True, text=True).stdout)
    assert space_of(sections["disk"]) == Space(4096, 4096)
    assert sections["errors"] == Section(3, "why")


def test_space_is_what_df_says_whatever_the_file_system_is_called() -> None:
    heading = "Filesystem 1-blocks Used Available Capacity Mounted on\n"
    assert space_of(Section(0, f"{heading}/dev/sda1 1000 700 250 74% /data")) == Space(free=250, total=1000)
    assert space_of(Section(0, f"{heading}//nas/My Models 5 6 1000 700 250 74% /mnt/9 9 9% 1")) == Space(250, 1000)
    assert space_of(Section(0, f"{heading}none - - - - /proc")) is None
    assert space_of(Section(124, f"{heading}/dev/sda1 1000 700 250 74% /data")) is None


def test_every_facts_script_has_emit_in_front() -> None:
    for name in ("host-facts", "cluster-facts", "ask-pod", "exposed", "status-host", "status-pod"):
        assert "\nemit() {" in facts_script(name).text
