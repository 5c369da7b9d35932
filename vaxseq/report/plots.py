"""Plots of an exploration, with matplotlib."""

from __future__ import annotations

from typing import Any

import numpy as np

from vaxseq.errors import MissingExtraError
from vaxseq.report.column import ColumnSummary
from vaxseq.report.formatting import share

_BLUE = "#3b6ea8"


def plot_column(one: ColumnSummary, *, ax: Any, bins: int) -> Any:
    """Bars of the commonest texts, or a histogram."""
    ax = _axes(ax, (7, 3.2) if one.kind != "text" else (7, 0.3 * min(20, max(2, one.distinct.estimate)) + 1))
    title = f"{one.name}: {one.count:,} values"
    if one.missing:
        title += f", {share(one.missing / one.rows)} missing"
    if one.kind == "text":
        found = one.top(20)[::-1]
        ax.barh([str(text) for text, _ in found], [count for _, count in found], color=_BLUE)
        ax.set_xlabel("rows")
        if one.distinct.estimate > len(found):
            title += f"; the {len(found)} commonest of {one.distinct.estimate:,}"
        ax.margins(y=0.02)
    elif not one.count:
        ax.text(0.5, 0.5, "no values", ha="center", va="center", transform=ax.transAxes)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.set_xlabel(_label(one))
    else:
        counts, edges = one.histogram(bins)
        ax.stairs(counts, _places(one, edges), fill=True, color=_BLUE)
        _ticked(ax.xaxis, one)
        ax.set_xlabel(_label(one))
        ax.set_ylabel("rows" if not one.shape else "elements")
        outside = round(one.count - counts.sum())
        if outside > 0:
            title += f"; {outside:,} outside of this range"
        ax.margins(x=0.01)
    ax.set_title(title, loc="left", fontsize=10)
    return _calm(ax)


def plot_heatmap(x: ColumnSummary, y: ColumnSummary, counts: Any, across: Any, up: Any, *, ax: Any) -> Any:
    """Counts of pairs; colours by their logarithm, empty places blank."""
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import EngFormatter

    ax = _axes(ax, (7, 5))
    shown = np.ma.masked_equal(counts.T, 0)
    norm = LogNorm(vmin=1, vmax=max(2, int(counts.max())))
    drawn = ax.pcolormesh(_ticks(x, across), _ticks(y, up), shown, norm=norm, cmap="viridis", rasterized=True)
    for one, labels, axis in ((x, across, ax.xaxis), (y, up, ax.yaxis)):
        if one.kind == "text":
            long = one is x and max(map(len, labels), default=0) > 3
            axis.set_ticks(np.arange(len(labels)) + 0.5, labels, **({"rotation": 90} if long else {}))
        else:
            _ticked(axis, one)
    ax.figure.colorbar(drawn, ax=ax, label="rows", format=EngFormatter(sep=""))
    ax.set_xlabel(_label(x))
    ax.set_ylabel(_label(y))
    ax.set_title(f"{y.name} by {x.name}: {int(counts.sum()):,} rows", loc="left", fontsize=10)
    return _calm(ax)


def _axes(ax: Any, size: tuple[float, float]) -> Any:
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise MissingExtraError("plots: need matplotlib. pip install 'vaxseq[notebook]'") from error
    _, made = plt.subplots(figsize=size, layout="constrained")
    return made


def _calm(ax: Any) -> Any:
    from matplotlib.ticker import EngFormatter

    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for axis, name in ((ax.xaxis, ax.get_xlabel()), (ax.yaxis, ax.get_ylabel())):
        if name in ("rows", "elements"):
            axis.set_major_formatter(EngFormatter(sep=""))
    return ax


def _ticked(axis: Any, one: ColumnSummary) -> None:
    """Ticks that are values of the column: dates, whole numbers, true and false."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import MaxNLocator

    if one.kind == "datetime":
        locator = AutoDateLocator()
        axis.set_major_locator(locator)
        axis.set_major_formatter(ConciseDateFormatter(locator))
    elif one.kind == "bool":
        axis.set_ticks([0, 1], ["false", "true"])
    elif one.kind == "int" and not one.shape:
        axis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))


def _label(one: ColumnSummary) -> str:
    unit = one.unit or ("s" if one.kind == "timedelta" else "")
    return f"{one.name} ({unit})" if unit else one.name


def _ticks(one: ColumnSummary, labels: Any) -> Any:
    return np.arange(len(labels) + 1) if one.kind == "text" else _places(one, labels)


def _places(one: ColumnSummary, edges: Any) -> Any:
    """Edges as matplotlib draws them: times as days, durations in seconds."""
    if one.kind == "datetime":
        from matplotlib.dates import date2num

        return date2num(np.asarray(edges).astype(np.int64).view(one.time_type).astype("M8[us]"))
    if one.kind == "timedelta":
        return np.asarray(edges) * (np.ones(1, np.dtype(one.time_type)) / np.timedelta64(1, "s"))
    return edges
