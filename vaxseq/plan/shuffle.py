"""Orders of an epoch as pure functions of (n, seed, epoch): no permutation array is held, so n can be 10^11.

*global*: a keyed bijection of [0, n). *block*: blocks of neighbouring items in the order of a bijection, then every
item of a buffer of several blocks by another one, so reading stays nearly sequential.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.plan.keys import derive, hash_ids, stream

Positions = npt.NDArray[np.int64]

BLOCK_ITEMS = 8192
BUFFER_BLOCKS = 32

_ROUNDS = 4  # the least that makes a pseudorandom permutation of good round functions; the statistics are tested
_TABLE_LIMIT = 1 << 16  # up to here a sorted table is quicker than the network, and an even better shuffle
_CHUNK = 1 << 13  # ids worked on at once: all temporaries stay in the second-level cache
_GLOBAL, _BLOCKS, _INSIDE = 1, 2, 3


@lru_cache(maxsize=8)
def _table(n: int, key: int) -> npt.NDArray[np.uint32]:
    table = np.argsort(hash_ids(np.arange(n), key)).astype(np.uint32)
    table.flags.writeable = False
    return table


@dataclass(frozen=True, slots=True)
class Bijection:
    """A permutation of [0, n) that is computed, not stored; equal (n, key) give equal permutations everywhere.

    Up to 65,536 items: the sorting permutation of hashed ids. Beyond: an alternating generalised Feistel network on
    Z_a x Z_b with a*b >= n, walking the few ids that fall outside [0, n) until they come back in.

    Source: Black, Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002 (methods 2 and 3); four rounds after
    Luby, Rackoff, "How to construct pseudorandom permutations from pseudorandom functions", SIAM J. Comput. 1988.

    >>> sorted(Bijection(5, key=7)(0, 5).tolist())
    [0, 1, 2, 3, 4]
    """

    n: int
    key: int

    def __call__(self, start: int, stop: int) -> Positions:
        """The images of start, ..., stop - 1, shape (stop - start,), int64."""
        if self.n <= _TABLE_LIMIT:
            return np.asarray(_table(self.n, self.key)[start:stop], np.int64)
        out = np.empty(stop - start, np.int64)
        network = _network(self.n, self.key)
        for at in range(start, stop, _CHUNK):
            end = min(at + _CHUNK, stop)
            out[at - start : end - start] = network.forward(np.arange(at, end))
        return out

    def of(self, ids: npt.NDArray[Any]) -> Positions:
        """The images of any ids, shape (n_ids,), int64."""
        if self.n <= _TABLE_LIMIT:
            return np.asarray(_table(self.n, self.key)[ids], np.int64)
        network = _network(self.n, self.key)
        out = np.empty(len(ids), np.int64)
        for at in range(0, len(ids), _CHUNK):
            out[at : at + _CHUNK] = network.forward(ids[at : at + _CHUNK])
        return out

    def inverse(self, image: int) -> int:
        """The id whose image is ``image``."""
        if self.n <= _TABLE_LIMIT:
            return int(np.flatnonzero(_table(self.n, self.key) == image)[0])
        return _network(self.n, self.key).backward(image)


@lru_cache(maxsize=64)
def _network(n: int, key: int) -> _Network:
    return _Network(n, key)


class _Network:
    """Four rounds: left += hash(right) mod a, right += hash(left) mod b, in turn."""

    def __init__(self, n: int, key: int) -> None:
        self.n = n
        self.a = isqrt(n - 1) + 1
        self.b = -(-n // self.a)
        # Half words let uint32 arithmetic do for n up to 2^32 (4x quicker), uint64 for the rest.
        self.half = 16 if self.a <= 1 << 16 else 32
        self.word: type[np.unsignedinteger[Any]] = np.uint32 if self.half == 16 else np.uint64
        keep = (1 << (2 * self.half)) - 1
        words = stream(key, 3 * _ROUNDS)
        triples = zip(words[0::3], words[1::3], words[2::3], strict=True)
        self.rounds = [(first & keep | 1, add & keep, second & keep | 1) for first, add, second in triples]

    def forward(self, ids: npt.NDArray[Any]) -> npt.NDArray[Any]:
        out = self._pass(ids)
        outside = np.flatnonzero(out >= self.n)
        while outside.size:
            walked = self._pass(out[outside])
            out[outside] = walked
            outside = outside[walked >= self.n]
        return out

    def _pass(self, ids: npt.NDArray[Any]) -> npt.NDArray[Any]:
        word, half = self.word, self.word(self.half)
        rows = ids // self.b
        left, right = rows.astype(word), (ids - rows * self.b).astype(word)
        hashed, spare = np.empty_like(left), np.empty_like(left)
        for number, (first, add, second) in enumerate(self.rounds):
            target, source, size = (left, right, self.a) if number % 2 == 0 else (right, left, self.b)
            np.multiply(source, word(first), out=hashed)
            hashed += word(add)
            np.right_shift(hashed, half, out=spare)
            hashed ^= spare
            hashed *= word(second)
            hashed >>= half
            hashed *= word(size)
            hashed >>= half  # (upper half word * size) >> half: a number below size
            target += hashed
            np.subtract(target, word(size), out=spare)
            np.minimum(target, spare, out=target)  # an unsigned difference below zero wraps to a huge one
        out: npt.NDArray[Any] = left.astype(np.int64) * self.b + right.astype(np.int64)
        return out

    def backward(self, image: int) -> int:
        while True:
            image = self._back(image)
            if image < self.n:
                return image

    def _back(self, image: int) -> int:
        keep = (1 << (2 * self.half)) - 1
        sides = list(divmod(image, self.b))
        for number in reversed(range(_ROUNDS)):
            first, add, second = self.rounds[number]
            side, size = (0, self.a) if number % 2 == 0 else (1, self.b)
            hashed = (sides[1 - side] * first + add) & keep
            hashed = ((hashed ^ (hashed >> self.half)) * second) & keep
            sides[side] = (sides[side] - (((hashed >> self.half) * size) >> self.half)) % size
        return sides[0] * self.b + sides[1]


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


@dataclass(frozen=True, slots=True)
class Buffer:
    """What a block shuffle reads at once: order items [start, stop) are these blocks, permuted as one.

    All buffers of an epoch share one permutation, each begun at a place of its own: which rows meet in a buffer is
    what the order of blocks decides, so nothing is lost, and an id costs next to nothing.

    ``blocks`` are ascending block numbers, shape (n_blocks,), each ``block_items`` positions but for the last block
    of all; their positions laid end to end are the buffer's places 0, ..., stop - start - 1.
    """

    number: int
    start: int
    stop: int
    blocks: Positions
    block_items: int
    n: int
    capacity: int
    key: int
    turn: int

    def ranges(self) -> list[tuple[int, int]]:
        """The (start, stop) positions to read, ascending, neighbours joined."""
        breaks = np.flatnonzero(np.diff(self.blocks) != 1) + 1
        firsts = self.blocks[np.r_[0, breaks]] * self.block_items
        lasts = (self.blocks[np.r_[breaks - 1, len(self.blocks) - 1]] + 1) * self.block_items
        return [(int(first), min(int(last), self.n)) for first, last in zip(firsts, lasts, strict=True)]

    def places(self, start: int, stop: int) -> Positions:
        """Where in the ranges laid end to end the order items [start, stop) are, int64; within this buffer."""
        size = self.stop - self.start
        table = _inside(size, self.capacity, self.key)
        first = (start - self.start + self.turn) % size
        count = stop - start
        if first + count <= size:
            return np.asarray(table[first : first + count], np.int64)
        return np.concatenate([table[first:], table[: first + count - size]]).astype(np.int64)

    def positions(self, start: int, stop: int) -> Positions:
        """The positions of order items [start, stop), int64; within this buffer."""
        block, within = np.divmod(self.places(start, stop), self.block_items)
        return np.asarray(self.blocks[block] * self.block_items + within, np.int64)


@lru_cache(maxsize=8)
def _inside(size: int, capacity: int, key: int) -> npt.NDArray[np.uint32]:
    """The permutation of ``size`` places: that of ``capacity`` places without the ones beyond."""
    if size < capacity:
        full = _inside(capacity, capacity, key)
        table = full[full < size]
    else:
        table = Bijection(capacity, key)(0, capacity).astype(np.uint32)
    table.flags.writeable = False
    return table


@dataclass(frozen=True, slots=True)
class BlockOrder:
    """The block order of n items: blocks in random order, all items of a buffer of blocks in random order.

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
        return -(-self.n_blocks // self.buffer_blocks)

    def _blocks(self) -> Bijection:
        return Bijection(self.n_blocks, derive(_BLOCKS, self.seed, self.epoch))

    def _short(self) -> tuple[int, int]:
        return _short_block(self)

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
        first, last = (self.n_blocks * (number + side) // self.n_buffers for side in (0, 1))
        short, lacking = self._short()
        start, stop = (block * self.block_items - (lacking if block > short else 0) for block in (first, last))
        blocks = np.sort(self._blocks()(first, last))
        capacity = -(-self.n_blocks // self.n_buffers) * self.block_items
        key = derive(_INSIDE, self.seed, self.epoch)
        turn = derive(_INSIDE, self.seed, self.epoch, number) % (stop - start)
        return Buffer(number, start, stop, blocks, self.block_items, self.n, capacity, key, turn)

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
def _short_block(blocks: BlockOrder) -> tuple[int, int]:
    """Where in the order of blocks the last, shorter block stands, and how many items it lacks."""
    lacking = blocks.n_blocks * blocks.block_items - blocks.n
    return (blocks._blocks().inverse(blocks.n_blocks - 1), lacking) if lacking else (blocks.n_blocks, 0)


@lru_cache(maxsize=16)  # batches of one buffer ask for it again and again
def _buffer(blocks: BlockOrder, number: int) -> Buffer:
    return blocks._make(number)
