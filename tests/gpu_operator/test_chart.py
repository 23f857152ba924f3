"""A chart is read from its .tgz, or refused with what it is instead and how to get the right one."""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from scout_ollama.errors import Trouble
from scout_ollama.gpu_operator import archive, chart
from scout_ollama.gpu_operator.chart import Chart
from tests.gpu_operator import charts

WHOLE = charts.chart()
NAME = "gpu-operator-v25.10.1.tgz"
CHART = "gpu-operator/Chart.yaml"
VALUES = "gpu-operator/values.yaml"


def read(directory: Path, content: bytes) -> Chart:
    file = directory / NAME
    file.write_bytes(content)
    return chart.read(file)


def with_member(info: tarfile.TarInfo, text: bytes = b"") -> bytes:
    """The chart, with one more member in its archive."""
    members: list[tuple[tarfile.TarInfo, str | bytes]] = [
        (tarfile.TarInfo(path), content) for path, content in charts.files().items()
    ]
    return gzip.compress(charts.tarred([*members, (info, text)]))


def of_type(kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo("gpu-operator/templates/other.yaml")
    info.type, info.linkname = kind, "/etc/shadow"
    return info


def test_a_chart_is_read_as_helm_would_read_it(tmp_path: Path) -> None:
    found = read(tmp_path, WHOLE)
    assert (found.name, found.version, found.app_version) == ("gpu-operator", "v25.10.1", "v25.10.1")
    assert found.sha256 == hashlib.sha256(WHOLE).hexdigest()
    assert found.content == WHOLE
    assert found.values == charts.VALUES
    assert found.has_crds
    (nfd,) = found.subcharts
    assert (nfd.name, nfd.app_version, nfd.condition) == ("node-feature-discovery", "v0.18.2", "nfd.enabled")
    assert nfd.values == charts.NFD_VALUES


def test_nothing_is_unpacked_to_disk(tmp_path: Path) -> None:
    read(tmp_path, WHOLE)
    assert [path.name for path in tmp_path.rglob("*")] == [NAME]


def test_a_subchart_may_be_packed_into_the_chart(tmp_path: Path) -> None:
    outer = {path: text for path, text in charts.files().items() if "/charts/" not in path}
    inner = {
        path.removeprefix("gpu-operator/charts/"): text for path, text in charts.files().items() if "/charts/" in path
    }
    both = charts.packed({**outer, "gpu-operator/charts/node-feature-discovery-0.18.2.tgz": charts.packed(inner)})
    assert read(tmp_path, both).subcharts == read(tmp_path, WHOLE).subcharts


def test_a_chart_without_crds_and_subcharts_is_one(tmp_path: Path) -> None:
    bare = {path: text for path, text in charts.files().items() if path in (CHART, VALUES)}
    found = read(tmp_path, charts.packed(bare))
    assert (found.has_crds, found.subcharts) == (False, ())


def test_a_file_that_is_not_there_is_told_with_the_command_that_brings_it(tmp_path: Path) -> None:
    with pytest.raises(Trouble) as caught:
        chart.read(tmp_path / NAME)
    assert f"{tmp_path / NAME} is not there" in str(caught.value)
    assert "next: inv fetch-chart --version v25.10.1 " in str(caught.value)


def test_a_directory_in_its_place_is_told(tmp_path: Path) -> None:
    with pytest.raises(Trouble, match="cannot be read"):
        chart.read(tmp_path)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "is cut short"),
    "cut short": (lambda: WHOLE[:-20], "is cut short"),
    "cut in its checksum": (lambda: WHOLE[:-1], "is cut short"),
    "a page of a proxy": (lambda: b"<html>log in</html>", "is not compressed by gzip"),
    "one bit wrong": (
        lambda: WHOLE[:-8] + bytes([WHOLE[-8] ^ 1]) + WHOLE[-7:],
        "is not compressed by gzip, or is damaged",
    ),
    "two in one": (lambda: WHOLE + WHOLE, "has something after its end"),
    "no archive": (lambda: gzip.compress(b"hello" * 1000), "is not a tar archive"),
    "an archive cut short before it was packed": (
        lambda: gzip.compress(gzip.decompress(WHOLE)[:600]),
        "is not a tar archive, or is damaged",
    ),
    "another chart": (lambda: charts.packed({"ollama/Chart.yaml": "name: ollama\n"}), "it has ollama"),
    "an archive of nothing": (lambda: charts.packed({}), "it has nothing in it"),
    "another name": (lambda: charts.chart(name="gpu-operators"), "says name 'gpu-operators'"),
    "no version": (lambda: charts.chart(version=""), "version ''"),
    "no appVersion": (lambda: charts.chart(appVersion=None), "appVersion ''"),
    "of a git tag": (
        lambda: charts.chart("v1.0.0-devel", appVersion="main-latest"),
        "was packed from a git tag: its version is v1.0.0-devel, and its images would have the tag main-latest",
    ),
    "of a git tag with its version edited": (lambda: charts.chart(appVersion="main-latest"), "from a git tag"),
    "no YAML": (lambda: charts.packed({**charts.files(), CHART: "name: [gpu"}), "is not YAML"),
    "no text": (lambda: charts.packed({**charts.files(), VALUES: b"\xff\xfe\xfd"}), "is not YAML"),
    "endless YAML": (lambda: charts.packed({**charts.files(), VALUES: "a: &a\n  b: *a\n"}), "is not YAML"),
    "deep YAML": (lambda: charts.packed({**charts.files(), VALUES: "[" * 5000}), "is not YAML"),
    "objects in YAML": (
        lambda: charts.packed({**charts.files(), VALUES: "a: !!python/object/apply:os.getcwd []\n"}),
        "is not YAML",
    ),
    "a list for values": (lambda: charts.packed({**charts.files(), VALUES: "- a\n"}), "is not a mapping"),
    "values without end": (lambda: charts.packed({**charts.files(), VALUES: "#" * 2**19}), "has too large a"),
    "too large for the cluster": (lambda: charts.packed({"x": os.urandom(2**20)}), "is too large for a chart"),
    "a bomb": (lambda: gzip.compress(b"\0" * 2**25), "is larger than 16 MiB when it is unpacked"),
    "too many files": (
        lambda: charts.packed({f"gpu-operator/{number}": "" for number in range(2001)}),
        "has more than 2000 files",
    ),
    "a file above": (lambda: with_member(tarfile.TarInfo("gpu-operator/../../x")), "names a file outside of it"),
    "a file at the root": (lambda: with_member(tarfile.TarInfo("/etc/cron.d/x")), "names a file outside of it"),
    "a symbolic link": (lambda: with_member(of_type(tarfile.SYMTYPE)), "has a link"),
    "a hard link": (lambda: with_member(of_type(tarfile.LNKTYPE)), "has a link"),
    "a device": (lambda: with_member(of_type(tarfile.CHRTYPE)), "has a link, a device"),
    "a file with holes": (lambda: with_member(of_type(tarfile.GNUTYPE_SPARSE)), "has a link, a device or a hole"),
    "a file twice": (lambda: with_member(tarfile.TarInfo(f"./{CHART}"), b"name: other\n"), f"has '{CHART}' twice"),
}


