"""Orders of an epoch as pure functions of (n, seed, epoch): no permutation array is held, so n can be 10^11.

*global*: a keyed bijection of [0, n). *block*: blocks of neighbouring items, dealt to buffers at random
but evenly over the data, then the items of a buffer by rounds (rounds.py), so reading stays nearly sequential.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vaxseq.plan.bijection import Bijection, Positions
from vaxseq.plan.keys import derive
from vaxseq.plan.rounds import Round, rounds_of
from vaxseq.plan.strata import Strata

BUFFER_BLOCKS = 16
BLOCK_ITEMS = 32_768  # of rows of 84 bytes, say

_BUFFER_BYTES = 48 << 20

_GLOBAL, _BLOCKS, _INSIDE = 1, 2, 3


def order(n: int, seed: int, epoch: int, start: int, stop: int) -> Positions:
    """Items start, ..., stop - 1 of the global order of an epoch, shape (stop - start,), int64.

    A pure function: an item of the order never depends on how, where or when it is asked for.

    >>> order(10**11, seed=0, epoch=3, start=5, stop=7).tolist() == order(10**11, 0, 3, 0, 10)[5:7].tolist()
    True
    """
    return Bijection(n, derive(_GLOBAL, seed, epoch))(start, stop)


def order_at(n: int, seed: int, epoch: int, items: npt.NDArray[Any]) -> Positions:
    """The same for any items of the order, shape (n_items,)."""
    return Bijection(n, derive(_GLOBAL, seed, epoch)).of(items)


def order_of(n: int, seed: int, epoch: int, positions: npt.NDArray[Any]) -> Positions:
    """The other way round: which items of the order stand for these positions, shape (n_positions,).

    >>> order_of(10**11, 0, 3, order(10**11, 0, 3, 5, 7)).tolist()
    [5, 6]
    """
    return Bijection(n, derive(_GLOBAL, seed, epoch)).inverse_of(positions)


def block_items(item_bytes: int) -> int:
    """How many neighbours stay together: as many as a buffer allows, so that storage reads long pieces of a column.

    A power of two, so that a feature more or less seldom makes another order.

    >>> block_items(84), block_items(4000), block_items(10**9)
    (32768, 512, 1)
    """
    most = _BUFFER_BYTES // (BUFFER_BLOCKS * max(1, item_bytes))
    return 1 << max(0, most.bit_length() - 1)


class Block(NamedTuple):
    """The positions [start, stop), which stay together in every epoch."""

    number: int
    start: int
    stop: int


@dataclass(frozen=True)
class Buffer:
    """What a block shuffle reads at once: order items [start, stop) are these blocks, in random order by rounds.

    ``blocks`` are ascending block numbers, each ``block_items`` positions but for the ``short`` one, which lacks some;
    their positions laid end to end are the buffer's places 0, ..., stop - start - 1.
    """

    number: int
    start: int
    stop: int
    blocks: Positions
    block_items: int
    short: int
    lacking: int
    key: int
    own: int

    @cached_property
    def rounds(self) -> list[Round]:
        """In which its items are served; ``key`` is the epoch's, ``own`` the buffer's."""
        firsts, ends = self._begin(self.blocks), self._begin(self.blocks + 1)
        return rounds_of(firsts, ends - firsts, self.block_items, self.key, self.own)

    def ranges(self) -> list[tuple[int, int]]:
        """The (start, stop) positions to read, ascending, neighbours joined."""
        breaks = np.flatnonzero(np.diff(self.blocks) != 1) + 1
        firsts = self._begin(self.blocks[np.r_[0, breaks]])
        lasts = self._begin(self.blocks[np.r_[breaks - 1, len(self.blocks) - 1]] + 1)
        return list(zip(firsts.tolist(), lasts.tolist(), strict=True))

    def parts(self) -> list[Block]:
        """Its blocks, ascending, as positions to read."""
        return self.numbered(self.blocks)

    def numbered(self, numbers: Positions) -> list[Block]:
        """Any blocks of the data, by their numbers."""
        starts, stops = self._begin(numbers), self._begin(numbers + 1)
        return [Block(*one) for one in zip(numbers.tolist(), starts.tolist(), stops.tolist(), strict=True)]

    def _begin(self, blocks: Positions) -> Positions:
        """The first position of these blocks."""
        return np.asarray(blocks * self.block_items - self.lacking * (blocks > self.short), np.int64)

    def places(self, start: int, stop: int) -> Positions:
        """Where in the ranges laid end to end the order items [start, stop) are, int64; within this buffer."""
        return self._by_rounds(start, stop, lambda one: one.places)

    def positions(self, start: int, stop: int) -> Positions:
        """The positions of order items [start, stop), int64; within this buffer."""
        return self._by_rounds(start, stop, lambda one: one.positions)

    def _by_rounds(self, start: int, stop: int, moves: Callable[[Round], Positions]) -> Positions:
        out = np.empty(stop - start, np.int64)
        low, high = start - self.start, stop - self.start
        for one in self.rounds[bisect_right(self.rounds, low, key=lambda one: one.stop) :]:
            if one.start >= high:
                break
            first, last = max(low, one.start), min(high, one.stop)
            one.fill(out[first - low : last - low], first, last, moves(one))
        return out


@dataclass(frozen=True, slots=True)
class BlockOrder:
    """The block order of n items: a buffer takes a random block of each stratum of the data, its items in random order.

    Strata are equal stretches of the data, as many as a buffer has blocks, so what a buffer holds is spread over the
    data evenly: batches of sorted data differ hardly more than those of a uniform shuffle (strata.py).

    Buffers are cut evenly, so no short last buffer is left that would hardly be shuffled.
    """

    n: int
    seed: int
    epoch: int
    block_items: int = BLOCK_ITEMS
    buffer_blocks: int = BUFFER_BLOCKS

    @property
    def n_blocks(self) -> int:
        return -(-self.n // self.block_items)

    @property
    def n_buffers(self) -> int:
        return max(min(1, self.n_blocks), self.n_blocks // self.buffer_blocks)

    @property
    def buffer_items(self) -> int:
        """Items of the largest buffer."""
        return -(-self.n_blocks // max(1, self.n_buffers)) * self.block_items

    @property
    def _strata(self) -> Strata:
        return Strata.of(self.n_blocks, self.n_buffers)

    def _stratum(self, number: int) -> tuple[int, Bijection]:
        """The first block of a stratum, and which of its blocks goes to which of the buffers that get one."""
        strata = self._strata
        key = derive(_BLOCKS, self.seed, self.epoch, number)
        return strata.first(number), Bijection(strata.size(number), key)

    def _dealt(self, number: int) -> Positions:
        """The blocks of a buffer, ascending: one of each stratum; some buffers get none of the short one."""
        strata = self._strata
        first, last = self._cut(number), self._cut(number + 1)
        blocks = []
        for stratum in range(strata.count):
            turn = number
            if stratum == strata.short:
                if last - first < strata.count:
                    continue
                turn = first - number * (strata.count - 1)  # so many buffers before this one got one
            begin, order = self._stratum(stratum)
            blocks.append(begin + int(order(turn, turn + 1)[0]))
        return np.array(blocks, np.int64)

    def _cut(self, number: int) -> int:
        """Blocks of all buffers before this one."""
        return self.n_blocks * number // self.n_buffers

    @property
    def _short_block(self) -> tuple[int, int]:
        """Which block is shorter, and how many items it lacks: in the middle as well."""
        return self.n_blocks // 2, self.n_blocks * self.block_items - self.n

    def _short(self) -> tuple[int, int]:
        return _short_place(self)

    def buffer_of(self, item: int) -> int:
        """The number of the buffer that holds order item ``item``."""
        short, lacking = self._short()
        after_short = item >= (short + 1) * self.block_items - lacking
        block = (item + lacking * after_short) // self.block_items
        return ((block + 1) * self.n_buffers - 1) // self.n_blocks

    def buffer(self, number: int) -> Buffer:
        """One buffer by its number, in the order of the epoch."""
        return _buffer(self, number)

    def _make(self, number: int) -> Buffer:
        first, last = self._cut(number), self._cut(number + 1)
        short, lacking = self._short()
        start, stop = (block * self.block_items - (lacking if block > short else 0) for block in (first, last))
        keys = derive(_INSIDE, self.seed, self.epoch), derive(_INSIDE, self.seed, self.epoch, number)
        return Buffer(number, start, stop, self._dealt(number), self.block_items, *self._short_block, *keys)

    def buffers(self, start: int, stop: int) -> list[Buffer]:
        """The buffers that order items [start, stop) touch."""
        if start >= stop:
            return []
        return [self.buffer(number) for number in range(self.buffer_of(start), self.buffer_of(stop - 1) + 1)]

    def __call__(self, start: int, stop: int) -> Positions:
        """Positions of order items start, ..., stop - 1, shape (stop - start,), int64."""
        pieces = [one.positions(max(start, one.start), min(stop, one.stop)) for one in self.buffers(start, stop)]
        return np.concatenate(pieces) if pieces else np.empty(0, np.int64)


@lru_cache(maxsize=16)
def _short_place(blocks: BlockOrder) -> tuple[int, int]:
    """The last place in the order of blocks of the buffer that has the shorter block, and how many items that lacks."""
    block, lacking = blocks._short_block
    if not lacking:
        return blocks.n_blocks, 0
    strata = blocks._strata
    begins = [strata.first(number) for number in range(strata.count)]
    stratum = max(number for number, begin in enumerate(begins) if begin <= block)
    turn = blocks._stratum(stratum)[1].inverse(block - begins[stratum])
    size = strata.size(stratum)
    buffer = -(-(turn + 1) * blocks.n_buffers // size) - 1 if stratum == strata.short else turn
    return blocks._cut(buffer + 1) - 1, lacking


@lru_cache(maxsize=16)  # batches of one buffer ask for it again and again
def _buffer(blocks: BlockOrder, number: int) -> Buffer:
    return blocks._make(number)
