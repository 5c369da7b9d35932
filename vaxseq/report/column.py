"""What one column holds, collected block by block: counts, moments, distribution, commonest values, coverage."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.expressions.values import Kind, Value, as_float
from vaxseq.features.learners.base import Rows
from vaxseq.features.learners.moments import Moments
from vaxseq.report.bins import Bins
from vaxseq.report.distinct import Distinct, Tops
from vaxseq.split.hashing import hash_column

SHARES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_GAPS = 5
_GAP_FACTOR = 3

Floats = npt.NDArray[np.float64]


@dataclass
class ColumnSummary:
    """One column over all chosen rows. Of an array column, ``rows`` and ``missing`` are rows, the rest is of elements.

    Attributes:
        name, type, kind, unit: what it is.
        rows: chosen rows.
        missing: rows without a value; of an array column, rows with a missing element.
        infinite: infinite numbers; left out of all that follows.
        count: numbers, times or texts that are there.
        min, max: as float64, or the int64 of times; None when there is none.
        mean, std: std is divided by the count, as NumPy does.
        bins: the distribution of numbers and times.
        tops: the commonest texts.
        distinct: the number of distinct values.
    """

    name: str
    type: str
    kind: Kind
    shape: tuple[int, ...] = ()
    unit: str | None = None
    rows: int = 0
    missing: int = 0
    infinite: int = 0
    count: int = 0
    min: float | int | None = None
    max: float | int | None = None
    mean: float | None = None
    std: float | None = None
    bins: Bins = field(default_factory=Bins)
    tops: Tops = field(default_factory=Tops)
    distinct: Distinct = field(default_factory=Distinct)

    @property
    def is_time(self) -> bool:
        return self.kind in ("datetime", "timedelta")

    @property
    def time_type(self) -> str:
        """Of a time column, NumPy's name of its type."""
        return self.type.split("[")[0] + "[" + self.type.split("[")[1].split("]")[0] + "]"

    def moment(self, value: float | None) -> Any:
        """A number of ``bins`` as a person knows it: times as datetime64 or timedelta64, whole numbers as int."""
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return None
        if self.is_time:
            return np.array(int(value), np.int64).view(np.dtype(self.time_type))[()]
        if self.kind in ("int", "bool") and float(value).is_integer():
            return int(value)
        return float(value)

    def quantiles(self, shares: npt.ArrayLike = SHARES) -> Floats:
        """Of numbers and times: within a bin's width, under 1 % of a number, of all rows."""
        found = self.bins.quantiles(shares)
        return np.clip(found, self.min, self.max) if self.min is not None and self.max is not None else found

    def top(self, n: int = 10) -> list[tuple[Any, int]]:
        """The commonest values and their counts; none of numbers that have more values than bins."""
        if self.kind == "text":
            return self.tops.top(n)
        if not self.bins.exact or not self.count:
            return []
        values, _ = self.bins.edges()
        order = np.lexsort((values, -self.bins.counts))[:n]
        return [(self.moment(values[place].item()), int(self.bins.counts[place])) for place in order]

    def edges(self, count: int = 60) -> Floats:
        """Edges for a histogram: whole steps for whole numbers; the outermost 0.5 % are cut where they stretch it."""
        if self.min is None or self.max is None:
            return np.array([0.0, 1.0])
        low, high = float(self.min), float(self.max)
        inner = self.quantiles([0.005, 0.995])
        if high - low > 4 * (inner[1] - inner[0]) > 0:
            low, high = float(inner[0]), float(inner[1])
        if self.kind in ("int", "bool") and not self.shape:
            step = max(1, math.ceil((high - low + 1) / count))
            low = math.floor(low)
            return np.asarray(low - 0.5 + step * np.arange(math.ceil((high - low + 1) / step) + 1), np.float64)
        if high <= low:
            margin = abs(low) * 0.01 or 0.5
            return np.array([low - margin, low + margin])
        return np.linspace(low, high, count + 1)

    def histogram(self, count: int = 60) -> tuple[Floats, Floats]:
        """Counts of all rows (shape (bins,)) and edges (bins + 1,) of numbers or times."""
        edges = self.edges(count)
        return self.bins.histogram(edges), edges

    def gaps(self) -> list[tuple[Any, Any]]:
        """Of times, the longest stretches without a row, each far longer than what usually lies between two."""
        if self.kind != "datetime" or len(self.bins.keys) < 3:
            return []
        apart = np.diff(self.bins.keys)
        least = _GAP_FACTOR * max(1.0, float(np.quantile(apart, 0.95)))
        places = [int(place) for place in np.argsort(-apart, kind="stable")[:_GAPS] if apart[place] > least]
        low, high = self.bins.edges()
        return [(self.moment(int(high[place])), self.moment(int(low[place + 1]))) for place in sorted(places)]


