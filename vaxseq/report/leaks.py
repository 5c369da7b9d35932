"""Signs that a score will be too good: a feature that tells the target alone, a group or a time in two parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vaxseq.display.progress import progress_bar
from vaxseq.expressions.values import Value, as_float
from vaxseq.features.learners.base import mix
from vaxseq.report.column import ColumnSummary
from vaxseq.report.exploration import Exploration
from vaxseq.report.formatting import share
from vaxseq.report.pairs import Floats, bin_codes, numbers
from vaxseq.report.scan import Rows, blocks

ALONE = {"AUC": 0.97, "classes told apart": 0.97, "R²": 0.99}
_BINS = 64
_MOST_ELEMENTS = 64
_MOST_CLASSES = 64
_FEW_SHARED = 0.05
_LEAST_GROUPS = 20


@dataclass(frozen=True, slots=True)
class Alone:
    """How well one feature alone tells a target, on the half of the rows that it wasn't learned from."""

    feature: str
    target: str
    measure: str
    score: float

    @property
    def suspicious(self) -> bool:
        return self.score >= ALONE[self.measure]


@dataclass(frozen=True, slots=True)
class Shared:
    """A column's values that two parts have in common: the share of the other part's distinct values."""

    column: str
    reference: str
    part: str
    share: float
    suspicious: bool
    words: str


def alone(
    source: Rows,
    explored: Mapping[str, ColumnSummary],
    features: Sequence[str],
    targets: Sequence[str],
    *,
    progress: bool,
) -> list[Alone]:
    """One pass: each feature in up to 64 stretches of equal weight against each scalar target, rows in two halves.

    What a stretch tells is learned from one half and scored on the other: a target of two values by the area
    under the ROC curve, of up to 64 by how much of the guess's error it takes away, a number by R².
    """
    scored = [_Target(explored[name]) for name in targets if explored[name].kind != "text" and not explored[name].shape]
    tables = [
        _Table(explored[name], one)
        for name in features
        if int(np.prod(explored[name].shape)) <= _MOST_ELEMENTS and explored[name].count
        for one in scored
    ]
    if not tables:
        return []
    names = list(dict.fromkeys([table.feature.name for table in tables] + [one.name for one in scored]))
    start = 0
    with progress_bar(progress, "looking for leaks", source.n_rows, "rows") as advance:
        for rows, values in blocks(source, names):
            if values:
                count = len(values[names[0]])
                half = (mix(np.arange(start, start + count, dtype=np.uint64)) >> np.uint64(63)).astype(np.int64)
                start += count
                seen = {one.name: one.codes(values[one.name]) for one in scored}
                for table in tables:
                    table.add(values[table.feature.name], *seen[table.target.name], half)
            advance(rows)
    return sorted((table.score() for table in tables), key=lambda one: -one.score)


class _Target:
    """Classes of a target of few values; else its number, shifted so that squares don't cancel."""

    def __init__(self, one: ColumnSummary) -> None:
        self.name = one.name
        self.values: Floats | None = None
        if one.bins.exact and len(one.bins.keys) <= _MOST_CLASSES and not one.is_time:
            self.values = one.bins.edges()[0]
        self.shift = one.mean or 0.0
        self.scale = one.std or 1.0

    def codes(self, value: Value) -> tuple[npt.NDArray[np.int64], Floats]:
        """A class a row, -1 where missing; and the number."""
        data = numbers(value)
        there = np.isfinite(data)
        if self.values is None:
            return np.where(there, 0, -1), np.where(there, (data - self.shift) / self.scale, 0.0)
        found = np.searchsorted(self.values, np.where(there, data, self.values[0]))
        return np.where(there, found, -1), np.zeros(len(data))


