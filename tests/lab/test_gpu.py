"""nvidia-smi's stand-in: the real formats, the number of GPUs of the host, and the ways it can break."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.lab.ollama_server import DEADLINE_SECONDS, REPOSITORY

BIN = REPOSITORY / "lab/standins/bin"
QUERY = "--query-gpu=name,memory.total,memory.used,driver_version,uuid,temperature.gpu,utilization.gpu"


class Host:
    """The configuration of a lab host, and its nvidia-smi."""

    def __init__(self, configuration: Path, gpus: int) -> None:
        self.configuration = configuration
        host = {"lab": "demo", "name": "phi-gpu-1", "gpus": gpus, "gpu_memory_gib": 80}
        (configuration / "host.json").write_text(json.dumps(host))

    def fault(self, text: str) -> None:
        (self.configuration / "gpu-fault").write_text(f"{text}\n")

    def nvidia_smi(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        variables = {"PATH": "/usr/bin:/bin", "LAB_CONFIGURATION": str(self.configuration), **environment}
        command = [str(BIN / "nvidia-smi"), *arguments]
        return subprocess.run(
            command, env=variables, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False
        )

    def uuids(self, **environment: str) -> list[str]:
        lines = self.nvidia_smi("-L", **environment).stdout.splitlines()
        return [line.partition("(UUID: ")[2].rstrip(")") for line in lines if line.startswith("GPU ")]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path, gpus=2)


def test_lists_each_gpu(host: Host) -> None:
    result = host.nvidia_smi("-L")
    first, second = result.stdout.splitlines()
    assert first.startswith("GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-")
    assert second.startswith("GPU 1: ")
    assert len(set(host.uuids())) == 2
    assert result.returncode == 0


def test_uuids_stay_the_same(host: Host) -> None:
    assert host.uuids() == host.uuids()


def test_query_as_csv(host: Host) -> None:
    header, row, _ = host.nvidia_smi(QUERY, "--format=csv").stdout.splitlines()
    assert header == (
        "name, memory.total [MiB], memory.used [MiB], driver_version, uuid, temperature.gpu, utilization.gpu [%]"
    )
    name, total, used, _, uuid, *_ = row.split(", ")
    assert (name, total, used, uuid) == ("NVIDIA H100 80GB HBM3", "81559 MiB", "1 MiB", host.uuids()[0])


def test_query_without_header_and_units(host: Host) -> None:
    result = host.nvidia_smi("--query-gpu=memory.total", "--format=csv,noheader,nounits")
    assert result.stdout == "81559\n81559\n"


def test_query_of_an_unknown_field(host: Host) -> None:
    result = host.nvidia_smi("--query-gpu=beauty", "--format=csv")
    assert (result.returncode, result.stdout.strip()) == (2, 'Field "beauty" is not a valid field to query.')


def test_table(host: Host) -> None:
    table = host.nvidia_smi().stdout
    assert table.count("81559MiB") == 2
    assert "Driver Version: 580.95.05" in table


def test_no_driver(host: Host) -> None:
    host.fault("no-driver")
    result = host.nvidia_smi("-L")
    assert result.returncode == 9
    assert result.stdout.startswith("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.")


def test_one_gpu_fell_off_the_bus(host: Host) -> None:
    _, kept = host.uuids()
    host.fault("lost:0")
    assert host.uuids() == [kept]


def test_hang(host: Host) -> None:
    host.fault("hang")
    variables = {"PATH": "/usr/bin:/bin", "LAB_CONFIGURATION": str(host.configuration)}
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run([str(BIN / "nvidia-smi"), "-L"], env=variables, timeout=0.5, check=False)


def test_a_container_sees_what_it_was_given(host: Host) -> None:
    first, second = host.uuids()
    assert host.uuids(NVIDIA_VISIBLE_DEVICES="all") == [first, second]
    assert host.uuids(NVIDIA_VISIBLE_DEVICES=second) == [second]
    assert host.uuids(NVIDIA_VISIBLE_DEVICES="0") == [first]
    result = host.nvidia_smi(NVIDIA_VISIBLE_DEVICES="void")
    assert (result.returncode, result.stdout) == (6, "No devices were found\n")


def test_a_host_without_gpus_has_no_such_command(tmp_path: Path) -> None:
    result = Host(tmp_path, gpus=0).nvidia_smi("-L")
    assert (result.returncode, result.stderr) == (127, "nvidia-smi: command not found\n")


def test_container_runtime_says_what_it_is() -> None:
    result = subprocess.run([str(BIN / "nvidia-container-runtime")], capture_output=True, text=True, check=True)
    assert "stand-in" in result.stdout
