"""A secret comes from a file, the environment, or a command; what goes wrong is told without it."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scout_ollama.errors import Trouble
from scout_ollama.inventory import SecretSource, secret_source
from scout_ollama.secrets import Secret

WORD = "hunter2-correct-horse"
VAULT = f"harbor:\n  password: {WORD}\n  port: 8443\ntls:\n  key: |\n    -----BEGIN\n    {WORD}\n"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., SecretSource]:
    """A source in an inventory in a directory of its own, where nothing else is; that is not where the person is."""
    inventory = tmp_path / "site"
    inventory.mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    def given(**where: Any) -> SecretSource:
        return SecretSource.model_validate(where, context={"directory": inventory})

    return given


def program(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def printing(text: str) -> list[str]:
    return program(f"print({text!r}, end='')")


def kept(directory: Path, kind: str, content: bytes, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A secret put where sources of that kind read it, and the source."""
    (directory / "site" / "secret").write_bytes(content)
    monkeypatch.setitem(os.environb, b"SECRET", content)
    return {kind: {"file": "secret", "environment": "SECRET", "command": ["cat", "secret"]}[kind]}


EACH_KIND = pytest.mark.parametrize("kind", secret_source.KINDS)
Given = Callable[..., SecretSource]


@EACH_KIND
@pytest.mark.parametrize(
    ("content", "text"),
    [
        (f"{WORD}\n", WORD),
        (WORD, WORD),
        (f"{WORD}\r\n", WORD),
        (f" {WORD} \n\n", f" {WORD} \n"),
        ("pässwörd\n", "pässwörd"),
    ],
)
def test_it_is_read_without_the_line_end_after_it(
    source: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, content: str, text: str
) -> None:
    assert source(**kept(tmp_path, kind, content.encode(), monkeypatch)).read() == Secret(text)


@EACH_KIND
@pytest.mark.parametrize(
    ("field", "text"), [("harbor.password", WORD), ("tls.key", f"-----BEGIN\n{WORD}")], ids=["a line", "several lines"]
)
def test_it_is_a_field_of_a_yaml_document(
    source: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, field: str, text: str
) -> None:
    where = kept(tmp_path, kind, VAULT.encode(), monkeypatch)
    assert source(**where, field=field).read() == Secret(text)


NO_TEXT = "it is not text: a number or the like has to stand in quotes"


@EACH_KIND
@pytest.mark.parametrize(
    ("content", "field", "why"),
    [
        (b"", None, "it is empty"),
        (b" \n\t\n", None, "it is empty"),
        (WORD.encode() + b"\xff", None, "it is not UTF-8 text"),
        (f"{WORD}: [".encode(), "a", "what is read is not YAML"),
        (f"{WORD}: !vault x".encode(), "a", "what is read is not YAML"),
        (f"a: 2026-13-45 # {WORD}".encode(), "a", "what is read is not YAML"),
        (b"[" * 5000 + WORD.encode(), "a", "what is read is not YAML"),
        (WORD.encode(), "a", "there is no such field"),
        (VAULT.encode(), "harbor.token", "there is no such field"),
        (VAULT.encode(), "harbor.password.text", "there is no such field"),
        (VAULT.encode(), "harbor.port", NO_TEXT),
        (VAULT.encode(), "harbor", NO_TEXT),
        (b"a: ''", "a", "it is empty"),
    ],
)
def test_what_is_no_secret_is_told_and_not_shown(
    source: Given,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    content: bytes,
    field: str | None,
    why: str,
) -> None:
    given = source(**kept(tmp_path, kind, content, monkeypatch), field=field)
    with pytest.raises(Trouble) as refused:
        given.read()
    assert (refused.value.what, refused.value.why) == (f"cannot read {given}", why)
    assert refused.value.next
    assert WORD not in str(refused.value)


def test_a_message_names_the_source(source: Given, tmp_path: Path) -> None:
    assert str(source(file="secret")) == f"{tmp_path}/site/secret"
    assert str(source(environment="SECRET")) == "the environment variable SECRET"
    assert str(source(command=["op", "read", "op://vault/item"])) == "what op prints"
    assert str(source(command=["sops", "-d", "x"], field="a.b")) == "a.b in what sops prints"


def told(source: SecretSource) -> list[str]:
    """The lines of the trouble that there is in reading it."""
    with pytest.raises(Trouble) as refused:
        source.read()
    assert WORD not in str(refused.value)
    return str(refused.value).splitlines()


def test_a_file_that_is_not_there(source: Given, tmp_path: Path) -> None:
    file = tmp_path / "site" / "secret"
    assert told(source(file="secret")) == [
        f"cannot read {file}",
        "  why: No such file or directory",
        f"  next: ls -l {file}",
    ]
    file.mkdir()
    assert told(source(file="secret"))[1] == "  why: Is a directory"


