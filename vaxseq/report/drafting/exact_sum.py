"""A target that is a sum, or a product of powers, of three or more columns: found by least squares, in bounded time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_MOST_COLUMNS = 64
_MOST_PARTS = 8
_ROWS = 2048  # of each half: fitted on one, judged on the other
_EXACT = 1e-9  # of the target's variance that is left on rows that the weights weren't fitted to
_LEAST = 1e-3  # of the target's spread that each part has to move


def parts_of(wanted: Floats, columns: Mapping[str, Floats]) -> tuple[str, ...]:
    """The fewest columns found whose weighted sum is the target on other rows too; empty if no few of them are it.

    All columns are fitted at once: if even they leave more than rounding, no sum of some is exact, and that is all
    that is done. If they leave none, those without which the others still give it are taken away one by one. More
    than eight parts prove nothing: a target may lie in the span of many columns.
    """
    names = [name for name, one in columns.items() if np.isfinite(one).any() and np.nanstd(one) > 0][:_MOST_COLUMNS]
    while len(names) > 2:
        rows = _complete(wanted, [columns[name] for name in names])
        if rows is not None:
            break
        names.remove(min(names, key=lambda name: int(np.isfinite(columns[name]).sum())))  # the one with most holes
    else:
        return ()
    half = len(rows) // 2
    aim = wanted[rows]
    parts = np.stack([columns[name][rows] for name in names], axis=1)
    kept = list(range(len(names)))
    weights = _weights(parts, aim, half, kept)
    if weights is None:
        return ()
    for place in sorted(kept, key=weights.__getitem__):  # the least heard first
        fewer = [one for one in kept if one != place]
        found = _weights(parts, aim, half, fewer) if fewer else None
        if found is not None:
            kept, weights = fewer, found
    heard = all(weights[one] > _LEAST for one in kept)
    return tuple(names[one] for one in kept) if heard and 3 <= len(kept) <= _MOST_PARTS else ()


def _complete(wanted: Floats, columns: list[Floats]) -> npt.NDArray[np.int64] | None:
    """Rows that have all values, every n-th one to the fit and its neighbour to the judgement; None if they are few."""
    there = np.isfinite(wanted) & np.isfinite(np.stack(columns)).all(axis=0)
    rows = np.flatnonzero(there)
    if len(rows) < 20 * len(columns):
        return None
    rows = rows[:: max(1, len(rows) // (2 * _ROWS))]
    return np.concatenate([rows[::2], rows[1::2]])


def _weights(parts: Floats, aim: Floats, half: int, chosen: list[int]) -> dict[int, float] | None:
    """How much each part moves, in spreads of the target, if their sum is exact on the second half; else None."""
    taken = parts[:, chosen]
    centre, spread = taken[:half].mean(axis=0), taken[:half].std(axis=0)
    middle, whole = aim[:half].mean(), aim.std()
    if whole == 0 or (spread == 0).any():
        return None
    scaled = (taken - centre) / spread
    found, *_ = np.linalg.lstsq(scaled[:half], (aim[:half] - middle) / whole, rcond=1e-10)
    left = (aim[half:] - middle) / whole - scaled[half:] @ found
    if not float(left @ left) < _EXACT * len(left):
        return None
    return dict(zip(chosen, np.abs(found).tolist(), strict=True))
