"""What every test begins with."""

import hypothesis
import pytest

from scout_ollama import secrets

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def no_secret_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is masked lasts as long as the process: a secret of one test is an ordinary word of the next."""
    monkeypatch.setattr(secrets, "_MASK", secrets.Mask())
