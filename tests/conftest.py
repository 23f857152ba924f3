"""What every test begins with."""

import pytest

from scout_ollama import secrets


@pytest.fixture(autouse=True)
def no_secret_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is masked lasts as long as the process: a secret of one test is an ordinary word of the next."""
    monkeypatch.setattr(secrets, "_MASK", secrets.Mask())
