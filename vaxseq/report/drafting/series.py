"""Lags and running means for rows that stand in series, and the window that they could be trained on."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vaxseq.errors import MissingValueError, SelectionError
from vaxseq.features.history.series import SeriesFinder
from vaxseq.frame import Source
from vaxseq.report.column import ColumnSummary
from vaxseq.report.drafting import writing
from vaxseq.report.drafting.choice import Choice
from vaxseq.report.drafting.words import word

_BLOCK_ROWS = 1 << 18
_MOST_COLUMNS = 8
_MEAN_ROWS = 6


@dataclass(frozen=True)
class Past:
    """The lines of the series, or of why there is none, and the features that look back."""

    lines: tuple[str, ...]
    features: tuple[Choice, ...] = ()


def past_of(
    source: Source,
    groups: Sequence[str],
    order: str | None,
    columns: Sequence[ColumnSummary],
    kept: Sequence[Choice],
) -> Past | None:
    """What the rows before a row can tell; None where no series is named."""
    if not groups and order is None:
        return None
    options: dict[str, object] = {}
    if groups:
        options["group_by"] = list(groups)
    if order is not None:
        options["order_by"] = order
    try:
        lengths = _lengths(source, groups, order)
    except (SelectionError, MissingValueError) as error:
        said = str(error).partition("\n")[0]
        why = writing.comment(f"No features of the past: {said}", 400)
        return Past((why, writing.comment(f"series: {writing.flow(options)}")))
    numeric = {one.column for one in kept if one.where == "numeric" and "standardize" in one.steps and not one.expr}
    chosen = [one for one in columns if one.name in numeric and not one.shape][:_MOST_COLUMNS]
    features: list[Choice] = []
    for one in chosen:
        filled = {"impute": {"strategy": "median"}}
        name = word(one.name)
        steps = ({"lag": {"rows": 1}}, filled, "standardize")
        why = "the row before; a series' first row has none"
        features.append(Choice(one.name, "numeric", why, steps, f"{name}_lag_1"))
        mean = {"rolling": {"rows": _MEAN_ROWS, "min_rows": 1}}
        why = f"the mean of {_MEAN_ROWS} rows up to this one"
        features.append(Choice(one.name, "numeric", why, (mean, filled, "standardize"), f"{name}_mean_{_MEAN_ROWS}"))
    typical = int(np.median(lengths))
    window = {"length": max(2, min(24, typical)), **options}
    lines = [
        writing.comment(f"Steps look back in {len(lengths):,} series, half of them of {typical:,} rows or more."),
        f"series: {writing.flow(options)}",
        writing.comment("To train on windows of rows instead, for a recurrent or convolutional model:"),
        writing.comment(f"window: {writing.flow(window)}"),
    ]
    return Past(tuple(lines), tuple(features))


def _lengths(source: Source, groups: Sequence[str], order: str | None) -> npt.NDArray[np.int64]:
    """Rows of each series: a pass over the columns that tell them."""
    finder = SeriesFinder(groups, order, where="series")
    names = [*groups, *([order] if order else [])]
    for start in range(0, source.n_rows, _BLOCK_ROWS):
        stop = min(start + _BLOCK_ROWS, source.n_rows)
        columns = source.read(names, start, stop)
        time = None if order is None else columns[order]
        finder.add(start, [columns[name] for name in groups], time, length=stop - start)
    with warnings.catch_warnings():
        finder.warn_of_duplicates()
    return finder.runs()[1]
