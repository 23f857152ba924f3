"""What was measured, as ``bench/results.json`` has it."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field


class Sample(BaseModel):
    """One run of one contender."""

    wall_seconds: float = Field(description="From its start to its end.")
    cpu_seconds: float = Field(0, description="CPU time on the machine that runs it, with everything it started.")
    largest_bytes: int = Field(0, description="Resident memory of its largest process, at its peak.")
    all_bytes: int = Field(0, description="Resident memory of all its processes together, at their peak.")


class Measurement(BaseModel):
    """One contender at one thing: a sample for each round."""

    job: str = Field(description="What is done.")
    case: str = Field(description="From where it begins.")
    hosts: int = Field(description="On how many hosts.")
    contender: str = Field(description="By whom.")
    rounds: list[Sample] = Field(description="In the order of the rounds.")


class Verdict(BaseModel):
    """A target, and whether it is met."""

    target: str = Field(description="What is asked.")
    value: float = Field(description="What was measured: the median of the rounds, or of their ratios.")
    unit: str = Field(description="x for a ratio, else the unit.")
    met: bool = Field(description="Whether it is what was asked.")


class Environment(BaseModel):
    """Where it was measured, and with what."""

    date: str = Field(description="When it began, in UTC.")
    processor: str = Field(description="The model of the CPU.")
    cores: int = Field(description="How many of it there are. Hosts of the lab share them with whoever works on them.")
    kernel: str = Field(description="The kernel's release.")
    python: str = Field(description="The version of Python.")
    load: float = Field(description="Processes that ran or waited, in the minute before it began.")
    versions: dict[str, str] = Field(description="The version of each contender.")


class Results(BaseModel):
    """All of one run."""

    environment: Environment
    measurements: list[Measurement]
    verdicts: list[Verdict]

    def save(self, file: Path) -> None:
        """Write them as JSON."""
        file.write_text(self.model_dump_json(indent=1) + "\n")
