"""The loader of finished batches for a plan: in Keras's form, weighted, augmented, in the backend's arrays."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from vaxseq.dataset.memory_limit import memory_allowed
from vaxseq.errors import OptionError
from vaxseq.loading.loader import Batches, Loaded, Loader
from vaxseq.loading.readers.frame import FrameReader
from vaxseq.loading.row_cache import RowCache
from vaxseq.loading.scatter import BucketReader, ReadStrategy, Sharing, choose
from vaxseq.loading.scatter.expectation import Expectation, expect, warn_of_cost
from vaxseq.loading.scatter.folder import Scratch
from vaxseq.loading.scatter.kept_blocks import KeptBlocks
from vaxseq.plan.plan import BatchPlan
from vaxseq.store import StoreReader
from vaxseq.training.augment import Augmenter
from vaxseq.training.augment_pool import AugmentPool
from vaxseq.training.augmenting import Augment
from vaxseq.training.batches import Batch, BatchMaker
from vaxseq.training.examples import Examples
from vaxseq.training.slice_loader import SliceLoader

_BESIDE_BYTES = 16  # of a row: which it is, and its weight


@dataclass(frozen=True)
class Pipeline:
    """What becomes of rows that are read, on their way to Keras; ``loader`` makes one for any plan over its items."""

    items: Examples
    maker: Callable[[bool], BatchMaker]
    read_ahead: int
    augment: Augment | None
    pool: AugmentPool | None
    scratch: Scratch = "auto"
    executor: Executor | None = None

    def way(self, plan: BatchPlan) -> ReadStrategy:
        """How the plan's rows are brought into their order."""
        return choose(self.items.reader, self.items.index, plan, self.scratch)

    def expectation(self, plan: BatchPlan) -> Expectation | None:
        """What that costs, as measured on a few rows."""
        return expect(self.items.reader, self.items.index, plan, self.way(plan))

    @property
    def has_targets(self) -> bool:
        """Whether batches hold targets."""
        return any(field.role == "target" for field in self.items.fields)

    def maker_for(self, plan: BatchPlan) -> BatchMaker:
        """What makes the plan's batches of arrays."""
        # what is left of an epoch may need weights where the whole doesn't, or the other way round
        return self.maker(plan.padded or replace(plan, start_item=0).padded)

    def loader(self, plan: BatchPlan, sequential: bool = False, *, warn: bool = True) -> Batches[Batch]:
        """What loads the plan's batches, in any order, or only ``sequential`` epochs one by one.

        Raises:
            OptionError: a batch takes more memory than is allowed.
        """
        self._check_room(plan)
        maker = self.maker_for(plan)
        augmenter = None
        if self.augment is not None:
            augmenter = Augmenter(self.augment, plan, partial(rows_of, self.items, plan), self.pool)
        finish = _Finish(maker, augmenter)
        reader = self.items.reader
        if isinstance(reader, StoreReader) and reader.random_access:
            if plan.in_order and augmenter is None and not plan.padded:
                return SliceLoader(reader, plan, finish, plain=maker.plain)
        index, way = self.items.index, self.way(plan)
        ordered = None
        if way.kind == "scattered":
            sharing = None if self.executor is None else Sharing(self.executor, self.items.spec)
            ordered = BucketReader(reader, index, plan, way, repeats=sequential, sharing=sharing)
        if way.kind == "one by one" and warn and not sequential:
            warn_of_cost(reader, index, plan, way)
        kept = None
        if way.kind == "in blocks" and way.folder is not None:
            together = reader.rows_together // plan.block_items if isinstance(reader, FrameReader) else 1
            size = plan.n_items, plan.block_items, reader.row_bytes()
            kept = KeptBlocks(way.folder, *size, together=together)
        loader = partial(Loader, reader, index, plan, self.read_ahead, finish)
        make = partial(loader, cache=self._cache(plan, way), sequential=sequential, ordered=ordered, kept=kept)
        if self.pool is not None:
            return make(finish_all=finish.all, threads=self.pool.tasks)
        return make(cut=maker.cut if augmenter is None and maker.cuts else None)

    def cache_bytes(self, plan: BatchPlan) -> int:
        """Of the rows that are kept in memory for the next epoch."""
        return self.items.index.n * self.items.reader.row_bytes() if self._cache(plan, self.way(plan)) else 0

    def _check_room(self, plan: BatchPlan) -> None:
        """Before a batch is made: NumPy would only name a shape."""
        rows, allowed = plan.rows(0, 1) if plan.num_batches else 0, memory_allowed()
        needed = rows * (self.items.reader.row_bytes() + _BESIDE_BYTES)
        if allowed is not None and needed > allowed:
            raise OptionError(
                f"batch_size: a batch of {rows:,} rows takes {needed / 1e9:,.1f} GB, and memory allows "
                f"{allowed / 1e9:,.1f} GB. Give a smaller one."
            )

    def _cache(self, plan: BatchPlan, way: ReadStrategy) -> RowCache | None:
        return self.items.cache if plan.shuffle is not False and way.kind == "memory" else None

    def blank(self, plan: BatchPlan) -> Batch:
        """A batch of the plan's shapes and types, of zeros: nothing is read. What ``augment`` changes isn't known."""
        rows = plan.rows(0, 1)
        arrays = [np.zeros((rows, *field.shape), field.dtype) for field in self.items.fields]
        maker = self.maker_for(plan)
        return maker.tensors(maker.arrays(Loaded(arrays, rows, 0, 0)))


def rows_of(items: Examples, plan: BatchPlan, epoch: int, index: int) -> npt.NDArray[np.int64]:
    """The row ids of a batch, without the padding."""
    batches = plan.positions(epoch, index)
    return items.row_ids(batches.positions[: int(batches.counts[0])])


class _Finish:
    def __init__(self, maker: BatchMaker, augmenter: Augmenter | None) -> None:
        self._maker, self._augmenter = maker, augmenter

    def __call__(self, loaded: Loaded) -> Batch:
        return self.all([loaded])[0]

    def all(self, loaded: list[Loaded]) -> list[Batch]:
        """Batches of one epoch."""
        batches = [self._maker.arrays(one) for one in loaded]
        if self._augmenter is not None:
            batches = self._augmenter(batches, loaded[0].epoch, [one.number for one in loaded])
        return [self._maker.tensors(batch) for batch in batches]
