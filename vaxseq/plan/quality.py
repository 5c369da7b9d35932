"""How near an order comes to a uniform shuffle, measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.errors import SelectionError
from vaxseq.plan.bijection import Positions
from vaxseq.plan.plan import BatchPlan

Labels = npt.NDArray[Any] | Callable[[Positions], npt.NDArray[Any]]

_SEGMENT = 1 << 16
_CLASSES = 10


@dataclass(frozen=True, slots=True)
class ShuffleQuality:
    """Measures of one epoch's order, each beside what a uniform shuffle gives on average.

    Attributes:
        items: how many items of the order were looked at.
        lag1: correlation between the positions of neighbours in the order; 1 unshuffled, 0 uniform.
        displacement: mean distance between place and position, over n; 0 unshuffled, 1/3 uniform.
        run_length: mean number of neighbours in the order that share a label.
        run_length_uniform: the same for a uniform shuffle, from the labels' shares.
        batch_spread: standard deviation of the batches' mean position over that of uniform batches; 1 uniform, and
            sqrt(batch_size) for batches of neighbours.
    """

    items: int
    lag1: float
    displacement: float
    run_length: float
    run_length_uniform: float
    batch_spread: float

    def __str__(self) -> str:
        return (
            f"shuffle quality over {self.items:,} items (uniform in brackets): "
            f"lag-1 correlation {self.lag1:+.4f} (0), mean displacement {self.displacement:.3f} (0.333), "
            f"label runs {self.run_length:.2f} ({self.run_length_uniform:.2f}), "
            f"spread of batch means {self.batch_spread:.2f} (1)"
        )


def quality(
    plan: BatchPlan, *, epoch: int = 0, labels: Labels | None = None, sample_items: int = 2_000_000
) -> ShuffleQuality:
    """Measure the order of an epoch, on evenly spaced stretches when it is longer than ``sample_items``.

    Args:
        plan: the plan; its shards don't matter.
        epoch: which epoch.
        labels: a label for each item, shape (n_items,), or a function from positions to labels; by default the
            hardest case, items sorted by a label of ten equal classes.
        sample_items: about how many items of the order to look at.

    Raises:
        SelectionError: fewer than two items.

    >>> quality(BatchPlan(10_000, 100)).lag1, abs(quality(BatchPlan(10_000, 100, shuffle="global")).lag1) < 0.05
    (1.0, True)
    """
    n = plan.n_items
    if n < 2:
        raise SelectionError(f"shuffle quality: got {n} items, expected at least 2")
    stretch = max(2, _SEGMENT // plan.batch_size * plan.batch_size, plan.batch_size)
    if n <= sample_items:
        starts = list(range(0, n, stretch))
    else:
        count = max(2, sample_items // stretch)
        starts = sorted({(n - stretch) * i // (count - 1) // plan.batch_size * plan.batch_size for i in range(count)})
    stretches = [(start, plan.ordered(epoch, start, min(start + stretch, n))) for start in starts]
    joined = n <= sample_items  # then one stretch goes on where the one before ended
    if joined:
        stretches = [(0, np.concatenate([positions for _, positions in stretches]))]
    positions = np.concatenate([one for _, one in stretches])
    before = np.concatenate([one[:-1] for _, one in stretches])
    after = np.concatenate([one[1:] for _, one in stretches])
    moved = sum(float(np.abs(one - np.arange(at, at + len(one))).sum(dtype=np.float64)) for at, one in stretches)
    if labels is None:
        found: npt.NDArray[Any] = positions * _CLASSES // n
    else:
        found = labels(positions) if callable(labels) else np.asarray(labels)[positions]
    run_length, uniform = _runs(found, [len(one) for _, one in stretches])
    return ShuffleQuality(
        items=len(positions),
        lag1=_correlation(before, after),
        displacement=moved / len(positions) / n,
        run_length=run_length,
        run_length_uniform=uniform,
        batch_spread=_spread([one for _, one in stretches], plan.batch_size, n),
    )


def _correlation(first: Positions, second: Positions) -> float:
    if len(first) < 2:
        return 1.0
    x, y = first - first.mean(), second - second.mean()
    scale = sqrt(float((x * x).sum()) * float((y * y).sum()))
    return round(float((x * y).sum()) / scale, 12) if scale else 1.0


def _runs(labels: npt.NDArray[Any], lengths: list[int]) -> tuple[float, float]:
    """Mean run length within the stretches, and its expectation when the same labels are shuffled."""
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    edges = np.cumsum(lengths)[:-1]
    changes = codes[1:] != codes[:-1]
    changes[edges - 1] = False
    total, pairs = len(codes), len(codes) - len(lengths)
    same = float((counts * (counts - 1.0)).sum()) / (total * (total - 1.0))
    return total / (len(lengths) + int(changes.sum())), total / (len(lengths) + pairs * (1.0 - same))


def _spread(stretches: list[Positions], batch_size: int, n: int) -> float:
    size = min(batch_size, n)
    means = np.concatenate([one[: len(one) // size * size].reshape(-1, size).mean(axis=1) for one in stretches])
    uniform = sqrt((n * n - 1) / 12 / size * ((n - size) / (n - 1)))  # drawn without replacement
    return float(np.sqrt(((means - (n - 1) / 2) ** 2).mean())) / uniform if uniform else 0.0
