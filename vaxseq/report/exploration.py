"""``explore``: what every column of a dataset holds, from one pass over all its rows."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.dataset.processes import with_workers
from vaxseq.display.html import Heading
from vaxseq.display.tables import Display, Shown
from vaxseq.errors import ColumnNotFoundError, DatasetError, SelectionError, SourceError, did_you_mean
from vaxseq.expressions import names_of
from vaxseq.frame import Source, source_of
from vaxseq.report import cache
from vaxseq.report.column import SHARES, ColumnSummary
from vaxseq.report.formatting import number, share
from vaxseq.report.scan import scan

_HEADINGS = (
    Heading("column"),
    Heading("type", "code", spare=True),
    Heading("missing", "number"),
    Heading("distinct", "number"),
    Heading("min", "number"),
    Heading("median", "number"),
    Heading("mean", "number"),
    Heading("max", "number"),
    Heading("commonest", "quiet", spare=True),
)


class Exploration(Shown, Mapping[str, ColumnSummary]):
    """What `explore` found: a mapping of column name to `ColumnSummary` that shows itself as a table.

    Attributes:
        rows: rows that the frame's filter leaves.
        unreadable: column name -> why no feature can read it.
    """

    def __init__(self, source: Source, columns: dict[str, ColumnSummary], unreadable: dict[str, str]) -> None:
        self._source = source
        self._columns = columns
        self.unreadable = unreadable
        self.rows = max((one.rows for one in columns.values()), default=0)

    def __getitem__(self, name: str) -> ColumnSummary:
        if name not in self._columns:
            why = f" It can't be read: {self.unreadable[name]}." if name in self.unreadable else ""
            raise ColumnNotFoundError(f"column {name!r}: not explored.{why or did_you_mean(name, self._columns)}")
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def table(self) -> Any:
        """A pandas DataFrame with a row for each column.

        Its ``quantiles`` are within 1 % of a number (exact of up to 8,192 distinct values); ``distinct_error`` is the
        relative standard error of ``distinct``, 0 when exact.
        """
        import pandas as pd

        rows = [
            {
                "type": one.type, "unit": one.unit, "count": one.count, "missing": one.missing,
                "infinite": one.infinite, "distinct": one.distinct.estimate, "distinct_error": one.distinct.error,
                "min": one.moment(one.min), "max": one.moment(one.max), "mean": one.mean, "std": one.std,
                **{f"{q:.0%}": one.moment(v) for q, v in zip(SHARES, _quantiles(one), strict=True)},
                "top": one.top(1)[0][0] if one.top(1) else None,
                "top_count": one.top(1)[0][1] if one.top(1) else None,
            }
            for one in self._columns.values()
        ]  # fmt: skip
        return pd.DataFrame(rows, index=pd.Index(list(self._columns), name="column"))

    def missing(self) -> Any:
        """A pandas DataFrame of the columns with missing values, the most first: ``missing`` and its ``share``."""
        import pandas as pd

        found = sorted((one for one in self._columns.values() if one.missing), key=lambda one: -one.missing)
        data = {"missing": [one.missing for one in found], "share": [one.missing / max(1, one.rows) for one in found]}
        return pd.DataFrame(data, index=pd.Index([one.name for one in found], name="column"))

    def plot(self, name: str, *, ax: Any = None, bins: int = 60) -> Any:
        """Draws a column's histogram, its course over time, or its commonest values. Returns the matplotlib Axes.

        Raises:
            MissingExtraError: matplotlib isn't installed.
            ColumnNotFoundError: no such column.
            OptionError: ``bins`` below 1 or above 2,000.
        """
        from vaxseq.report.pairs import check_bins
        from vaxseq.report.plots import plot_column

        check_bins(bins)
        return plot_column(self[name], ax=ax, bins=bins)

    def heatmap(self, x: str, y: str, *, bins: int = 60, ax: Any = None) -> Any:
        """Draws how many rows lie at each pair of values, of all rows. Returns the matplotlib Axes.

        Raises:
            MissingExtraError: matplotlib isn't installed.
            OptionError: an array column.
        """
        from vaxseq.report.plots import plot_heatmap

        return plot_heatmap(self[x], self[y], *self.counts2d(x, y, bins=bins), ax=ax)

    def widget(self) -> Any:
        """In a notebook: choose a column, and one to draw it against, and see `plot` or `heatmap`.

        Returns:
            An ipywidgets box; its last child is the picture.

        Raises:
            MissingExtraError: ipywidgets or matplotlib isn't installed.
        """
        from vaxseq.report.widget import browser

        return browser(
            self, lambda name, ax: self.plot(name, ax=ax), lambda name, other, ax: self.heatmap(other, name, ax=ax)
        )

    def counts2d(self, x: str, y: str, *, bins: int = 60) -> tuple[npt.NDArray[np.int64], Any, Any]:
        """Rows at each pair of values, shape (x bins, y bins), from another pass over two columns.

        Returns:
            The counts, and what the bins of x and y are: edges of numbers and times, or the commonest texts.
        """
        from vaxseq.report.pairs import counts2d

        return counts2d(self._source, self[x], self[y], bins)

    def correlation(self, names: Sequence[str] | None = None, *, progress: bool = True) -> Any:
        """Pearson's correlation of number columns, over the rows where both are there, as a pandas DataFrame.

        Args:
            names: columns; by default all scalar columns of numbers.
            progress: shows a bar when standard error is a terminal.

        Raises:
            OptionError: a column that isn't one of numbers.
        """
        import pandas as pd

        from vaxseq.report.pairs import correlation

        numeric = [one.name for one in self._columns.values() if one.kind in ("int", "float", "bool") and not one.shape]
        chosen = numeric if names is None else list(names)
        values = correlation(self._source, [self[name] for name in chosen], progress=progress)
        return pd.DataFrame(values, index=chosen, columns=chosen)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return {
            "rows": self.rows,
            "columns": [
                {
                    "name": one.name, "type": one.type, "unit": one.unit, "rows": one.rows, "count": one.count,
                    "missing": one.missing, "infinite": one.infinite,
                    "distinct": one.distinct.estimate, "distinct_error": one.distinct.error,
                    "min": _json(one.moment(one.min)), "max": _json(one.moment(one.max)),
                    "mean": one.mean, "std": one.std,
                    "quantiles": {str(q): _json(one.moment(v)) for q, v in zip(SHARES, _quantiles(one), strict=True)}
                    if one.kind != "text" and one.count else {},
                    "histogram": _histogram(one),
                    "top": [[_json(value), count] for value, count in one.top(10)],
                    "gaps": [[_json(a), _json(b)] for a, b in one.gaps()],
                }
                for one in self._columns.values()
            ],
            "unreadable": self.unreadable,
        }  # fmt: skip

    def _display(self) -> Display:
        title = f"{self.rows:,} rows, {len(self):,} columns"
        return Display(title, _HEADINGS, tuple(_line(one) for one in self._columns.values()), tuple(self._notes()))

    def _notes(self) -> list[str]:
        notes = [f"{name}: left out, {why}" for name, why in self.unreadable.items()]
        for one in self._columns.values():
            for start, stop in one.gaps():
                notes.append(f"{one.name}: no rows between {number(start)} and {number(stop)}")
        if any(not one.distinct.exact for one in self._columns.values()):
            notes.append("≈: estimated, standard error 1.6 %")
        return notes


def explore(
    frame: Any,
    *,
    columns: str | Sequence[str] | None = None,
    executor: Executor | None = None,
    progress: bool = True,
) -> Exploration:
    """What every column holds, from one pass over the rows that the frame's filter leaves.

    Memory doesn't grow with the rows. The result is kept under the data's fingerprint in $VAXSEQ_CACHE
    (by default ~/.cache/vaxseq), so that the second time costs nothing.

    Args:
        frame: a table (vaex, pandas, polars, Arrow, DuckDB, a dict of arrays) or a dataset's path.
        columns: which; by default all but hidden ones.
        executor: any ``concurrent.futures.Executor`` to share the columns with; the result is the same to the bit.
        progress: shows a bar when standard error is a terminal.

    Raises:
        SelectionError: the frame's filter leaves no row.
        ColumnNotFoundError: an unknown column.

    >>> import vaex
    >>> found = explore(vaex.from_arrays(x=np.array([1.0, 2.0, np.nan])))
    >>> found["x"].mean, found["x"].missing, found["x"].distinct.estimate
    (1.5, 1, 2)
    """
    source = source_of(frame)
    known = source.types()
    chosen = names_of(columns, "columns")
    named = [chosen] if isinstance(chosen, str) else chosen
    asked = list(known) if named is None else list(dict.fromkeys(named))
    for name in asked:
        if name not in known:
            raise ColumnNotFoundError(f"column {name!r}: not in the data.{did_you_mean(name, known)}")
    unreadable = {name: known[name].split(": ", 1)[1] for name in asked if known[name].startswith("unreadable")}
    types = {name: known[name] for name in asked if name not in unreadable}
    units = _units(frame)
    file = cache.cache_file(source.fingerprint(), types)
    found = cache.load(file)
    if found is None:
        with with_workers(executor, worth=source.opens_elsewhere) as pool:
            found = scan(source, types, units, executor=pool, progress=progress)
        try:
            cache.save(file, found)
        except OSError as error:
            logging.getLogger("vaxseq").warning(
                "what was found isn't kept, so the data is scanned again next time: %s. "
                "VAXSEQ_CACHE names a folder that can be written.",
                error,
            )
    for name, one in found.items():
        one.unit = units.get(name)
    explored = Exploration(source, found, unreadable)
    if not explored.rows:
        raise SelectionError(f"explore: no rows; the frame's filter leaves none of its {source.n_rows:,}. Loosen it.")
    return explored


def _units(frame: Any) -> dict[str, str]:
    """Units from the manifest of a dataset, or from the vaex frame."""
    path = frame if isinstance(frame, (str, os.PathLike)) else getattr(getattr(frame, "dataset", None), "path", None)
    if isinstance(path, (str, os.PathLike)):
        from vaxseq.dataset.manifest import Manifest

        try:
            manifest = Manifest.load(os.fspath(path))
        except (DatasetError, SourceError):  # a dataset of another maker has none
            return {}
        return {one.name: one.unit for one in manifest.schema.columns if one.unit}
    return {name: str(unit) for name, unit in getattr(frame, "units", {}).items()}


def _quantiles(one: ColumnSummary) -> list[float]:
    return [float(value) for value in one.quantiles()] if one.kind != "text" else [float("nan")] * len(SHARES)


def _histogram(one: ColumnSummary) -> dict[str, Any] | None:
    """Counts of numbers or times between edges."""
    if one.kind == "text" or not one.count:
        return None
    counts, edges = one.histogram()
    return {"counts": counts.round().astype(int).tolist(), "edges": [_json(one.moment(edge)) for edge in edges]}


def _json(value: Any) -> Any:
    return str(value) if isinstance(value, (np.datetime64, np.timedelta64)) else value


def _line(one: ColumnSummary) -> tuple[str, ...]:
    about = "" if one.distinct.exact else "≈ "
    numbers = [""] * 4
    if one.kind != "text" and one.count:
        median = one.moment(float(one.quantiles([0.5])[0]))
        numbers = [number(one.moment(one.min)), number(median), number(one.mean), number(one.moment(one.max))]
    top = [(value, count) for value, count in one.top(3) if one.kind == "text" or count >= 0.01 * one.count]
    common = ", ".join(f"{number(value)} ({share(count / max(1, one.count))})" for value, count in top)
    if one.distinct.exact and one.distinct.estimate == one.count > 1:
        common = "all different"
    return (
        one.name + (f" ({one.unit})" if one.unit else ""),
        one.type,
        share(one.missing / max(1, one.rows)) if one.missing else "",
        f"{about}{one.distinct.estimate:,}",
        *numbers,
        common,
    )
