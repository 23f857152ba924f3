"""The chart that is installed is the one that somebody accepted: its SHA-256 stands in charts.lock beside it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from scout_ollama.errors import Trouble
from scout_ollama.gpu_operator.chart import Chart
from scout_ollama.gpu_operator.locked import record, sum_of, verified
from scout_ollama.inventory import OllamaCluster, load_site
from tests.gpu_operator import charts

HOSTS = Path(__file__).parent.parent.parent / "hosts"
NAME = "gpu-operator-v25.10.1.tgz"
WHOLE = charts.chart()
SUM = hashlib.sha256(WHOLE).hexdigest()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The shipped inventory, with a chart and no lock."""
    site = tmp_path / "my site"
    shutil.copytree(HOSTS, site)
    (site / "charts").mkdir(exist_ok=True)
    (site / "charts" / NAME).write_bytes(WHOLE)
    return site


def verify(root: Path, name: str = "phi") -> Chart:
    site = load_site(root)
    cluster = site.clusters[name]
    assert isinstance(cluster, OllamaCluster)
    return verified(site, cluster)


def trouble(root: Path) -> Trouble:
    with pytest.raises(Trouble) as caught:
        verify(root)
    return caught.value


def test_a_chart_that_nobody_accepted_is_told_with_its_sum_and_how_to_record_it(root: Path) -> None:
    found = trouble(root)
    assert f"its SHA-256 is {SUM}" in found.why
    command = found.next.partition("then: ")[2]
    subprocess.run(["sh", "-c", command], check=True)
    assert verify(root).sha256 == SUM


@pytest.mark.parametrize("name", ["phi", "nonphi"])
def test_it_is_looked_for_beside_the_inventory_also_where_it_is_not_named(root: Path, name: str) -> None:
    record(root / "charts" / NAME, SUM)
    assert verify(root, name).content == WHOLE


def test_the_lock_is_one_that_sha256sum_checks(root: Path) -> None:
    other = root / "charts" / "gpu-operator-v26.7.0.tgz"
    other.write_bytes(b"other")
    record(root / "charts" / NAME, SUM)
    record(other, hashlib.sha256(b"other").hexdigest())
    subprocess.run(["sha256sum", "--strict", "-c", "charts.lock"], cwd=root / "charts", check=True)
    (root / "charts" / NAME).write_bytes(b"else")
    assert subprocess.run(["sha256sum", "-c", "charts.lock"], cwd=root / "charts", check=False).returncode == 1


def test_a_line_of_sha256sums_binary_mode_counts_and_other_lines_do_not(root: Path) -> None:
    lock = root / "charts" / "charts.lock"
    lock.write_text(f"# the charts\n{'0' * 64}  {NAME}.old\n{SUM.upper()} *{NAME}")
    assert sum_of(root / "charts" / NAME) == SUM
    record(root / "charts" / "x.tgz", SUM)
    assert lock.read_text().splitlines()[2:] == [f"{SUM.upper()} *{NAME}", f"{SUM}  x.tgz"]


def test_a_chart_that_differs_from_the_accepted_one_is_refused_with_both_sums(root: Path) -> None:
    record(root / "charts" / NAME, SUM)
    other = charts.chart(values=charts.changed(driver={"version": "1"}))
    (root / "charts" / NAME).write_bytes(other)
    found = trouble(root)
    assert "is not the file that was accepted" in found.what
    assert SUM in found.why
    assert hashlib.sha256(other).hexdigest() in found.why


def test_two_sums_for_one_file_vouch_for_neither(root: Path) -> None:
    record(root / "charts" / NAME, SUM)
    record(root / "charts" / NAME, "0" * 64)
    assert "two sums" in trouble(root).what


def test_another_release_than_the_inventory_wants_is_refused(root: Path) -> None:
    (root / "charts" / NAME).write_bytes(charts.chart("v25.3.4"))
    found = trouble(root)
    assert "is v25.3.4, and phi wants v25.10.1" in found.what
    assert "inv fetch-chart --version v25.10.1" in found.next
    assert "phi.yaml: gpu_operator.version" in found.next


def test_a_lock_that_cannot_be_read_is_told(root: Path) -> None:
    (root / "charts" / "charts.lock").mkdir()
    assert "charts.lock cannot be read" in trouble(root).what
