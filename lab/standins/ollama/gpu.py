"""The GPUs this server sees, as far as `nvidia-smi` tells."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from lab.standins.ollama.golang import human_bytes, log

_DISCOVERY_SECONDS = 30
_QUERY = "--query-gpu=uuid,name,memory.total,driver_version"


@dataclass(frozen=True)
class Gpu:
    """One GPU: memory in bytes."""

    uuid: str
    name: str
    memory: int
    driver: str


def discover() -> list[Gpu]:
    """Ask nvidia-smi; no GPU if it is missing, fails or hangs."""
    try:
        listed = _nvidia_smi("-L").splitlines()
        rows = _nvidia_smi(_QUERY, "--format=csv,noheader,nounits").splitlines() if listed else []
    except (OSError, subprocess.SubprocessError):
        return []
    cells = [[cell.strip() for cell in row.split(",")] for row in rows]
    return [Gpu(uuid, name, int(mebibytes) << 20, driver) for uuid, name, mebibytes, driver in cells]


def log_details(gpus: list[Gpu]) -> None:
    """One line `inference compute` for each GPU, or one for the processor."""
    for gpu in gpus:
        size = human_bytes(gpu.memory)
        log(
            "INFO",
            "inference compute",
            id=gpu.uuid,
            library="CUDA",
            compute="9.0",
            name="CUDA0",
            description=gpu.name,
            libdirs="ollama,cuda_v13",
            driver=gpu.driver,
            type="discrete",
            total=size,
            available=size,
        )
    if not gpus:
        log("INFO", "inference compute", id="cpu", library="cpu", compute="", name="cpu", description="cpu")


def default_context(gpus: list[Gpu], overhead: int) -> int:
    """The context length in tokens that a model gets by default, by the memory of all GPUs together."""
    total = sum(max(0, gpu.memory - overhead) for gpu in gpus)
    tokens = 262144 if total >= 47 << 30 else 32768 if total >= 23 << 30 else 4096
    log("INFO", "vram-based default context", total_vram=human_bytes(total), default_num_ctx=tokens)
    return tokens


def _nvidia_smi(*arguments: str) -> str:
    result = subprocess.run(
        ["nvidia-smi", *arguments], capture_output=True, text=True, timeout=_DISCOVERY_SECONDS, check=True
    )
    return result.stdout
