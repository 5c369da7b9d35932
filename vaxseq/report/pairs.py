"""Two columns together: counts of pairs and correlations, over all rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.display.progress import progress_bar
from vaxseq.errors import OptionError
from vaxseq.expressions.values import Value, as_float
from vaxseq.frame import Source
from vaxseq.report.column import ColumnSummary
from vaxseq.report.scan import blocks

_TEXTS = 20
_MOST_BINS = 2000

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


class Coding:
    """A column's values as the numbers of bins, -1 outside of them: stretches of numbers, or single texts."""

    def __init__(self, one: ColumnSummary, bins: int) -> None:
        if one.shape:
            raise OptionError(f"column {one.name!r}: an array of shape {one.shape}, expected one value a row")
        self.labels: Any
        if one.kind == "text":
            self.labels = [text for text, _ in one.top(min(bins, _TEXTS))]
            self._texts = pa.array(self.labels, pa.large_string())
            self.size = len(self.labels)
        else:
            self.labels = one.edges(bins)
            self.size = len(self.labels) - 1

    def codes(self, value: Value) -> Codes:
        """One bin a row, -1 where missing or outside."""
        if isinstance(value.data, pa.Array):
            array = value.data.dictionary_decode() if isinstance(value.data, pa.DictionaryArray) else value.data
            found = pc.index_in(array.cast(pa.large_string()), value_set=self._texts)
            return np.asarray(found.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)
        return bin_codes(numbers(value), self.labels)


def numbers(value: Value) -> Floats:
    """A scalar column as float64, NaN where missing; times as the number of their unit."""
    if value.kind in ("datetime", "timedelta"):
        return np.where(value.is_missing(), np.nan, value.data.view(np.int64).astype(np.float64))
    return np.asarray(as_float(value).data)


def bin_codes(values: Floats, edges: Floats) -> Codes:
    """The bin of each value, the last edge belonging to the last; -1 outside and of NaN."""
    found = np.searchsorted(edges, values, side="right") - 1
    found[values == edges[-1]] = len(edges) - 2
    outside = ~((values >= edges[0]) & (values <= edges[-1]))
    found[outside] = -1
    return found.astype(np.int64, copy=False)


def check_bins(bins: Any) -> None:
    """Refuses what no plot can have."""
    if isinstance(bins, bool) or not isinstance(bins, int) or not 1 <= bins <= _MOST_BINS:
        raise OptionError(f"bins: got {bins!r}, expected 1 to {_MOST_BINS:,}")


def counts2d(source: Source, x: ColumnSummary, y: ColumnSummary, bins: int) -> tuple[Codes, Any, Any]:
    """See `Exploration.counts2d`."""
    check_bins(bins)
    across, up = Coding(x, bins), Coding(y, bins)
    total = np.zeros(across.size * up.size, np.int64)
    for _, values in blocks(source, list(dict.fromkeys([x.name, y.name]))):
        if values:
            first, second = across.codes(values[x.name]), up.codes(values[y.name])
            there = (first >= 0) & (second >= 0)
            total += np.bincount(first[there] * up.size + second[there], minlength=len(total))
    return total.reshape(across.size, up.size), across.labels, up.labels


def correlation(source: Source, columns: list[ColumnSummary], *, progress: bool) -> Floats:
    """Pairwise complete; columns are shifted by their means and divided by their spreads, so that nothing cancels."""
    for one in columns:
        if one.kind not in ("int", "float", "bool") or one.shape:
            raise OptionError(f"column {one.name!r}: got {one.type}, expected a column of numbers")
    names = [one.name for one in columns]
    mean = np.array([one.mean or 0.0 for one in columns])
    std = np.array([one.std or 1.0 for one in columns])
    both, sums, squares, products = (np.zeros((len(names), len(names))) for _ in range(4))
    with progress_bar(progress, "correlating", source.n_rows, "rows") as advance:
        for rows, values in blocks(source, names):
            if values:
                data = np.stack([numbers(values[name]) for name in names])
                there = np.isfinite(data)
                scaled = np.where(there, (data - mean[:, None]) / std[:, None], 0.0)
                mask = there.astype(np.float64)
                both += mask @ mask.T
                sums += scaled @ mask.T  # of the row's column where the other is there too
                squares += (scaled * scaled) @ mask.T
                products += scaled @ scaled.T
            advance(rows)
    with np.errstate(all="ignore"):
        co = products - sums * sums.T / both
        spread = squares - sums * sums / both
        found = co / np.sqrt(spread * spread.T)
    found[(spread <= 1e-12 * squares) | (spread.T <= 1e-12 * squares.T)] = np.nan
    return np.asarray(np.clip(found, -1, 1))
