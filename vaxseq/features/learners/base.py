"""The interface of every learner, and the rows that a block holds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vaxseq.expressions.values import Value


class Rows:
    """The row ids of one block, and their hashes, made at most once for all learners of the block."""

    def __init__(self, ids: npt.NDArray[np.int64]) -> None:
        self.ids = ids

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def hashes(self) -> npt.NDArray[np.uint32]:
        """A uniform 32-bit hash of each row id.

        Source: splitmix64's finalizer (Steele, Lea, Flood 2014, doi:10.1145/2660193.2660195), upper half.
        """
        return (mix(self.ids.view(np.uint64)) >> np.uint64(32)).astype(np.uint32)


def mix(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """splitmix64 of each word: the same on every machine."""
    mixed = words + np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


class Learner(ABC):
    """Collects from blocks what a step learns; small, picklable, mergeable in row order.

    ``rows`` counts the rows seen and ``missing`` those among them that were missing.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.missing = 0

    @abstractmethod
    def update(self, value: Value, rows: Rows) -> None:
        """Takes one block and which rows it is. Never called with zero rows."""

    def check(self, value: Value) -> None:
        """Raises FeatureTypeError when it can't learn from such a column; ``value`` may have zero rows."""

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Takes what another learner collected from the rows that follow."""

    @abstractmethod
    def finish(self) -> dict[str, Any]:
        """The learned values, JSON-able.

        Raises:
            FitError: there is nothing to learn from, or too much.
        """

    def expect_fold(self) -> bool:
        """Called before the first block when the missing rows will be folded in; False when this learner can't."""
        return False

    def fold(self, fill: Any) -> bool:
        """Counts the missing rows as rows of the value ``fill``; False when that can't be done after all."""
        return False

    def hint(self) -> Any:
        """A small value that lets the learner of later rows collect less; never changes a result."""
        return None

    def start(self, hint: Any) -> None:
        """Takes the hint of a learner of earlier rows."""

    def _add_missing(self, other: Learner) -> None:
        self.rows += other.rows
        self.missing += other.missing