def test_a_variable_that_is_not_set(source: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECRET", raising=False)
    assert told(source(environment="SECRET")) == [
        "cannot read the environment variable SECRET",
        "  why: it is not set",
        "  next: read -rs SECRET; export SECRET; then the same command again",
    ]


# -- commands


def test_a_program_that_is_not_there(source: Given) -> None:
    assert told(source(command=["no-such-program", WORD])) == [
        "cannot read what no-such-program prints",
        "  why: there is no such program",
        "  next: install no-such-program, or correct the command",
    ]


def test_a_program_that_cannot_be_run(source: Given, tmp_path: Path) -> None:
    (tmp_path / "site" / "text").write_text(WORD)
    (tmp_path / "site" / "text").chmod(0o755)
    assert told(source(command=["./text"]))[1] == "  why: it cannot be run: Exec format error"


def test_a_program_that_fails(source: Given, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fails = program(f"import sys; print('{WORD}'); print('vault is sealed', file=sys.stderr); sys.exit(3)")
    assert told(source(command=fails)) == [
        f"cannot read what {sys.executable} prints",
        "  why: it was ended with status 3",
        f"  next: cd {tmp_path}/site; there run the command as the inventory has it",
    ]
    assert capfd.readouterr() == ("", "vault is sealed\n"), (
        "its standard error goes to the terminal, its output nowhere"
    )


def test_a_program_that_is_killed(source: Given) -> None:
    dies = program(f"import os; print('{WORD}', flush=True); os.kill(os.getpid(), {int(signal.SIGKILL)})")
    assert told(source(command=dies))[1] == "  why: it was ended by signal 9"


def test_a_program_that_does_not_end(source: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret_source, "SECONDS", 0.5)
    waits = f"import os, signal; open('pid', 'w').write(str(os.getpid())); print('{WORD}', flush=True); signal.pause()"
    assert told(source(command=program(waits)))[1] == "  why: it did not end within 0.5 seconds"
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "site" / "pid").read_text()), 0)


def test_no_shell_sees_a_command(source: Given, tmp_path: Path) -> None:
    hostile = ["$(touch ran)", "`touch ran`", "; touch ran", "| touch ran", "> ran", "$HOME", "~", "*", "a b", ""]
    show = program("import sys; print('|'.join(sys.argv[1:]))")
    assert source(command=[*show, *hostile]).read() == Secret("|".join(hostile))
    assert told(source(command=["true; touch ran"]))[1] == "  why: there is no such program"
    assert list((tmp_path / "site").iterdir()) == []


def test_a_command_runs_in_the_directory_of_the_inventory(source: Given, tmp_path: Path) -> None:
    assert source(command=["pwd"]).read() == Secret(f"{tmp_path}/site")


def test_a_command_is_run_once_whatever_is_picked_of_its_output(source: Given, tmp_path: Path) -> None:
    asks = program(f"open('asked', 'a').write('x'); print({VAULT!r})")
    for _ in range(2):
        assert source(command=asks, field="harbor.password").read() == Secret(WORD)
        assert source(command=asks, field="tls.key").read() == Secret(f"-----BEGIN\n{WORD}")
    assert (tmp_path / "site" / "asked").read_text() == "x"


def test_threads_that_need_one_secret_at_once_ask_for_it_once(source: Given, tmp_path: Path) -> None:
    given = source(command=program(f"open('asked', 'a').write('x'); print('{WORD}')"))
    together, found = threading.Barrier(8, timeout=30), list[Secret]()

    def need() -> None:
        together.wait()
        found.append(given.read())

    threads = [threading.Thread(target=need) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert found == [Secret(WORD)] * 8
    assert (tmp_path / "site" / "asked").read_text() == "x"


def test_a_command_that_failed_may_be_tried_again(source: Given, tmp_path: Path) -> None:
    given = source(command=["cat", "late"])
    assert told(given)[1] == "  why: it was ended with status 1"
    (tmp_path / "site" / "late").write_text(WORD)
    assert given.read() == Secret(WORD)


def test_a_command_does_not_inherit_the_secrets_of_the_environment(
    source: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", WORD)
    monkeypatch.setenv("NO_SECRET", "seen")
    assert source(environment="A_SECRET").read() == Secret(WORD)
    shows = program("import os; print(os.environ.get('A_SECRET'), os.environ.get('NO_SECRET'))")
    assert source(command=shows).read() == Secret("None seen")


def test_a_command_may_ask_on_the_terminal() -> None:
    """Its standard input and standard error are those of the person; what it prints is not shown."""
    ours, theirs = os.openpty()
    reader = f"""
from scout_ollama.inventory import SecretSource
asks = "import sys; print('passphrase?', file=sys.stderr, flush=True); print(input()[::-1])"
print(SecretSource(command=[{sys.executable!r}, "-c", asks]).read() is not None)
"""
    try:
        os.write(ours, f"{WORD}\n".encode())
        process = os.posix_spawn(
            sys.executable,
            [sys.executable, "-c", reader],
            {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
            file_actions=[(os.POSIX_SPAWN_DUP2, theirs, descriptor) for descriptor in (0, 1, 2)],
        )
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
        shown = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "passphrase?" in shown
    assert "True" in shown
    assert WORD[::-1] not in shown
