"""How many rows each part gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.errors import OptionError


def checked_fractions(fractions: Mapping[str, Any]) -> list[float]:
    """Fractions above 0 that sum to 1.

    Raises:
        OptionError: they don't.
    """
    for name, share in fractions.items():
        if isinstance(share, bool) or not isinstance(share, int | float | np.number) or not 0 < share <= 1:
            raise OptionError(f"split fractions[{name!r}]: got {share!r}, expected a number above 0 and up to 1")
    total = float(sum(fractions.values()))
    if abs(total - 1) > 1e-9:
        remedy = "Name a part for the rest; it costs nothing."
        raise OptionError(f"split fractions: they sum to {total:g}, expected 1. {remedy}")
    return [float(share) for share in fractions.values()]


def shared_out(sizes: npt.NDArray[np.int64], shares: list[float]) -> npt.NDArray[np.int64]:
    """Rows of each class in each part, shape (classes, parts): each within 1 of exact, and parts near exact too.

    Rounding each class alone would give every odd row to the same part, so the running totals are rounded instead.
    """
    edges = np.concatenate([[0.0], np.cumsum(shares)])
    edges[-1] = 1.0
    order = np.argsort(-sizes, kind="stable")
    totals = np.concatenate([[0], np.cumsum(sizes[order])])
    counts = np.zeros((len(sizes), len(shares)), np.int64)
    given = np.zeros(len(shares), np.int64)
    for at, number in enumerate(order):
        exact = np.diff(edges) * sizes[number]
        floor = np.floor(exact + 1e-9).astype(np.int64)
        wanted = np.diff(edges) * totals[at + 1] - given - floor
        left = int(sizes[number] - floor.sum())
        wanted[exact - floor <= 1e-9] -= 1e9  # what is whole already stays
        floor[np.argsort(-wanted, kind="stable")[:left]] += 1
        counts[number] = floor
        given += floor
    return counts
