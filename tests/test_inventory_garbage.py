"""Whatever is in a file, reading it ends in a Site or in Trouble that can be printed, never in another exception."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from scout_ollama.errors import Trouble
from scout_ollama.inventory import Site, load_site
from scout_ollama.inventory.reading import read

HOSTS = Path(__file__).parent.parent / "hosts"
MANUAL = [document.data for document in read(HOSTS / "example.yaml")[0]]

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.dates()
PUNCTUATION = "{}[]:,-&*!|>%@`#?\"'\\~ \n\t\x85\ufeff"
WORDS = ["---", "\n  ", "\n- ", "kind: ", "ollama", "scout", "staging", "<<: ", "&a ", "*a ", ".nan", "0x1", "22:30"]
TAGS = [
    "!!int ",
    "!!null ",
    "!!set ",
    "!!binary ",
    "!!timestamp ",
    "!!python/object:os.system ",
    "!x ",
    "\\ud800",
    "\\x00",
]
YAML_TOKENS = st.lists(st.sampled_from([*PUNCTUATION, *WORDS, *TAGS]))


# A busy machine is no defect of the inventory.
unhurried = settings(deadline=None, max_examples=150)


def loaded(content: bytes) -> Site | Trouble:
    """What comes of a site with one file of this content. Its message can be printed, on a screen and in a log."""
    with TemporaryDirectory() as directory:
        Path(directory, "phi.yaml").write_bytes(content)
        try:
            return load_site(Path(directory))
        except Trouble as trouble:
            str(trouble).encode()
            return trouble


@unhurried
@given(st.binary(max_size=80))
def test_bytes(content: bytes) -> None:
    assert loaded(content)


@unhurried
@given(st.text(max_size=80))
def test_text(content: str) -> None:
    assert loaded(content.encode())


@unhurried
@given(YAML_TOKENS.map("".join))
def test_what_looks_like_yaml(content: str) -> None:
    assert loaded(content.encode())


@st.composite
def spoilt(draw: st.DrawFn) -> Any:
    """A document of the manual in which something, anywhere, is replaced, removed or added."""
    document: Any = yaml.safe_load(yaml.safe_dump(draw(st.sampled_from(MANUAL))))
    within = document
    while True:
        keys = list(within) if isinstance(within, dict) else list(range(len(within)))
        key = draw(st.sampled_from(keys))
        inner = within[key]
        if not isinstance(inner, dict | list) or not inner or draw(st.booleans()):
            break
        within = inner
    garbage = st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(SCALARS, inner, max_size=2)
    )
    match draw(st.sampled_from(["replace", "remove", "add"])):
        case "replace":
            within[key] = draw(garbage)
        case "remove":
            del within[key]
        case "add" if isinstance(within, dict):
            within[draw(SCALARS)] = draw(garbage)
        case _:
            within.append(draw(garbage))
    return document


@unhurried
@given(spoilt())
def test_a_cluster_with_something_wrong_in_it(document: Any) -> None:
    assert loaded(yaml.safe_dump(document).encode())


def test_a_file_without_end_is_not_read_to_its_end() -> None:
    with TemporaryDirectory() as directory:
        file = Path(directory, "phi.yaml")
        with file.open("wb") as sparse:
            sparse.truncate(2**40)
        _, (problem,) = read(file)
    assert "is larger than 1 MiB" in str(problem)


@unhurried
@given(st.sampled_from(["name", "address", "user", "model"]), st.text(min_size=1, max_size=9))
def test_no_name_is_an_option_or_drives_a_terminal(field: str, text: str) -> None:
    """Those are words of command lines on hosts, and are shown everywhere."""
    hostile = f"{text}\x1b[2J" if len(text) % 2 else f"-{text}"
    host = {"address": hostile if field == "address" else "192.0.2.1", "roles": ["server"]}
    document = {
        "kind": "scout",
        "environment": "non-phi",
        "ollama_mode": "deploy",
        "hosts": {hostile if field == "name" else "one": host},
        "ssh": {"user": hostile} if field == "user" else {},
        "ollama": {"models": [hostile if field == "model" else "tiny"]},
    }
    found = loaded(yaml.safe_dump(document).encode())
    assert isinstance(found, Trouble)
    assert "\x1b" not in str(found)
