"""`Profile`: what was measured, and what to do about it, as plain values that show themselves."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from vaxseq.display.tables import as_text

StageKind = Literal[
    "column", "virtual column", "feature", "write", "store", "windows", "augment", "order", "batch", "tensors", "line"
]
Verdict = Literal[
    "model", "batch_size", "feature", "compressed", "storage", "augment", "code", "processes", "tensors", "order",
    "read_ahead", "loader",
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
class Profile:
    """Where a batch's time goes, what bounds training, and what to do about it. Times are per batch.

    Attributes:
        dataset: what was profiled.
        num_batches: of an epoch.
        batch_rows: rows of a batch.
        batch_bytes: of its arrays.
        loader_s: seconds to get a batch, when nothing else is done.
        loader_cpu_s: processor seconds of that, over all threads.
        loader_waited_s: seconds in which the reading thread waited: for disk, network, other processes.
        step_s: seconds of a training step on batches in memory; None without a model.
        fit_s: seconds of a training step with this dataset.
        waiting: share of a training step spent waiting for data, 0 to 1.
        stages: the pieces of the work; of a Sequence in one thread, so their sum may exceed ``loader_s``.
        disk_bytes: fetched from storage.
        major_faults: pages that had to be fetched from storage.
        memory_bytes: of this process at the end, mapped data files not counted.
        packed: data files that can't be mapped, and why.
        advice: in order of gain; the first is the verdict.
    """

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
    def verdict(self) -> Verdict:
        """What bounds it, in a word."""
        return self.advice[0].verdict

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "verdict": self.verdict}

    def to_json(self) -> str:
        """The same as JSON; times in seconds per batch."""
        return json.dumps(self.to_dict(), indent=2)

    def __rich__(self) -> Any:
        from vaxseq.profile.display import rich_profile

        return rich_profile(self)

    def __repr__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        from vaxseq.profile.display import html_profile

        return html_profile(self)
