"""Which steps are played: those of the command line, or a short campaign and what has found something."""

from __future__ import annotations

import pytest

from tests.faults import campaign
from tests.faults.campaign import Step
from tests.journeys.conftest import signals_work

__all__ = ["signals_work"]

SHORT = [campaign.step(1, number) for number in range(6)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every step is a test of its own."""
    if "step" in metafunc.fixturenames:
        metafunc.parametrize("step", _chosen(metafunc.config), ids=str)


def _chosen(config: pytest.Config) -> list[Step]:
    count, seed, alone = (config.getoption(name) for name in ("--faults", "--seed", "--step"))
    if alone is not None:
        return [campaign.step(seed, alone)]
    return SHORT if count is None else [campaign.step(seed, number) for number in range(count)]
