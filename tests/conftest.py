"""What every test begins with."""

import os
from random import randrange

import hypothesis
import pytest

from scout_ollama import secrets

# How long an example takes says how busy the machine is. In CI the same examples are tried each time.
hypothesis.settings.register_profile("untimed", deadline=None, derandomize=bool(os.environ.get("CI")))
hypothesis.settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--open-webui``: also what needs the real Open WebUI, which is installed then. The last three: tests/faults."""
    parser.addoption("--open-webui", action="store_true", help="also against the real Open WebUI")
    parser.addoption("--kubernetes", action="store_true", help="journeys with Kubernetes' own control plane")
    parser.addoption("--faults", type=int, help="how many faults to play")
    parser.addoption("--seed", type=int, default=randrange(10**6), help="what they follow from")  # noqa: S311
    parser.addoption("--step", type=int, help="the one step of the seed to play")


def pytest_report_header(config: pytest.Config) -> list[str]:
    """The seed of a campaign comes first."""
    return [f"seed {config.getoption('--seed')}"] if config.getoption("--faults") else []


def pytest_configure(config: pytest.Config) -> None:
    """In CI, where a run has only so much time, and in a campaign, which is long, say at once what failed."""
    if (os.environ.get("CI") or config.getoption("--faults")) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(ToldAtOnce(config))


class ToldAtOnce:
    """Shows each failure when it happens, and not only in the end, which may not come."""

    def __init__(self, config: pytest.Config) -> None:
        self._plugins = config.pluginmanager

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """See pytest."""
        if report.failed and (terminal := self._plugins.get_plugin("terminalreporter")):
            terminal.write_line(f"\n{report.nodeid}: its {report.when} failed\n{report.longreprtext}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What needs something that is not asked for is skipped, and says so."""
    for marker, option, what in (
        ("open_webui", "--open-webui", "the real Open WebUI"),
        ("kubernetes", "--kubernetes", "Kubernetes' own control plane"),
    ):
        if not config.getoption(option):
            skip = pytest.mark.skip(reason=f"without {what}: scripts/test {option}")
            for item in items:
                if item.get_closest_marker(marker):
                    item.add_marker(skip)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what was asked for and could not be had."""
    missing = {
        "SCOUT_WITHOUT_OPEN_WEBUI": "NOTHING WAS TRIED AGAINST THE REAL OPEN WEBUI",
        "SCOUT_WITHOUT_KUBERNETES": "NO JOURNEY WAS MADE WITH KUBERNETES' OWN CONTROL PLANE",
    }
    for variable, what in missing.items():
        if why := os.environ.get(variable):
            terminalreporter.section(what, red=True, bold=True)
            terminalreporter.write_line(why)


@pytest.fixture(autouse=True)
def no_secret_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is masked lasts as long as the process: a secret of one test is an ordinary word of the next."""
    monkeypatch.setattr(secrets, "_MASK", secrets.Mask())
