"""`Profile`: what was measured, and what to do about it, which shows itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaxseq.display.tables import as_text
from vaxseq.profile.display import html_profile, rich_profile
from vaxseq.profile.measurement import Measurement


@dataclass(frozen=True, slots=True, repr=False)
class Profile(Measurement):
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
        copying_s: seconds of it until the batch is on the device, by the backend's own clock; with or without a model.
        waiting: share of a training step spent waiting for data, 0 to 1.
        stages: the pieces of the work; of a Sequence in one thread, so their sum may exceed ``loader_s``.
        disk_bytes: fetched from storage.
        major_faults: pages that had to be fetched from storage.
        memory_bytes: of this process at the end, mapped data files not counted.
        packed: data files that can't be mapped, and why.
        advice: in order of gain; the first is the verdict.
    """

    def __rich__(self) -> Any:
        return rich_profile(self)

    def __repr__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return html_profile(self)
