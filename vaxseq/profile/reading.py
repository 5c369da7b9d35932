"""Batches read as a fit reads them, for some seconds: how long one takes, and what it cost the system."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vaxseq.profile.measurement import Stage
from vaxseq.profile.meters import Meter, Queue, Usage, child_cpu_s
from vaxseq.profile.mixing import TargetSpread
from vaxseq.profile.sampling import Sampler, Seen, watched

_KEPT_BATCHES = 8  # batches kept, for steps without reading
_PREFETCHED_SHARE = 0.2  # of the mean time: a batch that takes less was loaded with the ones before it
_MAX_LINES = 40  # lines told apart; the others of a function are its last line


class Loaded(NamedTuple):
    """What reading measured, per batch. ``kept`` are some of the batches, all of ``rows`` rows."""

    kept: list[Any]
    rows: int
    bytes: int
    each_s: float
    cpu_s: float
    waited_s: float
    children_s: float
    disk_bytes: float
    major_faults: float
    stages: tuple[Stage, ...]
    target_spread: float | None


def load(dataset: Any, seconds: float, *, shuffle: bool, stacks: bool = False, skipped: int = 0) -> Loaded:
    """Reads for about so long, at least one batch besides the first; with ``stacks``, notes the lines it is in.

    When time is up, it goes on as long as batches come for nothing: a dataset may load many at once.
    """
    walk = _walk(dataset, shuffle)
    kept = [next(walk)()]  # the first pays for opening files and for caches
    for _ in range(min(skipped, int(dataset.num_batches) - 1)):
        next(walk)()
    spread = TargetSpread()
    meter, before, children, count = Meter(Queue()), Usage.now(), child_cpu_s(), 0
    sampler = Sampler() if stacks else None
    with sampler or nullcontext():
        while True:
            read, before_s, waited_s = next(walk), meter.seconds, meter.waited_s
            with meter:
                batch = watched(read)
            took_s = meter.seconds - before_s
            if count and before_s >= seconds and took_s > _PREFETCHED_SHARE * before_s / count:
                meter.seconds, meter.waited_s = before_s, waited_s
                break
            if batch is _EPOCH_END:
                continue
            count += 1
            spread.add(batch)
            if len(kept) < _KEPT_BATCHES:
                kept.append(batch)
    used = Usage.now().since(before)
    rows = max(rows_of(batch) for batch in kept)
    kept = [batch for batch in kept if rows_of(batch) == rows]
    return Loaded(
        kept=kept,
        rows=rows,
        bytes=sum(array.nbytes for array in arrays_of(kept[0])),
        each_s=meter.seconds / count,
        cpu_s=used.cpu_s / count,
        waited_s=meter.waited_s / count,
        children_s=max(0.0, child_cpu_s() - children) / count,
        disk_bytes=used.disk_bytes / count,
        major_faults=used.major_faults / count,
        stages=() if sampler is None else _lines(sampler.seen(), meter.seconds, count),
        target_spread=spread.value,
    )


def batch_order(dataset: Any, epoch: int, *, shuffle: bool) -> list[int]:
    """The batch indexes of an epoch in the order of a fit."""
    batches = list(range(int(dataset.num_batches)))
    if shuffle:
        random.Random(epoch).shuffle(batches)  # noqa: S311 - as Keras does it
    return batches


def arrays_of(batch: Any) -> list[Any]:
    """The arrays and tensors of a batch."""
    if batch is None:
        return []
    if isinstance(batch, dict):
        return [array for part in batch.values() for array in arrays_of(part)]
    if isinstance(batch, (tuple, list)):
        return [array for part in batch for array in arrays_of(part)]
    return [batch]


def rows_of(batch: Any) -> int:
    """Rows of a batch."""
    return len(arrays_of(batch)[0])


def joined(batches: list[Any]) -> Any:
    """Batches one after another as one."""
    first = batches[0]
    if first is None:
        return None
    if isinstance(first, dict):
        return {name: joined([batch[name] for batch in batches]) for name in first}
    if isinstance(first, (tuple, list)):
        return tuple(joined(list(parts)) for parts in zip(*batches, strict=True))
    return np.concatenate([np.asarray(batch) for batch in batches])


_EPOCH_END = object()


def _walk(dataset: Any, shuffle: bool) -> Iterator[Callable[[], Any]]:
    epoch = 0
    while True:
        for index in batch_order(dataset, epoch, shuffle=shuffle):
            yield lambda index=index: dataset[index]  # type: ignore[misc]
        yield lambda: dataset.on_epoch_end() or _EPOCH_END
        epoch += 1


def _lines(seen: list[Seen], seconds: float, count: int) -> tuple[Stage, ...]:
    """The looks as stages that add up to the time of a batch."""
    total = sum(one.seconds for one in seen)
    if not total:
        return ()
    scale = seconds / total / count
    merged: dict[tuple[str, str], list[float]] = {}
    for place, one in enumerate(seen):
        number = f":{one.line.number}" if place < _MAX_LINES else ""
        name = f"{one.line.function} at {Path(one.line.file).name}{number}"
        spent = merged.setdefault((name, one.doing), [0.0, 0.0])
        spent[0] += one.seconds * scale
        spent[1] += one.waited_s * scale
    return tuple(Stage("line", name, spent, waited, doing) for (name, doing), (spent, waited) in merged.items())
