"""What is handed to a host's shell comes out of it word by word, whatever the words are."""

from __future__ import annotations

import shlex
import subprocess

from hypothesis import example, given, settings
from hypothesis import strategies as st

from scout_ollama.hints import on
from scout_ollama.inventory import Host
from scout_ollama.remote import LocalRemote, Script

HERE = Host(name="here", cluster="lab", address="127.0.0.1", roles=frozenset({"server"}))
NASTY = ["$(touch /tmp/x)", "`id`", "'", '"', "\\", "\n", ";", "&&", "|", ">", "*", "~", "!", "#", "--", "-x", "", " "]
WORDS = st.lists(st.sampled_from(NASTY) | st.text(st.characters(codec="utf-8", exclude_characters="\0")), max_size=5)
PRINT = Script("print-words", 'for word; do printf "%s\\0" "$word"; done')
few = settings(max_examples=40)


def words_of(output: str) -> list[str]:
    return output.split("\0")[:-1]


@few
@given(WORDS)
@example(NASTY)
def test_the_line_that_ssh_carries_is_the_same_words_to_a_shell(words: list[str]) -> None:
    argv = PRINT.argv(len(PRINT.payload(b"")[1]), tuple(words), sudo=False, timeout=9)
    carried = subprocess.run(
        ["sh", "-c", shlex.join(argv)], input=PRINT.payload(b"")[1], capture_output=True, check=True
    ).stdout.decode()
    assert words_of(carried.partition("---\n")[2]) == words


@few
@given(WORDS)
def test_a_script_gets_its_arguments_as_they_are(words: list[str]) -> None:
    with LocalRemote(HERE) as remote:
        assert words_of(remote.read(PRINT, *words).stdout) == words


@few
@given(WORDS)
@example(["-c", "--", "--help"])
def test_an_ad_hoc_command_has_the_words_that_were_typed(words: list[str]) -> None:
    """Also where they look like options, of sh or of what starts the command."""
    with LocalRemote(HERE) as remote:
        said = remote.run(Script.load("exec-command"), "printf", "%s\\0", *words, "end").stdout
    assert words_of(said) == [*words, "end"]


@few
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30))
def test_what_a_person_shall_type_next_is_one_command_for_the_host(command: str) -> None:
    words = subprocess.run(
        ["sh", "-c", 'ssh() { for word; do printf "%s\\0" "$word"; done; }; ' + on(HERE, command)],
        capture_output=True,
        check=True,
    ).stdout.decode()
    assert words_of(words) == ["scout@127.0.0.1", command]
