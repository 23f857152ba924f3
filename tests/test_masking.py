"""What is about to be written has no secret in it, in whatever form somebody put it there."""

import base64
import json
import time
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from scout_ollama.changes import Plan, Stage
from scout_ollama.errors import Trouble, printable
from scout_ollama.report import Reporter, print_json
from scout_ollama.secrets import REDACTED, Mask, Secret, masked
from tests.test_report import Shown

# With a parenthesis of its own a text could become a secret by being masked.
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="()"), max_size=40)
SECRETS = TEXTS.filter(lambda text: len(text) >= 4 and text not in REDACTED)


def mask(*secrets: str) -> Mask:
    known = Mask()
    for secret in secrets:
        known.add(secret)
    return known


def key() -> str:
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode().strip()


def test_a_secret_is_known_from_when_there_is_one() -> None:
    assert masked("it is plum-tortoise") == "it is plum-tortoise"
    Secret("plum-tortoise")
    assert masked("it is plum-tortoise, plum-tortoise") == "it is (redacted), (redacted)"


@given(st.lists(SECRETS, min_size=1, max_size=3), st.lists(TEXTS, min_size=4, max_size=4), st.permutations(range(3)))
def test_none_survives_in_any_text_built_around_it(secrets: list[str], around: list[str], order: list[int]) -> None:
    text = around[3] + "".join(secrets[at % len(secrets)] + around[at] for at in order)
    shown = mask(*secrets).masked(text)
    assert not any(secret in shown for secret in secrets)


@given(SECRETS, TEXTS, TEXTS)
def test_none_survives_within_base64(secret: str, before: str, after: str) -> None:
    """At most the letters at its ends stay, which depend on what stands around it."""
    shown = mask(secret).masked(base64.b64encode(f"{before}{secret}{after}".encode()).decode())
    assert REDACTED in shown


FORMS: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "as a terminal gets it": printable,
    "in JSON": lambda text: json.dumps(text)[1:-1],
    "in JSON with every letter": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "in base64": lambda text: base64.b64encode(text.encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("secret", ["abcd", 'say "pässword"\\', "two\nlines of it", "tab\tbell\x07 and more"])
def test_every_form_of_it_is_masked(form: Callable[[str], str], secret: str) -> None:
    assert mask(secret).masked(f"before {form(secret)} after") == "before (redacted) after"


def test_what_is_shorter_than_four_characters_is_part_of_ordinary_words() -> None:
    assert mask("a", "gpu", "").masked("a gpu") == "a gpu"


def test_the_longest_of_several_is_masked_as_a_whole() -> None:
    assert mask("horse", "horse-battery", "correct-horse").masked("horse-battery correct-horse horse") == (
        "(redacted) (redacted) (redacted)"
    )


def test_a_key_is_masked_as_a_whole_and_line_by_line() -> None:
    pem = key()
    first, *lines, last = pem.splitlines()
    known = mask(pem)
    assert known.masked(f"key: {pem}.") == "key: (redacted)."
    indented = "\n  ".join(pem.splitlines())
    assert known.masked(indented) == "\n  ".join([first, *(REDACTED for _ in lines), last])
    assert known.masked(json.dumps({"key": f"{pem}\n"})) == '{"key": "(redacted)\\n"}'


def test_what_a_person_and_a_program_see_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    word, pem = "quartz-heron-4711", key()
    Secret(word)
    Secret(pem)
    said = f"{word} {pem.splitlines()[1]}"
    reporter = Reporter(["phi-gpu-1"])
    reporter.say("phi-gpu-1", said)
    reporter.heading(said)
    trouble = Trouble(said, host="phi-gpu-1", why=f"{said}\n{pem}", next=said)
    reporter.warning(trouble)
    reporter.trouble(trouble)
    reporter.plan("phi", Plan((Stage("s", (Shown("phi-gpu-1", said, (f"~ {said}",)),)),)), in_full=True)
    print_json({"phi": [said, {"why": (pem, 1, None)}, trouble]})
    out, err = capsys.readouterr()
    for shown in (out, err):
        assert "(redacted) (redacted)" in shown
        assert not any(line in shown for line in [word, *pem.splitlines()[1:-1]])


def test_json_stays_json_whatever_the_secret_is(capsys: pytest.CaptureFixture[str]) -> None:
    known = ["8443", "true", '": "', "changes"]
    for secret in known:
        Secret(secret)
    print_json({"changes": ["8443 changes"], "port": 8443, "made": True})
    assert json.loads(capsys.readouterr().out) == {"changes": ["(redacted) (redacted)"], "port": 8443, "made": True}


def test_many_lines_are_masked_in_no_time() -> None:
    known = mask("correct-horse-battery", *(key() for _ in range(2)))
    lines = [f"phi-gpu-1  write /etc/rancher/k3s/registries.yaml, line {at} of many" for at in range(2000)]
    start = time.process_time()
    assert [known.masked(line) for line in lines] == lines
    assert time.process_time() - start < 1.0
