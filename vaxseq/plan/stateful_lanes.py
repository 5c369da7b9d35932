"""Windows in lanes, for recurrent layers that keep their state: each row of a batch goes on where it stopped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vaxseq.errors import OptionError
from vaxseq.plan.bijection import Positions
from vaxseq.plan.window import WindowIndex


@dataclass(frozen=True, eq=False)
class Lanes:
    """The windows cut into ``count`` equal stretches; batch b holds window b of each. What is over is left out.

    >>> index = WindowIndex(np.array([0]), np.array([14]), length=2, stride=2)
    >>> Lanes(index, 3).items(0, np.arange(6)).tolist()
    [0, 2, 4, 1, 3, 5]
    """

    index: WindowIndex
    count: int

    def __post_init__(self) -> None:
        if self.index.n < self.count:
            raise OptionError(
                f"window lanes: got {self.index.n:,} windows for {self.count:,} lanes, one for each row of a batch. "
                "Use a smaller batch_size or shorter windows."
            )

    @property
    def length(self) -> int:
        """Windows of a lane, which are the batches of an epoch."""
        return self.index.n // self.count

    @property
    def n(self) -> int:
        """Windows of an epoch."""
        return self.length * self.count

    @property
    def fingerprint(self) -> str:
        """Changes when the order does."""
        return f"lanes {self.count} of {self.index.n}"

    def items(self, epoch: int, draws: npt.NDArray[np.int64]) -> Positions:
        """Window numbers at these places of the order, the same in every epoch."""
        batch, lane = np.divmod(np.asarray(draws, np.int64), self.count)
        return lane * self.length + batch

    def begins(self, batch: int) -> npt.NDArray[np.bool_]:
        """Which rows of a batch don't go on from the batch before: all of the first one, and where a series begins."""
        if batch == 0:
            return np.ones(self.count, dtype=bool)
        windows = np.arange(self.count) * self.length + batch
        before, now = self.index.windows(windows - 1), self.index.windows(windows)
        return np.asarray(now.runs != before.runs)
