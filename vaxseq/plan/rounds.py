"""The order within a buffer of a block shuffle: rounds that a processor's cache holds, each from all of it."""

from __future__ import annotations

from functools import lru_cache
from math import gcd
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vaxseq.plan.bijection import Bijection, Positions
from vaxseq.plan.keys import derive, hash_ids
from vaxseq.plan.strata import Strata

_PIECES = 32  # of a block; and about so many strata of a buffer, or more, give each round one
_ROUND_ITEMS = 1 << 14  # fewer would be hardly a shuffle where items are large


class Round(NamedTuple):
    """The order items [start, stop) of a buffer, which are these pieces of its blocks, permuted as one.

    All rounds of an epoch share one permutation, each begun at a ``turn`` of its own: which rows meet in a round is
    what dealing decides, so nothing is lost, and an id costs next to nothing.

    Its places are those of its pieces end to end, the shortest piece the last. ``places`` and ``positions`` say of each
    piece what to add to a place for its place in the buffer, and for its position in the data.
    ``capacity``: items of the longest round.
    """

    start: int
    stop: int
    places: Positions
    positions: Positions
    piece_items: int
    capacity: int
    key: int
    turn: int

    def fill(self, out: Positions, start: int, stop: int, moves: Positions) -> None:
        """The places of the order items [start, stop), moved."""
        size, count = self.stop - self.start, stop - start
        table = _inside(size, self.capacity, self.key)
        at, first = 0, (start - self.start + self.turn) % size
        while at < count:
            step = table[first : min(first + count - at, size)]
            place = out[at : at + len(step)]
            np.take(moves, step // np.uint32(self.piece_items), out=place, mode="clip")
            place += step
            at, first = at + len(step), 0


def rounds_of(firsts: Positions, lengths: Positions, block_items: int, key: int, own: int) -> list[Round]:
    """The rounds of a buffer of blocks that begin at these positions: each a piece of every stratum, at random.

    Only one block may be shorter than ``block_items``. ``key`` permutes within the rounds, ``own`` deals the pieces.

    >>> rounds = rounds_of(np.arange(16) * 10_000, np.full(16, 4096), 4096, key=1, own=2)
    >>> [(one.start, one.stop) for one in rounds]
    [(0, 16384), (16384, 32768), (32768, 49152), (49152, 65536)]
    """
    items = block_items // gcd(block_items, _PIECES)
    counts = -(-lengths // items)
    blocks = np.repeat(np.arange(len(lengths)), counts)
    offsets = (np.arange(len(blocks)) - np.repeat(np.cumsum(counts) - counts, counts)) * items
    sizes = np.minimum(items, lengths[blocks] - offsets)
    places, positions = (begins[blocks] + offsets for begins in (np.cumsum(lengths) - lengths, firsts))
    n_rounds = max(1, min((len(blocks) + _PIECES // 2) // _PIECES, int(lengths.sum()) // _ROUND_ITEMS))
    strata = Strata.of(len(blocks), n_rounds)
    within = np.arange(strata.count) * items
    rounds, start = [], 0
    for number, pieces in enumerate(_dealt(strata, own)):
        # in random order, or neighbours in the permutation's order would come from the same strata in all rounds
        pieces = pieces[np.lexsort((hash_ids(pieces, derive(own, number)), -sizes[pieces]))]
        to_places, to_positions = (begins[pieces] - within[: len(pieces)] for begins in (places, positions))
        stop = start + int(sizes[pieces].sum())
        turn = derive(own, number) % (stop - start)
        rounds.append(Round(start, stop, to_places, to_positions, items, strata.count * items, key, turn))
        start = stop
    return rounds


def _dealt(strata: Strata, key: int) -> list[Positions]:
    """The pieces of each round, ascending: one of each stratum; some rounds get none of the short one."""
    firsts, sizes = (np.array([[of(one)] for one in range(strata.count)]) for of in (strata.first, strata.size))
    hashed = hash_ids(np.arange(strata.count * strata.groups), key)
    turns = np.argsort(hashed.reshape(strata.count, strata.groups), axis=1)
    pieces, there = firsts + turns, turns < sizes
    return [pieces[there[:, one], one] for one in range(strata.groups)]


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
