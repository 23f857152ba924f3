"""A secret stays one wherever it ends up by mistake."""

import copy
import json
import logging
import pickle
import traceback

import pytest
from pydantic import BaseModel

from scout_ollama.secrets import Secret

SENTINEL = "correct horse battery staple"


class Account(BaseModel):
    username: str
    password: Secret


def test_only_reveal_gives_it_away() -> None:
    assert Secret(SENTINEL).reveal() == SENTINEL


@pytest.mark.parametrize(
    "shown",
    [
        str(Secret(SENTINEL)),
        repr(Secret(SENTINEL)),
        f"{Secret(SENTINEL)}",
        f"{Secret(SENTINEL)!r:>30}",
        f"{Secret(SENTINEL):<30}",
        "%s %r" % (Secret(SENTINEL), Secret(SENTINEL)),  # noqa: UP031 - the old way to format is tested too
        "{0}".format(Secret(SENTINEL)),  # noqa: UP030, UP032 - likewise
        str([Secret(SENTINEL)]),
        str({"password": Secret(SENTINEL)}),
        json.dumps({"password": Secret(SENTINEL)}, default=str),
        str(Account(username="robot", password=Secret(SENTINEL))),
        repr(Account(username="robot", password=Secret(SENTINEL)).model_dump()),
        Account(username="robot", password=Secret(SENTINEL)).model_dump_json(),
        str(ValueError(Secret(SENTINEL))),
    ],
)
def test_it_is_redacted(shown: str) -> None:
    assert "(redacted)" in shown
    assert SENTINEL not in shown


def test_json_refuses_it_rather_than_to_write_it() -> None:
    with pytest.raises(TypeError):
        json.dumps({"password": Secret(SENTINEL)})


def test_it_is_redacted_in_a_log(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("any").error("login failed with %s", Secret(SENTINEL))
    assert caplog.messages == ["login failed with (redacted)"]


def test_it_is_not_pickled() -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(Secret(SENTINEL), protocol)


def test_it_has_no_attributes_that_a_dump_of_variables_would_show() -> None:
    assert not hasattr(Secret(SENTINEL), "__dict__")


def test_a_traceback_with_variables_does_not_show_it() -> None:
    password = Secret(SENTINEL)
    try:
        raise RuntimeError(password)
    except RuntimeError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "password = (redacted)" in shown
    assert SENTINEL not in shown


def test_equality_is_that_of_the_text() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


def test_a_copy_is_the_same_secret() -> None:
    account = Account(username="robot", password=Secret(SENTINEL))
    assert copy.deepcopy(account).password == account.model_copy(deep=True).password == Secret(SENTINEL)
    assert copy.copy(account.password).reveal() == SENTINEL


def test_a_model_reads_it_from_text() -> None:
    assert Account.model_validate_json(json.dumps({"username": "robot", "password": SENTINEL})).password == Secret(
        SENTINEL
    )
    assert Account.model_validate({"username": "robot", "password": SENTINEL}).password == Secret(SENTINEL)
    schema = Account.model_json_schema()["properties"]["password"]
    assert (schema["type"], schema["format"]) == ("string", "password")
