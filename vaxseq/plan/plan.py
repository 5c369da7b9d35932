"""Which items are in which batch: a pure function of (epoch, batch), for one rank of any number."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from vaxseq.errors import OptionError
from vaxseq.plan.bijection import Positions
from vaxseq.plan.shuffle import BLOCK_ITEMS, BUFFER_BLOCKS, BlockOrder, order, order_at

Shuffle = Literal[False, "global", "block"]


class Resampling(Protocol):
    """Draws an epoch of ``n`` from other items, some several times: balance, weighted sampling."""

    @property
    def n(self) -> int:
        """Draws in an epoch."""

    @property
    def fingerprint(self) -> str:
        """Changes when the draws do."""

    def items(self, epoch: int, draws: npt.NDArray[np.int64]) -> Positions:
        """Item positions of these draws, shape (n_draws,), int64; pure."""


class Batches(NamedTuple):
    """Consecutive batches end to end.

    ``positions``: item positions, shape (sum of sizes,), int64. ``sizes``: rows of each batch, shape (n_batches,).
    ``counts``: how many of them are real; the rest, at a batch's end, are repeats to be given weight 0.
    """

    positions: Positions
    sizes: Positions
    counts: Positions


@dataclass(frozen=True)
class BatchPlan:
    """The batches of every epoch over ``n_items`` items, as one rank sees them.

    The order of an epoch depends on (n_items, shuffle, seed, epoch) alone. Global step s covers its items
    [start_item + s*B*n, start_item + (s+1)*B*n) for batch size B and n shards; rank r takes the r-th B of them. All
    ranks have equally many batches: a rank for which nothing is left at the end gets a batch of weight 0.

    Args:
        n_items: items (rows or windows) of an epoch; with ``resampling`` the draws of an epoch.
        batch_size: items of a batch, of this rank.
        shuffle: False, "global" or "block".
        seed: of the order, 0 or more.
        shard_index: this rank.
        shard_count: how many ranks there are.
        drop_remainder: leave out the last items that don't fill a batch on every rank.
        pad: fill the last batch with repeats of weight 0, so that all batches are of one size.
        start_item: where in the order of the epoch to begin; > 0 to resume.
        block_items: neighbours that stay together in a block shuffle.
        buffer_blocks: blocks that are shuffled together.
        resampling: which item each draw of the order stands for.

    Raises:
        OptionError: a value that can't be, with the value.

    >>> plan = BatchPlan(10, 4, shuffle="global")
    >>> plan.num_batches, plan.positions(epoch=0, first_batch=2).counts.tolist()
    (3, [2])
    """

    n_items: int
    batch_size: int
    shuffle: Shuffle = False
    seed: int = 0
    shard_index: int = 0
    shard_count: int = 1
    drop_remainder: bool = False
    pad: bool = False
    start_item: int = 0
    block_items: int = BLOCK_ITEMS
    buffer_blocks: int = BUFFER_BLOCKS
    resampling: Resampling | None = None

    def __post_init__(self) -> None:
        for name, least in (("n_items", 0), ("batch_size", 1), ("seed", 0), ("shard_index", 0), ("shard_count", 1),
                            ("start_item", 0), ("block_items", 1), ("buffer_blocks", 1)):  # fmt: skip
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise OptionError(f"{name}: got {value!r}, expected a whole number of at least {least}")
            object.__setattr__(self, name, int(value))
        if self.shuffle is not False and self.shuffle not in ("global", "block"):
            raise OptionError(f"shuffle: got {self.shuffle!r}, expected False, 'global' or 'block'")
        if self.shard_index >= self.shard_count:
            raise OptionError(f"shard: got index {self.shard_index} of {self.shard_count}, expected an index from 0")
        if self.start_item > self.n_items:
            raise OptionError(f"start_item: got {self.start_item:,}, expected at most {self.n_items:,} items")
        if self.resampling is not None and self.resampling.n != self.n_items:
            raise OptionError(f"n_items: got {self.n_items:,}, expected the {self.resampling.n:,} draws of resampling")

    @property
    def step_items(self) -> int:
        """Items that all ranks together consume in a step."""
        return self.batch_size * self.shard_count

    @cached_property
    def num_batches(self) -> int:
        """Batches of an epoch from ``start_item`` on, the same on every rank."""
        remaining = self.n_items - self.start_item
        return remaining // self.step_items if self.drop_remainder else -(-remaining // self.step_items)

    @property
    def padded(self) -> bool:
        """Whether some batch of some rank holds rows of weight 0: then every batch of every rank needs weights."""
        over = (self.n_items - self.start_item) % self.step_items
        return not self.drop_remainder and over > 0 and (self.pad or over <= self.step_items - self.batch_size)

    def consumed(self, batches: int) -> int:
        """Where in the order of the epoch all ranks together are after ``batches`` steps of this plan."""
        return min(self.n_items, self.start_item + batches * self.step_items)

    def bounds(self, batch: int) -> tuple[int, int]:
        """Batch ``batch`` is the items [start, stop) of the order of its epoch; empty if all its rows have weight 0."""
        if not 0 <= batch < self.num_batches:
            raise OptionError(f"batch: got {batch}, expected 0 to {self.num_batches - 1}")
        start = self.start_item + batch * self.step_items + self.shard_index * self.batch_size
        return min(start, self.n_items), min(start + self.batch_size, self.n_items)

    def stretches(self, first_batch: int, count: int) -> list[tuple[int, int]]:
        """The items of consecutive batches as the [start, stop) of the order of an epoch that they are, ascending."""
        bounds = [self.bounds(batch) for batch in range(first_batch, first_batch + count)]
        return [(bounds[0][0], bounds[-1][1])] if bounds and self.shard_count == 1 else bounds

    def positions(self, epoch: int, first_batch: int, count: int = 1) -> Batches:
        """Batches first_batch, ..., first_batch + count - 1 of an epoch."""
        bounds = [self.bounds(batch) for batch in range(first_batch, first_batch + count)]
        sizes, counts = self.sizes(first_batch, count)
        if self.shard_count == 1:  # neighbours in the order
            real = self.ordered(epoch, bounds[0][0], bounds[-1][1]) if bounds else np.empty(0, np.int64)
        else:
            real = self._scattered(epoch, bounds)
        lacking = int((sizes - counts).sum())
        if lacking:  # only the last batch can lack rows
            filler = real[-1:] if counts[-1] else self.ordered(epoch, self.n_items - 1, self.n_items)
            real = np.concatenate([real, np.repeat(filler, lacking)])
        return Batches(real, sizes, counts)

    def sizes(self, first_batch: int, count: int = 1) -> tuple[Positions, Positions]:
        """(sizes, counts) of consecutive batches, as in ``Batches``; the same in every epoch."""
        if first_batch + count < self.num_batches:  # only the last batch of an epoch can be of another size
            full = np.full(count, self.batch_size, np.int64)
            return full, full
        bounds = [self.bounds(batch) for batch in range(first_batch, first_batch + count)]
        counts = np.array([stop - start for start, stop in bounds], np.int64)
        return np.where((counts == 0) | self.pad, self.batch_size, counts), counts

    def rows(self, first_batch: int, count: int) -> int:
        """Rows of consecutive batches, padding included."""
        if first_batch + count < self.num_batches:
            return count * self.batch_size
        return int(self.sizes(first_batch, count)[0].sum())

    def all_real(self, first_batch: int, count: int) -> bool:
        """Whether no row of these batches is padding."""
        if first_batch + count < self.num_batches:
            return True
        sizes, counts = self.sizes(first_batch, count)
        return bool((sizes == counts).all())

    def ordered(self, epoch: int, start: int, stop: int) -> Positions:
        """Item positions of the items [start, stop) of the order of an epoch, shape (stop - start,), int64."""
        draws = self._draws(epoch, start, stop)
        return draws if self.resampling is None else self.resampling.items(epoch, draws)

    def ordered_at(self, epoch: int, items: Positions) -> Positions:
        """The same for any items of the order; not for a block shuffle."""
        draws = order_at(self.n_items, self.seed, epoch, items) if self.shuffle == "global" else items
        return draws if self.resampling is None else self.resampling.items(epoch, draws)

    def _scattered(self, epoch: int, bounds: list[tuple[int, int]]) -> Positions:
        """Item positions of several stretches of the order, end to end."""
        if self.shuffle == "global":  # one call for all: a call costs as much as a few thousand items
            return self.ordered_at(epoch, np.concatenate([np.empty(0, np.int64), *(np.arange(*one) for one in bounds)]))
        draws = np.concatenate([np.empty(0, np.int64), *(self._draws(epoch, *one) for one in bounds)])
        return draws if self.resampling is None else self.resampling.items(epoch, draws)

    def _draws(self, epoch: int, start: int, stop: int) -> Positions:
        if self.shuffle == "global":
            return order(self.n_items, self.seed, epoch, start, stop)
        if self.shuffle == "block":
            return self.blocks(epoch)(start, stop)
        return np.arange(start, stop)

    def blocks(self, epoch: int) -> BlockOrder:
        """The block order of an epoch; its buffers tell which ranges of positions to read at once.

        With resampling these are ranges of draws, not of items.
        """
        return BlockOrder(self.n_items, self.seed, epoch, self.block_items, self.buffer_blocks)

    @property
    def in_order(self) -> bool:
        """Whether positions ascend without a gap within a batch: no shuffle and no resampling."""
        return self.shuffle is False and self.resampling is None

    @property
    def fingerprint(self) -> str:
        """Of what decides an epoch's order; batch size and shards don't, so a position moves between them."""
        drawn = None if self.resampling is None else self.resampling.fingerprint
        shape = (self.block_items, self.buffer_blocks, "rounds") if self.shuffle == "block" else ()
        text = repr((1, self.n_items, self.shuffle, self.seed, shape, drawn))
        return blake2b(text.encode(), digest_size=16).hexdigest()