class ColumnScan:
    """Collects one column's summary; blocks of rows come in order."""

    def __init__(self, name: str, type_name: str, empty: Value, unit: str | None) -> None:
        self.summary = ColumnSummary(name, type_name, empty.kind, empty.shape, unit)
        self.summary.bins.time = self.summary.is_time
        self._moments = Moments("all")

    def update(self, value: Value) -> None:
        """Takes the chosen rows of a block."""
        one = self.summary
        one.rows += len(value)
        if not len(value):
            return
        if isinstance(value.data, pa.Array):
            self._text(value.data)
            return
        missing = value.is_missing()
        lost = int(np.count_nonzero(missing))
        one.missing += lost
        if one.is_time:
            data = value.data.view(np.int64)
            self._numbers(data[~missing] if lost else data)
            return
        data = as_float(value).data.reshape(-1)
        if lost:
            data = data[~np.isnan(data)]
        with np.errstate(all="ignore"):
            clean = math.isfinite(float(np.add.reduce(data)))
        if not clean:
            finite = np.isfinite(data)
            one.infinite += int(len(data) - np.count_nonzero(finite))
            data = data[finite]
        self._numbers(data)

    def finish(self) -> ColumnSummary:
        one = self.summary
        if one.count and not one.is_time and one.kind != "text":
            one.mean = float(self._moments.mean[0])
            one.std = math.sqrt(max(0.0, float(self._moments.m2[0]) / one.count))
        return one

    def _numbers(self, data: npt.NDArray[Any]) -> None:
        one = self.summary
        if not len(data):
            return
        low, high = data.min().item(), data.max().item()
        one.count += len(data)
        one.min = low if one.min is None else min(one.min, low)
        one.max = high if one.max is None else max(one.max, high)
        one.bins.add(data)
        if not one.is_time:
            self._moments.update(Value(data), Rows(np.empty(0, np.int64)))
        if one.bins.exact:  # its bins are its values, so few hashes do
            values, _ = one.bins.edges()
            one.distinct.add(hash_column(self._value(values)))
        else:
            one.distinct.add(hash_column(self._value(data)))

    def _value(self, data: npt.NDArray[Any]) -> Value:
        return Value(data.view(np.dtype(self.summary.time_type)) if self.summary.is_time else data)

    def _text(self, array: pa.Array) -> None:
        one = self.summary
        one.missing += array.null_count
        one.count += len(array) - array.null_count
        if isinstance(array, pa.DictionaryArray):
            codes = array.indices.drop_null().to_numpy(zero_copy_only=False)
            dense = np.bincount(codes.astype(np.int64), minlength=len(array.dictionary))
            found = np.flatnonzero(dense)
            values, counts = array.dictionary.take(pa.array(found)), dense[found]
        else:
            counted = pc.value_counts(array.drop_null())
            values, counts = counted.field("values"), counted.field("counts").to_numpy()
        one.distinct.add(hash_column(Value(values)))
        one.tops.add(values, counts)
