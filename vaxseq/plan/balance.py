"""Epochs of draws instead of rows: classes in given shares, or rows by weight. Exact, and pure in (seed, epoch)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from vaxseq.errors import OptionError, SelectionError
from vaxseq.plan.bijection import Bijection, Positions
from vaxseq.plan.keys import derive
from vaxseq.plan.rows import Indices, RowIndex, RowIndexBuilder

_EXTRA, _OFFSET = 11, 12
_PERIOD_DRAWS = 8192  # draws in which all classes come in their shares
_MAX_INDEXED_CLASSES = 64  # classes that are held as bits or runs
_SUM_ITEMS = 256  # weights that share one running total


def apportion(total: int, shares: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """``total`` in whole numbers in proportion to ``shares``, by largest remainder; ties go to the first.

    >>> apportion(10, [1, 1, 1]).tolist()
    [4, 3, 3]
    """
    parts = np.asarray(shares, np.float64)
    exact = parts / parts.sum() * total
    counts: npt.NDArray[np.int64] = np.floor(exact).astype(np.int64)
    left = total - int(counts.sum())
    np.add.at(counts, np.argsort(-(exact - counts), kind="stable")[:left], 1)
    return counts


@dataclass(frozen=True)
class Balanced:
    """Draws with an exact count for each class.

    A class of m items that is to have c = q*m + r draws gives each of its items q times, and r of them, chosen anew
    each epoch, once more. Draw numbers run through all classes in their shares side by side, near their place in the
    data, so that an unshuffled or block-shuffled epoch is balanced throughout as well.

    Attributes:
        members: the item positions of each class.
        counts: draws of each class.
        seed: of the choice of extra draws.
    """

    members: tuple[RowIndex, ...]
    counts: tuple[int, ...]
    seed: int = 0

    @property
    def n(self) -> int:
        """Draws of an epoch."""
        return sum(self.counts)

    @property
    def _slots(self) -> int:
        return max(1, self.n // _PERIOD_DRAWS)

    @cached_property
    def _offsets(self) -> Positions:
        """The first draw of each slot, shape (slots + 1,)."""
        slots = np.arange(self._slots + 1)
        firsts: Positions = np.zeros(len(slots), np.int64)
        for count in self.counts:
            firsts += slots * count // self._slots
        return firsts

    @cached_property
    def fingerprint(self) -> str:
        """Of the members, their counts and the seed."""
        digest = blake2b(repr((self.counts, self.seed)).encode(), digest_size=16)
        for index in self.members:
            for name, array in index.to_arrays().items():
                digest.update(f"{name} {array.dtype} {array.size};".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def items(self, epoch: int, draws: Positions) -> Positions:
        """Item positions of these draws, shape (n_draws,), int64."""
        slot = np.searchsorted(self._offsets, draws, side="right") - 1
        left = draws - self._offsets[slot]
        out = np.empty(len(draws), np.int64)
        open_ = np.arange(len(draws))
        for number, (index, count) in enumerate(zip(self.members, self.counts, strict=True)):
            if not open_.size:
                break
            first = slot * count // self._slots
            size = (slot + 1) * count // self._slots - first
            here = left < size
            if here.any():
                out[open_[here]] = index.select(self._member(epoch, number, (first + left)[here]))
            rest = ~here
            open_, slot, left = open_[rest], slot[rest], (left - size)[rest]
        return out

    def _member(self, epoch: int, number: int, turn: Positions) -> Positions:
        """Which member of a class its ``turn``-th draw is."""
        size = self.members[number].n
        whole = self.counts[number] // size * size
        member = turn % size
        extra = turn >= whole
        if extra.any():
            member[extra] = Bijection(size, derive(_EXTRA, self.seed, epoch, number)).of(turn[extra] - whole)
        return member


def class_members(codes: Iterable[npt.NDArray[np.integer]], n_classes: int) -> tuple[RowIndex, ...]:
    """The item positions of each class 0, ..., n_classes - 1, from chunks of codes in item order."""
    if n_classes <= _MAX_INDEXED_CLASSES:
        builders = [RowIndexBuilder() for _ in range(n_classes)]
        at = 0
        for chunk in codes:
            for code in np.unique(chunk).tolist():
                if 0 <= code < n_classes:
                    builders[code].add(at, chunk == code)
            at += len(chunk)
        return tuple(builder.build(n_rows=at) for builder in builders)
    found: list[list[npt.NDArray[np.uint64]]] = [[] for _ in range(n_classes)]
    at = 0
    for chunk in codes:
        order = np.argsort(chunk, kind="stable")
        present, starts = np.unique(chunk[order], return_index=True)
        for code, members in zip(present.tolist(), np.split(order, starts[1:]), strict=True):
            if 0 <= code < n_classes:
                found[code].append(members.astype(np.uint64) + np.uint64(at))
        at += len(chunk)
    return tuple(Indices(np.concatenate(one) if one else np.empty(0, np.uint64)) for one in found)


def balance(
    members: Mapping[str, RowIndex], shares: Mapping[str, float], *, n_items: int | None = None, seed: int = 0
) -> Balanced:
    """Draws in which classes come in the given shares.

    Args:
        members: class name -> its item positions.
        shares: class name -> share, in any unit; 0 leaves a class out.
        n_items: draws of an epoch; by default as many as the items of the classes with a share.
        seed: of the choice of extra draws.

    Raises:
        OptionError: a class without a share, a share without its class, a negative share, or none above 0.
        SelectionError: a class that should be drawn has no items.

    >>> from vaxseq.plan.rows import Runs
    >>> rare, common = Runs(np.array([0]), np.array([2])), Runs(np.array([2]), np.array([8]))
    >>> draws = balance({"rare": rare, "common": common}, {"rare": 1, "common": 1})
    >>> draws.n, draws.counts
    (10, (5, 5))
    """
    for name in members:
        if name not in shares:
            remedy = "Give each class a share; 0 leaves it out."
            raise OptionError(f"balance: class {name!r} ({members[name].n:,} items) has no share. {remedy}")
    for name, share in shares.items():
        if name not in members:
            known = ", ".join(map(str, list(members)[:12]))
            raise OptionError(f"balance: no class {name!r} in the data; got classes {known}")
        if not 0 <= share < float("inf"):
            raise OptionError(f"balance: share of class {name!r}; got {share!r}, expected 0 or more")
        if share and not members[name].n:
            raise SelectionError(f"balance: class {name!r} has no items to draw. Give it share 0.")
    drawn = [name for name in members if shares[name] > 0]
    if not drawn:
        raise OptionError("balance: all shares are 0; expected at least one above 0")
    total = sum(members[name].n for name in drawn) if n_items is None else n_items
    counts = apportion(total, [shares[name] for name in drawn])
    return Balanced(tuple(members[name] for name in drawn), tuple(int(count) for count in counts), seed)


class Weighted:
    """``n`` draws in which item i comes floor or ceil of n*w_i/sum(w) times: systematic resampling.

    Draws are in the items' order, so block shuffles read nearly sequentially. Weights are held as whole numbers, 4
    bytes an item, so the draws don't depend on a rounding of sums.

    Source: Kitagawa, "Monte Carlo filter and smoother", J. Comp. Graph. Statist. 5 (1996), systematic resampling.

    Args:
        weights: chunks of weights in item order, 0 or more.
        n: draws of an epoch; by default the number of items with a weight above 0.
        seed: of each epoch's offset.

    Raises:
        SelectionError: a missing, negative or infinite weight, or none above 0.

    >>> draws = Weighted([np.array([0.0, 1.0, 3.0])], n=8)
    >>> draws.items(0, np.arange(8)).tolist()
    [1, 1, 2, 2, 2, 2, 2, 2]
    """

    def __init__(self, weights: Iterable[npt.ArrayLike], *, n: int | None = None, seed: int = 0) -> None:
        chunks = [np.asarray(chunk, np.float32) for chunk in weights]
        at = 0
        for chunk in chunks:
            bad = np.flatnonzero(~((chunk >= 0) & (chunk < np.inf)))
            if bad.size:
                got = f"{bad.size:,} from item {at + int(bad[0]):,} on, the first {chunk[bad[0]]}"
                raise SelectionError(
                    f"weights: missing, negative or infinite; got {got}. Drop these rows, or mend them."
                )
            at += len(chunk)
        top = max((float(chunk.max()) for chunk in chunks if len(chunk)), default=0.0)
        if not top:
            raise SelectionError(f"weights: none of {at:,} items has a weight above 0")
        scale = min(2**32 - 1, 2**62 // at) / top
        self._whole = np.zeros(-(-at // _SUM_ITEMS) * _SUM_ITEMS, np.uint32)
        at = drawable = 0
        for chunk in chunks:
            positive = chunk > 0
            whole = np.maximum(np.rint(chunk * np.float64(scale)), positive)  # a small weight never becomes none
            self._whole[at : at + len(chunk)] = whole.astype(np.uint32)
            drawable += int(positive.sum())
            at += len(chunk)
        self.n_items, self.seed = at, seed
        self.n = drawable if n is None else int(n)
        if not 0 < self.n <= 3_000_000_000:
            raise OptionError(f"weights: got {self.n:,} draws, expected 1 to 3,000,000,000")
        self._before = np.concatenate([[0], np.cumsum(self._whole.reshape(-1, _SUM_ITEMS).sum(axis=1, dtype=np.int64))])
        self._step, self._rest = divmod(int(self._before[-1]), self.n)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return int(self._whole.nbytes + self._before.nbytes)

    @cached_property
    def fingerprint(self) -> str:
        """Of the weights, the number of draws and the seed."""
        digest = blake2b(self._whole.data, digest_size=16)
        digest.update(repr((self.n, self.n_items, self.seed)).encode())
        return digest.hexdigest()

    def items(self, epoch: int, draws: Positions) -> Positions:
        """Item positions of these draws, shape (n_draws,), int64."""
        offset = derive(_OFFSET, self.seed, epoch) % max(1, self._step)
        mass = draws * self._step + draws * self._rest // self.n + offset
        group = np.searchsorted(self._before, mass, side="right") - 1
        out = np.empty(len(draws), np.int64)
        for at in range(0, len(draws), 4096):
            some = group[at : at + 4096]
            within = np.cumsum(np.take(self._whole.reshape(-1, _SUM_ITEMS), some, axis=0), axis=1, dtype=np.int64)
            out[at : at + 4096] = some * _SUM_ITEMS + (
                within <= (mass[at : at + 4096] - self._before[some])[:, None]
            ).sum(axis=1)
        return out