@pytest.mark.parametrize(("made", "wrong"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_a_released_chart_is_refused_by_what_it_is(
    tmp_path: Path, made: Callable[[], bytes], wrong: str
) -> None:
    with pytest.raises(Trouble) as caught:
        read(tmp_path, made())
    assert wrong in str(caught.value)
    assert str(tmp_path / NAME) in caught.value.what
    assert "inv fetch-chart --version v25.10.1" in caught.value.next


def test_the_bounds_leave_room_for_what_nvidia_releases() -> None:
    """v26.7.0: 129 kB packed, 1.5 MiB unpacked, 90 files, 58 kB of values."""
    assert chart.MAX_PACKED >= 4 * 129_000
    assert archive.MAX_UNPACKED >= 4 * 1_500_000
    assert archive.MAX_MEMBERS >= 4 * 90
    assert chart.MAX_DOCUMENT >= 4 * 58_000


def test_the_largest_chart_fits_into_an_object_of_the_cluster() -> None:
    assert chart.MAX_PACKED * 4 / 3 + 100_000 < 1.5 * 2**20


def chart_or_trouble(content: bytes) -> None:
    with suppress(Trouble):
        assert isinstance(chart.parsed(content, "x.tgz", again="again"), Chart)


DAMAGES = st.lists(st.tuples(st.integers(0, 2**16), st.binary(max_size=8), st.integers(0, 64)), min_size=1, max_size=4)


def damaged(content: bytes, damages: list[tuple[int, bytes, int]]) -> bytes:
    """The content, at some places with other bytes in place of some of its own."""
    for at, put, taken in damages:
        at %= len(content) + 1
        content = content[:at] + put + content[at + taken :]
    return content


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damages=DAMAGES)
def test_a_damaged_file_is_a_chart_or_trouble(damages: list[tuple[int, bytes, int]]) -> None:
    chart_or_trouble(damaged(WHOLE, damages))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damages=DAMAGES)
@example(damages=[(124, b"-0000001", 8)])
def test_a_damaged_archive_is_a_chart_or_trouble(damages: list[tuple[int, bytes, int]]) -> None:
    chart_or_trouble(gzip.compress(damaged(gzip.decompress(WHOLE), damages), 1))


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=60) | st.binary(max_size=60) | st.from_regex(r"([a-z]|: |- |\n|[\[\]{}&*!|>?0-9._'\"])+"))
def test_any_values_are_a_chart_or_trouble(text: str | bytes) -> None:
    content = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    chart_or_trouble(charts.packed({**charts.files(), VALUES: content}))
