"""What was measured, and what to do about it, as plain values."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

StageKind = Literal[
    "column", "virtual column", "feature", "write", "store", "windows", "augment", "order", "batch", "tensors", "line"
]
Verdict = Literal[
    "model", "batch_size", "feature", "compressed", "storage", "augment", "code", "processes", "tensors", "order",
    "read_ahead", "loader", "device",
]  # fmt: skip

TITLES: dict[StageKind, str] = {
    "column": "column",
    "virtual column": "virtual column",
    "feature": "feature",
    "write": "write rows into the batch",
    "store": "read the packed store",
    "windows": "read columns, compute features, cut windows",
    "augment": "augment",
    "order": "order, index and slices",
    "batch": "put the batch together",
    "tensors": "convert to tensors",
    "line": "line",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """One piece of the work on a batch: seconds per batch, and how many of them went into waiting for something."""

    kind: StageKind
    name: str
    seconds: float
    waited_s: float
    doing: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do, and how many times as many rows a second it may bring (1 when it brings none, or isn't known)."""

    verdict: Verdict
    text: str
    gain: float


@dataclass(frozen=True, slots=True, repr=False)
class Measurement:
    """Times are per batch; `Profile` says what each is."""

    dataset: str
    num_batches: int
    batch_rows: int
    batch_bytes: int
    loader_s: float
    loader_cpu_s: float
    loader_waited_s: float
    step_s: float | None
    fit_s: float | None
    waiting: float | None
    stages: tuple[Stage, ...]
    disk_bytes: float
    major_faults: float
    memory_bytes: int
    packed: tuple[str, ...]
    advice: tuple[Advice, ...]

    @property
    def copying_s(self) -> float:
        """Seconds until a batch is tensors on the device, by the backend's own clock; a part of a training step."""
        return sum(stage.seconds for stage in self.stages if stage.kind == "tensors")

    @property
    def verdict(self) -> Verdict:
        """What bounds it, in a word."""
        return self.advice[0].verdict

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "copying_s": self.copying_s, "verdict": self.verdict}

    def to_json(self) -> str:
        """The same as JSON; times in seconds per batch."""
        return json.dumps(self.to_dict(), indent=2)
