"""What a way will cost, measured on a few rows before an epoch is begun."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import numpy as np

from vaxseq.loading.scatter.bucket import BucketMemory
from vaxseq.loading.scatter.buckets import Buckets
from vaxseq.loading.scatter.piece_file import PieceFile
from vaxseq.loading.scatter.piece_layout import PLACE_BYTES, PieceLayout
from vaxseq.loading.scatter.piece_memory import PieceMemory
from vaxseq.loading.scatter.source import ItemReader, ItemSource
from vaxseq.loading.scatter.strategy import ReadStrategy
from vaxseq.plan.inverse_order import InverseOrder
from vaxseq.plan.plan import BatchPlan
from vaxseq.plan.rows import RowIndex

_SCATTERED_BYTES, _PIECE_BYTES = 16 << 20, 256 << 10
_GATHERED_ROWS = 256
_LONG_S = 60

_log = logging.getLogger("vaxseq")


@dataclass(frozen=True, slots=True)
class Expectation:
    """Rows a second of an epoch under way, and seconds until the first rows of the first one."""

    rows_s: float
    first_batch_s: float

    def __str__(self) -> str:
        first = f"{self.first_batch_s:,.0f} s" if self.first_batch_s >= 1 else "less than 1 s"
        return f"about {float(f'{self.rows_s:.2g}'):,.0f} rows/s, the first after {first}"


def expect(reader: ItemReader, index: RowIndex, plan: BatchPlan, way: ReadStrategy) -> Expectation | None:
    """What to expect; None where rows come as they are read, or from memory."""
    if way.kind == "one by one":
        return _gathered(reader, index, plan)
    return _scattered(reader, index, plan, way) if way.kind == "scattered" else None


def warn_of_cost(reader: ItemReader, index: RowIndex, plan: BatchPlan, way: ReadStrategy) -> None:
    """Say what rows one by one cost, before an epoch is begun."""
    rows_s = _gathered(reader, index, plan).rows_s
    epoch_s = InverseOrder(plan).count / rows_s
    if epoch_s > _LONG_S:
        spent = f"{epoch_s / 3600:.1f} hours" if epoch_s > 7200 else f"{epoch_s / 60:.0f} minutes"
        _log.warning(
            "these rows don't fit into memory, and there is no scratch to order them (%s): read one by one, %s rows/s "
            'as measured, an epoch takes %s. Give scratch= a folder with room, shuffle="block", or more memory.',
            way.why, f"{rows_s:,.0f}", spent,
        )  # fmt: skip


def _gathered(reader: ItemReader, index: RowIndex, plan: BatchPlan) -> Expectation:
    rows = min(_GATHERED_ROWS, plan.n_items)
    items = np.random.default_rng(0).integers(0, index.n, rows)
    begun = time.perf_counter()
    reader.gather(index.select(items))
    taken = max(time.perf_counter() - begun, 1e-9)
    return Expectation(rows / taken, min(plan.batch_size, plan.n_items) * taken / rows)


def _scattered(reader: ItemReader, index: RowIndex, plan: BatchPlan, way: ReadStrategy) -> Expectation:
    assert way.folder is not None
    places = InverseOrder(plan)
    rows = min(index.n, max(1, _SCATTERED_BYTES // (reader.row_bytes() + PLACE_BYTES)))
    source = ItemSource(reader, index, rows)
    low = (index.n - rows) // 2
    begun = time.perf_counter()
    arrays = source.read(source.items(low, low + rows))
    read_s = time.perf_counter() - begun
    eighth = -(-rows // 8)
    layout = PieceLayout.of([array.nbytes // rows for array in arrays], _PIECE_BYTES, eighth)
    file = PieceFile(way.folder, layout.nbytes, way.scratch_bytes)
    filling = PieceMemory.of(layout, 8, rows, 1)
    buckets = Buckets(file, filling, BucketMemory(layout, eighth), rows, eighth)
    buckets.scatter(arrays, np.random.default_rng(0).permutation(rows))
    file.sync()
    write_s = time.perf_counter() - begun - read_s
    for number in range(buckets.count):
        buckets.load(number)
    load_s = time.perf_counter() - begun - read_s - write_s
    file.close()
    again_s = 0.0 if places.whole and way.parts == 1 else read_s * index.n / max(1, places.count) * way.parts
    share = places.count / index.n / way.parts
    return Expectation(rows / (write_s + load_s + again_s), index.n / rows * (read_s + write_s * share))
