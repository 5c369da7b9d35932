"""What a Sequence serves, in numbers: rows in and left out, batches, arrays, order, memory, bytes and time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vaxseq.display.html import Head, Heading, Row
from vaxseq.display.tables import Display, Shown
from vaxseq.errors import OptionError
from vaxseq.features.program.recipe import Role
from vaxseq.loading.loader import Batches
from vaxseq.loading.query import Query
from vaxseq.plan.inverse_order import InverseOrder
from vaxseq.plan.plan import BatchPlan
from vaxseq.store import StoreReader
from vaxseq.training.batches import Batch
from vaxseq.training.device_feed import DeviceFeed
from vaxseq.training.examples import Examples
from vaxseq.training.pipeline import Pipeline
from vaxseq.training.slice_loader import SliceLoader

_ROLES: tuple[Role, ...] = ("input", "target", "weight")


@dataclass(frozen=True)
class ArrayForm:
    """One array of a batch: ``shape`` is one row's."""

    role: str
    name: str
    dtype: str
    shape: tuple[int, ...]
    features: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class Description(Shown):
    """What a Sequence serves; a table in a terminal and in a notebook.

    Attributes:
        rows: of the frame, before its filter.
        left_out: what leaves rows out -> how many.
        items: rows of an epoch, or windows (``unit``), over all shards; with ``balance`` its draws.
        num_batches, batch_size, last_batch: of this shard; ``last_batch`` is the last one's rows, padding included.
        shard: (index, count).
        arrays: what a batch consists of.
        order: of the items.
        way: how batches in turn are read.
        batch_bytes, epoch_bytes: of the arrays handed out.
        memory_bytes: read ahead or held to serve batches in turn, and rows kept for the next epoch; ``index_bytes`` of
            the row index beside it.
        expected_s: seconds to read an epoch with nothing else to do, from the batches read; None if none were. Of an
            order that memory can't hold, from a few rows read, scattered and gathered: an epoch under way.
        scratch_bytes: of a scattered order, on the disk.
        first_batch_s: seconds until the rows of an order that memory can't hold begin to come; else None.
        device: where fit, evaluate and predict have their batches, put there ahead: as the option says, and as it was
            found once one of them has begun; None: in the host's memory.
        device_bytes: held there beside the batch in use; 0 where that isn't known yet.
    """

    rows: int
    left_out: Mapping[str, int]
    items: int
    unit: str
    num_batches: int
    batch_size: int
    last_batch: int
    shard: tuple[int, int]
    arrays: tuple[ArrayForm, ...]
    order: str
    way: str
    batch_bytes: int
    epoch_bytes: int
    memory_bytes: int
    index_bytes: int
    expected_s: float | None
    scratch_bytes: int = 0
    first_batch_s: float | None = None
    device: str | None = None
    device_bytes: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        plain = asdict(self)
        plain["arrays"] = [{**one, "shape": list(one["shape"])} for one in plain["arrays"]]
        return {**plain, "shard": list(self.shard), "left_out": dict(self.left_out)}

    def _display(self) -> Display:
        rows: list[Row] = [Head("rows"), ("in the frame", f"{self.rows:,}")]
        rows += [(f"left out by {reason}", f"{count:,}") for reason, count in self.left_out.items()]
        index, count = self.shard
        last = f", the last of {self.last_batch:,}" if self.last_batch != self.batch_size else ""
        shard = f", shard {index} of {count}" if count > 1 else ""
        rows += [
            (f"{self.unit} an epoch", f"{self.items:,}"),
            Head("an epoch"),
            ("batches", f"{self.num_batches:,} of {self.batch_size:,}{last}{shard}"),
            ("order", self.order),
            ("way", self.way),
            ("bytes", f"{_size(self.epoch_bytes)}, {_size(self.batch_bytes)} a batch"),
            ("memory", f"{_size(self.memory_bytes)} of batches, {_size(self.index_bytes)} of row index"),
        ]
        if self.device is not None:
            rows.append(("device", self.device + (f", {_size(self.device_bytes)}" if self.device_bytes else "")))
        if self.expected_s is not None:
            rows.append(("time", f"{_duration(self.expected_s)} to read, as measured now"))
        if self.first_batch_s is not None:
            rows.append(("first batch", f"after {_duration(self.first_batch_s)}, as measured now"))
        rows.append(Head("a batch"))
        rows += [
            (f"{one.role} {one.name}", f"{one.dtype} {('batch', *one.shape)}".replace("'", "")) for one in self.arrays
        ]
        return Display("", (Heading("Sequence"), Heading("")), tuple(rows), (), self.to_dict())