class _Table:
    """Rows by half, stretch of the feature and class of the target; of numbers also their sums and squares."""

    def __init__(self, feature: ColumnSummary, target: _Target) -> None:
        self.feature, self.target = feature, target
        self.elements = int(np.prod(feature.shape))
        texts = [text for text, _ in feature.top(_BINS)] if feature.kind == "text" else []
        self.texts = pa.array(texts, pa.large_string())
        self.edges = np.empty(0)
        if feature.kind == "text":
            self.bins = len(self.texts) + 2
        else:
            if feature.bins.exact and len(feature.bins.keys) <= _BINS:
                inner = feature.bins.edges()[0].astype(np.float64)
            else:
                inner = np.unique(feature.quantiles(np.linspace(0, 1, _BINS + 1)[:-1]))
            self.edges = np.append(inner, np.inf)
            self.bins = len(inner) + 1  # the last of the missing ones
        self.classes = 1 if target.values is None else len(target.values)
        self.counts = np.zeros((self.elements, 2, self.bins, self.classes))
        self.sums = np.zeros((self.elements, 2, self.bins, 2))

    def add(self, value: Value, classes: npt.NDArray[np.int64], number: Floats, half: npt.NDArray[np.int64]) -> None:
        for element, codes in enumerate(self._codes(value)):
            known = classes >= 0
            cell = (half * self.bins + codes)[known]
            size = 2 * self.bins
            self.counts[element] += np.bincount(
                cell * self.classes + classes[known], minlength=size * self.classes
            ).reshape(2, self.bins, self.classes)
            if self.target.values is None:
                for power in (1, 2):
                    told = np.bincount(cell, weights=number[known] ** power, minlength=size)
                    self.sums[element, :, :, power - 1] += told.reshape(2, self.bins)

    def score(self) -> Alone:
        measure = "R²" if self.target.values is None else "AUC" if self.classes == 2 else "classes told apart"
        found = 0.0
        for counts, sums in zip(self.counts, self.sums, strict=True):
            learn, test = counts
            if measure == "R²":
                found = max(found, _r2(learn[:, 0], sums[0], test[:, 0], sums[1]))
            elif measure == "AUC":
                found = max(found, _auc(learn, test))
            else:
                found = max(found, _told(learn, test))
        return Alone(self.feature.name, self.target.name, measure, found)

    def _codes(self, value: Value) -> list[npt.NDArray[np.int64]]:
        if isinstance(value.data, pa.Array):
            import pyarrow.compute as pc

            array = value.data.dictionary_decode() if isinstance(value.data, pa.DictionaryArray) else value.data
            found = pc.index_in(array.cast(pa.large_string()), value_set=self.texts).fill_null(len(self.texts))
            codes = found.to_numpy(zero_copy_only=False).astype(np.int64)
            codes[value.is_missing()] = self.bins - 1
            return [codes]
        if not value.shape:
            return [self._stretch(numbers(value))]
        data = as_float(value).data.reshape(len(value), -1)
        return [self._stretch(data[:, element]) for element in range(self.elements)]

    def _stretch(self, data: Floats) -> npt.NDArray[np.int64]:
        codes = bin_codes(np.maximum(data, self.edges[0]), self.edges)
        codes[(codes < 0) | (codes >= self.bins - 1)] = self.bins - 1
        return codes


def _auc(learn: Floats, test: Floats) -> float:
    """By the rate that each stretch had in the other half; ties count half."""
    if not test.sum(axis=0).all():
        return 0.5
    rate = (learn[:, 1] + 0.5) / (learn.sum(axis=1) + 1)
    order = np.argsort(rate, kind="stable")
    rate, test = rate[order], test[order]
    firsts = np.flatnonzero(np.concatenate([[True], rate[1:] != rate[:-1]]))
    no, yes = np.add.reduceat(test[:, 0], firsts), np.add.reduceat(test[:, 1], firsts)
    below = np.cumsum(no) - no
    return float((yes * (below + no / 2)).sum() / (no.sum() * yes.sum()))


def _told(learn: Floats, test: Floats) -> float:
    """The share of the commonest class's errors that the commonest class of each stretch doesn't make."""
    total = test.sum()
    guessed = test[:, int(learn.sum(axis=0).argmax())].sum()
    right = test[np.arange(len(test)), learn.argmax(axis=1)].sum()
    return float((right - guessed) / (total - guessed)) if total > guessed else 0.0


def _r2(learn: Floats, learned: Floats, test: Floats, tested: Floats) -> float:
    if not learn.sum() or not test.sum():
        return 0.0
    overall = learned[:, 0].sum() / learn.sum()
    told = np.where(learn > 0, learned[:, 0] / np.maximum(learn, 1), overall)
    left = (tested[:, 1] - 2 * told * tested[:, 0] + told * told * test).sum()
    mean = tested[:, 0].sum() / test.sum()
    whole = tested[:, 1].sum() - test.sum() * mean * mean
    return float(1 - left / whole) if whole > 0 else 0.0


def shared(explored: Mapping[str, Exploration], columns: Sequence[str], groups: Sequence[str]) -> list[Shared]:
    """Values of a column in two parts, from the hashes that the exploration kept.

    Of ``groups``, any is suspicious. Of other columns, when a few are: the parts were made by this column, but some
    of its values slipped through.
    """
    names = list(explored)
    found = []
    for column in columns:
        one = explored[names[0]][column]
        if one.shape or one.kind not in ("text", "int", "datetime"):
            continue
        for place, first in enumerate(names):
            for second in names[place + 1 :]:
                a, b = explored[first][column], explored[second][column]
                if min(a.distinct.estimate, b.distinct.estimate) < 2:
                    continue
                less, more, fewer, other = a, b, first, second
                if a.distinct.estimate > b.distinct.estimate:
                    less, more, fewer, other = b, a, second, first
                part = less.distinct.shared_with(more.distinct)
                few = 0 < part <= _FEW_SHARED and less.distinct.estimate >= _LEAST_GROUPS
                suspicious = part > 0 and (few or column in groups)
                words = f"{share(part)} of the distinct values in {fewer} are in {other} too"
                found.append(Shared(column, first, second, part, suspicious, words))
    return found


def overlapping_times(explored: Mapping[str, Exploration], column: str) -> list[tuple[str, str, Any, Any]]:
    """Parts whose times overlap, with the stretch that they share."""
    names = [name for name, one in explored.items() if one[column].count]
    found = []
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            a, b = explored[first][column], explored[second][column]
            start, stop = max(a.min or 0, b.min or 0), min(a.max or 0, b.max or 0)
            if start <= stop:
                found.append((first, second, a.moment(start), a.moment(stop)))
    return found
