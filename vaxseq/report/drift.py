"""How far a column's distribution in one part of the data is from that in another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vaxseq.report.bins import Bins
from vaxseq.report.column import ColumnSummary
from vaxseq.report.formatting import share

SOME, CLEAR = 0.1, 0.25  # customary thresholds of the PSI
MISSING_APART = 0.1
_STRETCHES = 10
_MOST_TEXTS = 255
_CHANCE_DEVIATIONS = 6  # standard deviations over the PSI that chance alone brings

Level = Literal["none", "some", "clear"]


@dataclass(frozen=True, slots=True)
class Drift:
    """A column in another part, beside the reference part. ``psi`` and ``ks`` are None where they can't be told."""

    column: str
    part: str
    psi: float | None
    ks: float | None
    missing: float
    level: Level
    words: str


def drift(reference: ColumnSummary, other: ColumnSummary, part: str, against: str) -> Drift:
    """Population stability index over tenths of the reference (or its texts), and Kolmogorov and Smirnov's distance.

    Source: PSI: Yurdakul 2018, "Statistical Properties of Population Stability Index" (by chance alone
    it is chi-squared with cells - 1 degrees of freedom, times 1/n + 1/m).
    KS: Smirnov 1948, doi:10.1214/aoms/1177730256.
    """
    psi = ks = None
    chance = 0.0
    if reference.count and other.count and reference.kind != "text" and other.kind != "text":
        ks = _ks(reference.bins, other.bins)
        first, second = _stretches(reference, other)
        psi = _psi(first, second)
        chance = _chance(len(first) - 1, reference.count, other.count)
    elif reference.count and other.count and max(reference.distinct.estimate, other.distinct.estimate) <= _MOST_TEXTS:
        first, second = _texts(reference, other)
        psi = _psi(first, second)
        chance = _chance(len(first) - 1, reference.count, other.count)
    missing = other.missing / max(1, other.rows) - reference.missing / max(1, reference.rows)
    level: Level = "none"
    if psi is not None and psi >= max(SOME, chance):
        level = "clear" if psi >= CLEAR else "some"
    if abs(missing) >= MISSING_APART:
        level = "clear"
    return Drift(reference.name, part, psi, ks, missing, level, _words(reference, other, part, against, psi, ks, level))


def _chance(freedom: int, first: int, second: int) -> float:
    """What chance brings to the PSI at most, nearly always."""
    return (freedom + _CHANCE_DEVIATIONS * math.sqrt(2 * max(0, freedom))) * (1 / first + 1 / second)


def _words(
    reference: ColumnSummary,
    other: ColumnSummary,
    part: str,
    against: str,
    psi: float | None,
    ks: float | None,
    level: Level,
) -> str:
    if level == "none":
        return ""
    said = []
    if psi is not None and psi >= SOME:
        much = "clearly" if psi >= CLEAR else "somewhat"
        apart = "" if ks is None else f", KS {ks:.2f}"
        said.append(f"{part} is {much} distributed otherwise than {against} (PSI {psi:.2f}{apart})")
        if reference.kind != "text" and not reference.is_time and reference.mean is not None and other.mean is not None:
            said.append(f"its mean is {other.mean:,.4g}, in {against} {reference.mean:,.4g}")
    before, after = reference.missing / max(1, reference.rows), other.missing / max(1, other.rows)
    if abs(after - before) >= MISSING_APART:
        said.append(f"{share(after)} are missing in {part}, {share(before)} in {against}")
    return "; ".join(said)


def _ks(first: Bins, second: Bins) -> float:
    """The greatest distance between the two cumulative distributions, at the ends of common bins."""
    shift = max(first.shift, second.shift)
    first, second = first.coarser(shift), second.coarser(shift)
    keys = np.union1d(first.keys, second.keys)
    apart = [
        np.cumsum(np.bincount(np.searchsorted(keys, one.keys), weights=one.counts, minlength=len(keys))) / one.total
        for one in (first, second)
    ]
    return float(np.abs(apart[0] - apart[1]).max())


def _stretches(reference: ColumnSummary, other: ColumnSummary) -> tuple[npt.NDArray[Any], ...]:
    """Counts of both in stretches that hold about a tenth of the reference each; single values apart where few."""
    shift = max(reference.bins.shift, other.bins.shift)
    first, second = reference.bins.coarser(shift), other.bins.coarser(shift)
    keys = np.union1d(first.keys, second.keys)
    counts: list[npt.NDArray[Any]] = [
        np.bincount(np.searchsorted(keys, one.keys), weights=one.counts, minlength=len(keys)) for one in (first, second)
    ]
    if len(keys) <= _STRETCHES:
        return tuple(counts)
    after = np.cumsum(counts[0])
    place = np.minimum((after - counts[0] / 2) * _STRETCHES / after[-1], _STRETCHES - 1).astype(np.int64)
    found: list[npt.NDArray[Any]] = [np.bincount(place, weights=one, minlength=_STRETCHES) for one in counts]
    held = found[0] + found[1] > 0
    return tuple(one[held] for one in found)


def _texts(reference: ColumnSummary, other: ColumnSummary) -> tuple[npt.NDArray[Any], ...]:
    first, second = dict(reference.top(_MOST_TEXTS)), dict(other.top(_MOST_TEXTS))
    names = sorted({*first, *second})
    return tuple(np.array([one.get(name, 0) for name in names], np.float64) for one in (first, second))


def _psi(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    """Half a row is added to each cell, so that an empty one doesn't make it infinite."""
    if len(first) < 2:
        return 0.0
    expected = (first + 0.5) / (first + 0.5).sum()
    actual = (second + 0.5) / (second + 0.5).sum()
    return float(((actual - expected) * np.log(actual / expected)).sum())