def describe(
    served: Query, items: Examples, pipeline: Pipeline, plan: BatchPlan, feed: DeviceFeed, *, seconds: float
) -> Description:
    """See `Sequence.describe`."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds >= 0:
        raise OptionError(f"describe seconds: got {seconds!r}, expected a time of at least 0")
    loader = pipeline.loader(plan, warn=False)
    chosen, cost = pipeline.way(plan), pipeline.expectation(plan) if seconds else None
    expected_s = None if cost is None else InverseOrder(plan).count / cost.rows_s
    if seconds and cost is None:
        expected_s = _expected(loader, plan, seconds)
    arrays = tuple(
        ArrayForm(role, one.name, str(one.dtype), one.shape, tuple(part.name for part in one.parts))
        for role in _ROLES
        for one in items.fields
        if one.role == role
    )
    sizes, _ = plan.sizes(plan.num_batches - 1, 1)
    held = min(plan.num_batches, loader.chunk_batches * (1 + bool(pipeline.read_ahead)))
    batch_bytes = plan.batch_size * loader.row_bytes
    return Description(
        rows=served.source.n_rows,
        left_out=dict(_left_out(served, items)),
        items=plan.n_items,
        unit="draws" if plan.resampling is not None else items.unit,
        num_batches=plan.num_batches,
        batch_size=plan.batch_size,
        last_batch=int(sizes[0]),
        shard=(plan.shard_index, plan.shard_count),
        arrays=arrays,
        order=f"shuffled ({plan.shuffle}), seed {plan.seed}" if plan.shuffle else "the data's",
        way=str(chosen) if chosen.scratch_bytes or chosen.kind == "one by one" else way_of(loader, items, plan),
        batch_bytes=batch_bytes,
        epoch_bytes=((plan.num_batches - 1) * plan.batch_size + int(sizes[0])) * loader.row_bytes,
        memory_bytes=held * plan.batch_size * loader.row_bytes + pipeline.cache_bytes(plan),
        index_bytes=items.nbytes,
        expected_s=expected_s,
        scratch_bytes=chosen.scratch_bytes,
        first_batch_s=None if cost is None else cost.first_batch_s,
        device=feed.said(batch_bytes),
        device_bytes=feed.device_bytes(batch_bytes),
    )


def way_of(loader: Batches[Batch], items: Examples, plan: BatchPlan) -> str:
    """How batches that are asked for in turn are read."""
    where = "the packed store" if isinstance(items.reader, StoreReader) else "the frame"
    if isinstance(loader, SliceLoader):
        return "copied from the packed store"
    if plan.in_order:
        return f"read through from {where}"
    return f"whole buffers from {where}" if plan.shuffle == "block" else f"gathered from {where}"


def _left_out(served: Query, items: Examples) -> dict[str, int]:
    if "index" in vars(served):
        return served.left_out
    lost = served.source.n_rows - items.index.n  # a store knows how many rows it has, not why
    return {"what the store was made of": lost} if lost > 0 and items.unit == "rows" else {}


def _expected(loader: Batches[Batch], plan: BatchPlan, seconds: float) -> float:
    """From batches in turn: the first three make the chunk that the others come out of, so they count as well."""
    start = time.perf_counter()
    done = 0
    while done < plan.num_batches and (done < 1 or time.perf_counter() - start < seconds):
        loader.batch(0, done)
        done += 1
    return (time.perf_counter() - start) * plan.num_batches / done


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} GB"


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
