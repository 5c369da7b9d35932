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


def flattened(fractions: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, tuple[str, ...]]]:
    """The innermost parts, and for each part that is parted again the innermost ones in it.

    Raises:
        OptionError: a name that stands twice, or a part of nothing.

    >>> flattened({"develop": {"train": 0.7, "validation": 0.1}, "test": 0.2})
    ({'train': 0.7, 'validation': 0.1, 'test': 0.2}, {'develop': ('train', 'validation')})
    """
    parts: dict[str, Any] = {}
    outer: dict[str, tuple[str, ...]] = {}

    def add(inner: Mapping[str, Any]) -> tuple[str, ...]:
        found: list[str] = []
        for name, share in inner.items():
            if name in parts or name in outer:
                raise OptionError(f"split fractions: the part {name!r} is there twice. Name them apart.")
            if not isinstance(share, Mapping):
                parts[name] = share
                found.append(name)
                continue
            if not share:
                raise OptionError(f"split fractions[{name!r}]: got {share!r}, expected names with fractions")
            outer[name] = ()
            outer[name] = add(share)
            found += outer[name]
        return tuple(found)

    add(fractions)
    return parts, outer


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
