"""Columns that are the target of rows before or after: in the data's own order, and in each series'."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.expressions.values import Value
from vaxseq.report.column import ColumnSummary
from vaxseq.report.drafting.sample import MOST_ROWS, STRETCH_ROWS, Sample
from vaxseq.report.pairs import numbers

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

_SHIFTS = (-3, -2, -1, 1, 2, 3)
_SAME = 0.98  # of the rows where both are there
_KAPPA = 0.9
_FEW_ROWS = 30
_MOST_SERIES, _MOST_GUESSES = 1000, 4


class Order:
    """The sample's rows as they follow one another; ``series`` tells rows apart that don't, and has its words."""

    def __init__(self, rows: Ids, ids: Ids, series: Ids, words: str = "") -> None:
        self.rows, self.words = rows, words
        self._ids, self._series = ids[rows], series[rows]
        self._reach = STRETCH_ROWS if np.ptp(ids) >= MOST_ROWS else MOST_ROWS  # beyond it rows between are unknown

    def followers(self, near: int) -> npt.NDArray[np.bool_]:
        """Which rows from ``near`` on are so many rows after another of the same series."""
        apart = self._ids[near:] - self._ids[:-near]
        found = apart == near
        if self.words:
            found = (self._series[near:] == self._series[:-near]) & (abs(apart) < self._reach)
        return np.asarray(found, bool)


def orders_of(
    sample: Sample, summaries: Mapping[str, ColumnSummary], groups: Sequence[str], order: str | None
) -> Iterator[Order]:
    """The data's order; then that of the series that are named, or of those that a column of few texts may tell."""
    ids = sample.ids
    yield Order(np.arange(len(ids)), ids, np.zeros(len(ids), np.int64))
    named = [tuple(groups)] if groups else [(name,) for name in _guesses(summaries)]
    for names in (names for names in named if all(name in sample.columns for name in names)):
        _, series = np.unique(np.stack([codes_of(sample.columns[name]) for name in names]), axis=1, return_inverse=True)
        time = codes_of(sample.columns[order]) if order in sample.columns else ids
        yield Order(np.lexsort((ids, time, series.ravel())), ids, series.ravel(), f" in each {', '.join(names)}")


def _guesses(summaries: Mapping[str, ColumnSummary]) -> list[str]:
    few = [name for name, one in summaries.items() if one.kind == "text" and 2 <= one.distinct.estimate <= _MOST_SERIES]
    return few[:_MOST_GUESSES]


def shift_of(column: Floats, truth: Floats, orders: Sequence[Order]) -> tuple[int, str]:
    """By how many rows the column is the target's, and in which series; 0 if it isn't. Positive: of rows before."""
    best, most, where = 0, same(column, truth)[0], ""
    for order in orders:
        told, answer = column[order.rows], truth[order.rows]
        for shift in _SHIFTS:
            near = abs(shift)
            after = order.followers(near)
            later, earlier = (told, answer) if shift > 0 else (answer, told)
            equal, kappa = same(later[near:][after], earlier[:-near][after])
            if equal >= _SAME and kappa >= _KAPPA and equal > most:
                best, most, where = shift, equal, order.words
    return best, where


def codes_of(value: Value, like: Value | None = None) -> Floats:
    """A column as numbers that are equal where its values are; NaN where missing. Text is compared with ``like``'s."""
    if not isinstance(value.data, pa.Array):
        return numbers(value) if not value.shape else np.full(len(value), np.nan)
    texts = value.data.cast(pa.large_string())
    words = texts if like is None or not isinstance(like.data, pa.Array) else like.data.cast(pa.large_string())
    known = pc.unique(words.drop_null())
    return np.asarray(pc.index_in(texts, value_set=known).to_numpy(zero_copy_only=False), np.float64)


def same(a: Floats, b: Floats) -> tuple[float, float]:
    """The share of rows that are equal, and, where these are most, Cohen's kappa: how far that is beyond chance."""
    there = ~(np.isnan(a) | np.isnan(b))
    a, b = a[there], b[there]
    if len(a) < _FEW_ROWS or (a == a[0]).all():
        return 0.0, 0.0
    equal = float((a == b).mean())
    if equal < _SAME:
        return equal, 0.0
    values, codes = np.unique(np.concatenate([a, b]), return_inverse=True)
    shares = [np.bincount(one, minlength=len(values)) / len(a) for one in (codes[: len(a)], codes[len(a) :])]
    chance = float((shares[0] * shares[1]).sum())
    return equal, (equal - chance) / (1 - chance) if chance < 1 else 0.0
