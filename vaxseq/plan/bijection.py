"""A keyed permutation of [0, n) that is computed, not stored, so n can be 10^11."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import isqrt
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vaxseq.plan.keys import hash_ids, stream

Positions = npt.NDArray[np.int64]

_ROUNDS = 4  # the least that makes a pseudorandom permutation of good round functions; the statistics are tested
_SORTED_LIMIT = 1 << 16  # up to here a sorted table is quicker than the network, and an even better shuffle
_CHUNK = 1 << 15  # ids worked on at once: few calls, and temporaries that the caches hold


@lru_cache(maxsize=8)
def _sorted(n: int, key: int) -> npt.NDArray[np.uint32]:
    table = np.argsort(hash_ids(np.arange(n), key)).astype(np.uint32)
    table.flags.writeable = False
    return table


@lru_cache(maxsize=8)
def _unsorted(n: int, key: int) -> npt.NDArray[np.uint32]:
    table = np.argsort(_sorted(n, key)).astype(np.uint32)
    table.flags.writeable = False
    return table


@dataclass(frozen=True, slots=True)
class Bijection:
    """A permutation of [0, n); equal (n, key) give equal permutations everywhere.

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
        if self.n <= _SORTED_LIMIT:
            return np.asarray(_sorted(self.n, self.key)[start:stop], np.int64)
        return _network(self.n, self.key).span(start, stop)

    def of(self, ids: npt.NDArray[Any]) -> Positions:
        """The images of any ids, shape (n_ids,), int64."""
        if self.n <= _SORTED_LIMIT:
            return np.asarray(_sorted(self.n, self.key)[ids], np.int64)
        network = _network(self.n, self.key)
        out = np.empty(len(ids), np.int64)
        for at in range(0, len(ids), _CHUNK):
            network.images(np.asarray(ids[at : at + _CHUNK], np.int64), out[at : at + _CHUNK])
        return out

    def inverse(self, image: int) -> int:
        """The id whose image is ``image``."""
        return int(self.inverse_of(np.array([image]))[0])

    def inverse_of(self, images: npt.NDArray[Any]) -> Positions:
        """The ids whose images these are, shape (n_images,), int64.

        >>> Bijection(5, key=7).inverse_of(Bijection(5, key=7)(0, 5)).tolist()
        [0, 1, 2, 3, 4]
        """
        if self.n <= _SORTED_LIMIT:
            return np.asarray(_unsorted(self.n, self.key)[images], np.int64)
        network = _network(self.n, self.key)
        out = np.empty(len(images), np.int64)
        for at in range(0, len(images), _CHUNK):
            network.preimages(np.asarray(images[at : at + _CHUNK], np.int64), out[at : at + _CHUNK])
        return out


@lru_cache(maxsize=8)
def _network(n: int, key: int) -> _Network:
    return _Network(n, key)


class _Tables(NamedTuple):
    """The network's rounds, looked up: sums stay unreduced, so a table repeats for as often as they may wrap."""

    rounds: tuple[Positions, Positions, Positions, Positions]
    left: Positions  # b * (left mod a)
    right: Positions  # right mod b


