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
