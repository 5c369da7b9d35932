"""Which part a row belongs to, from its row id or its key: small picklable rules that vaex calls block by block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from hashlib import blake2b
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from vaxseq.expressions.values import Mask, Value
from vaxseq.frame import ROW, row_numbers
from vaxseq.plan.bijection import Bijection
from vaxseq.plan.keys import hash_ids
from vaxseq.split.hashing import Hashes, hash_column, hash_keys

Parts = npt.NDArray[np.int64]

DROPPED = -1


@dataclass(frozen=True, eq=False)
class Rule:
    """Parts of rows. ``columns`` are read for it; ``ROW`` among them is the row id."""

    columns: tuple[str, ...]

    name: ClassVar[str]

    def parts(self, block: Mapping[str, Value]) -> Parts:
        """The number of each row's part, shape (rows,); DROPPED for none."""
        raise NotImplementedError

    def fingerprint(self) -> str:
        """Of the rule and all that it holds."""
        digest = blake2b(self.name.encode(), digest_size=12)
        for field in fields(self):
            value = getattr(self, field.name)
            digest.update(f"|{field.name}:".encode())
            digest.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class InPart:
    """What vaex calls: the rows of one part."""

    rule: Rule
    part: int

    def __call__(self, block: dict[str, Value]) -> Mask:
        found: Mask = self.rule.parts(block) == self.part
        return found


@dataclass(frozen=True)
class InParts:
    """The rows of some of the parts."""

    rule: Rule
    numbers: tuple[int, ...]

    def __call__(self, block: dict[str, Value]) -> Mask:
        return np.isin(self.rule.parts(block), self.numbers)


@dataclass(frozen=True)
class NotInPart:
    """The rows of all parts but one."""

    rule: Rule
    part: int

    def __call__(self, block: dict[str, Value]) -> Mask:
        found = self.rule.parts(block)
        kept: Mask = (found != self.part) & (found != DROPPED)
        return kept


@dataclass(frozen=True, eq=False)
class ByOrder(Rule):
    """A random order of all rows, cut at ``bounds``."""

    n_rows: int
    key: int
    bounds: npt.NDArray[np.int64]

    name = "random"

    def places(self, block: Mapping[str, Value]) -> npt.NDArray[np.int64]:
        """Each row's place in the random order, shape (rows,)."""
        return Bijection(self.n_rows, self.key).of(row_numbers(block[ROW]))

    def parts(self, block: Mapping[str, Value]) -> Parts:
        return np.searchsorted(self.bounds, self.places(block), side="right")


@dataclass(frozen=True, eq=False)
class ByOrderInClass(ByOrder):
    """The same, with bounds for each class: ``classes`` are sorted hashes, ``bounds`` has shape (classes, cuts)."""

    classes: Hashes

    name = "stratified"

    def codes(self, block: Mapping[str, Value]) -> npt.NDArray[np.int64]:
        """Each row's class, a place in ``classes``, shape (rows,)."""
        return np.searchsorted(self.classes, hash_column(block[self.columns[1]]))

    def parts(self, block: Mapping[str, Value]) -> Parts:
        codes = np.minimum(self.codes(block), len(self.classes) - 1)
        found: Parts = (self.bounds[codes] <= self.places(block)[:, None]).sum(axis=1)
        return found


@dataclass(frozen=True, eq=False)
class ByHash(Rule):
    """A hash of the key, cut at ``bounds``: a key's part never changes, whatever rows are added."""

    seed: int
    bounds: Hashes

    name = "hash"

    def parts(self, block: Mapping[str, Value]) -> Parts:
        hashes = hash_keys([block[column] for column in self.columns])
        return np.searchsorted(self.bounds, hash_ids(hashes, self.seed), side="right")


@dataclass(frozen=True, eq=False)
class ByGroup(Rule):
    """A table from the key's hash to the part: ``groups`` are sorted, ``assigned`` beside them."""

    groups: Hashes
    assigned: npt.NDArray[np.int8]

    name = "group"

    def parts(self, block: Mapping[str, Value]) -> Parts:
        hashes = hash_keys([block[column] for column in self.columns])
        at = np.minimum(np.searchsorted(self.groups, hashes), len(self.groups) - 1)
        return np.where(self.groups[at] == hashes, self.assigned[at], DROPPED).astype(np.int64)


@dataclass(frozen=True, eq=False)
class ByTime(Rule):
    """Part k is [cuts[k-1], cuts[k] - gap): rows within the gap before a cut belong to none."""

    cuts: npt.NDArray[Any]
    gap: Any

    name = "time"

    def parts(self, block: Mapping[str, Value]) -> Parts:
        times = block[self.columns[0]].data
        found: Parts = np.searchsorted(self.cuts, times, side="right")
        if self.gap is not None:
            inside = found < len(self.cuts)
            next_cut = self.cuts[np.minimum(found, len(self.cuts) - 1)]
            found = np.where(inside & (next_cut - times <= self.gap), DROPPED, found)
        return found