class _Network:
    """Four rounds: left += hash(right) mod a, right += hash(left) mod b, in turn."""

    def __init__(self, n: int, key: int) -> None:
        self.n = n
        self.a = isqrt(n - 1) + 1
        self.b = -(-n // self.a)
        # Half words let uint32 arithmetic do for n up to 2^32, where a and b are so small that tables do for that.
        self.half = 16 if self.a <= 1 << 16 else 32
        self.word: type[np.unsignedinteger[Any]] = np.uint32 if self.half == 16 else np.uint64
        keep = (1 << (2 * self.half)) - 1
        words = stream(key, 3 * _ROUNDS)
        triples = zip(words[0::3], words[1::3], words[2::3], strict=True)
        self.rounds = [(first & keep | 1, add & keep, second & keep | 1) for first, add, second in triples]

    def span(self, start: int, stop: int) -> Positions:
        """The images of start, ..., stop - 1: neighbours share a left half, so no id has to be divided."""
        out = np.empty(stop - start, np.int64)
        at = start
        while at < stop:
            row, column = divmod(at, self.b)
            rows = min(stop - at, _CHUNK) // self.b if column == 0 else 0
            count = rows * self.b or min(self.b - column, stop - at, _CHUNK)
            place = out[at - start : at - start + count]
            if self.half == 32:
                self.images(np.arange(at, at + count), place)
            else:
                right = np.arange(column, column + count // max(1, rows))
                left = np.arange(row, row + max(1, rows))[:, None]
                self._looked_up(left, right, place.reshape(max(1, rows), -1))
                self._walk(place, self.images)
            at += count
        return out

    def images(self, ids: Positions, out: Positions) -> None:
        """The images of any ids."""
        left, right = self._halves(ids)
        if self.half == 32:
            out[...] = self._computed(left, right)
        else:
            self._looked_up(left, right, out)
        self._walk(out, self.images)

    def _halves(self, ids: Positions) -> tuple[Positions, Positions]:
        if self.half == 32:
            left = ids // self.b
            return left, ids - left * self.b
        short = ids.astype(np.uint32)  # divides in a tenth of the time
        upper = short // np.uint32(self.b)
        return upper.astype(np.int64), (short - upper * np.uint32(self.b)).astype(np.int64)

    def _walk(self, out: Positions, step: Callable[[Positions, Positions], None]) -> None:
        """Goes on from what lies outside, until it is inside."""
        if self.a * self.b == self.n:
            return
        outside = np.flatnonzero(out >= self.n)
        if outside.size:
            walked = np.empty(outside.size, np.int64)
            step(out[outside], walked)
            out[outside] = walked

    def _looked_up(self, left: Positions, right: Positions, out: Positions) -> None:
        """Left and right halves that broadcast to the shape of ``out``."""
        first, second, third, fourth = self._tables.rounds
        left = left + first[right]
        right = np.take(second, left, mode="clip") + right
        left += np.take(third, right, mode="clip")
        right += np.take(fourth, left, mode="clip")
        np.take(self._tables.left, left, mode="clip", out=out)
        out += np.take(self._tables.right, right, mode="clip")

    @cached_property
    def _tables(self) -> _Tables:
        rounds = []
        for number, repeats in enumerate((1, 2, 2, 3)):
            size_in, size = (self.b, self.a) if number % 2 == 0 else (self.a, self.b)
            hashed = self._hash(np.arange(size_in, dtype=self.word), number, size)
            rounds.append(np.tile(hashed.astype(np.int64), repeats))
        left, right = np.tile(np.arange(self.a) * self.b, 3), np.tile(np.arange(self.b), 3)
        return _Tables((rounds[0], rounds[1], rounds[2], rounds[3]), left, right)

    def _hash(self, source: npt.NDArray[Any], number: int, size: int) -> npt.NDArray[Any]:
        """The function of a round: numbers below ``size``."""
        word, half = self.word, self.word(self.half)
        first, add, second = self.rounds[number]
        hashed: npt.NDArray[Any] = source * word(first)
        hashed += word(add)
        hashed ^= hashed >> half
        hashed *= word(second)
        hashed >>= half
        hashed *= word(size)
        hashed >>= half  # (upper half word * size) >> half: a number below size
        return hashed

    def _computed(self, rows: Positions, right: Positions) -> Positions:
        sides = [rows.astype(self.word), right.astype(self.word)]
        for number in range(_ROUNDS):
            side, size = (0, self.a) if number % 2 == 0 else (1, self.b)
            target = sides[side]
            target += self._hash(sides[1 - side], number, size)
            # an unsigned difference below zero wraps to a huge one
            np.minimum(target, target - self.word(size), out=target)
        return np.asarray(sides[0].astype(np.int64) * self.b + sides[1].astype(np.int64))

    def preimages(self, images: Positions, out: Positions) -> None:
        """The ids of any images: the rounds backwards, walking back in what lies outside."""
        left, right = self._halves(images)
        if self.half == 32:
            out[...] = self._computed_back(left, right)
        else:
            self._looked_up_back(left, right, out)
        self._walk(out, self.preimages)

    def _looked_up_back(self, left: Positions, right: Positions, out: Positions) -> None:
        first, second, third, fourth = self._back_tables
        right = right + np.take(fourth, left, mode="clip")
        left = left + np.take(third, right, mode="clip")
        right += np.take(second, left, mode="clip")
        left += np.take(first, right, mode="clip")
        np.take(self._tables.left, left, mode="clip", out=out)
        out += np.take(self._tables.right, right, mode="clip")

    @cached_property
    def _back_tables(self) -> tuple[Positions, Positions, Positions, Positions]:
        """What the rounds take away, each with its modulus added, so that sums stay above zero; repeated as they wrap.

        In the order of the rounds; the last is undone first, when its side isn't shifted yet.
        """
        backs = []
        for number, repeats in enumerate((3, 2, 2, 1)):
            size_in, size = (self.b, self.a) if number % 2 == 0 else (self.a, self.b)
            hashed = self._hash(np.arange(size_in, dtype=self.word), number, size).astype(np.int64)
            backs.append(np.tile(size - hashed, repeats))
        return backs[0], backs[1], backs[2], backs[3]

    def _computed_back(self, left: Positions, right: Positions) -> Positions:
        sides = [left.astype(self.word), right.astype(self.word)]
        for number in reversed(range(_ROUNDS)):
            side, size = (0, self.a) if number % 2 == 0 else (1, self.b)
            target = sides[side]
            target -= self._hash(sides[1 - side], number, size)
            # an unsigned difference below zero is a huge one, which the modulus leads back
            np.minimum(target, target + self.word(size), out=target)
        return np.asarray(sides[0].astype(np.int64) * self.b + sides[1].astype(np.int64))
