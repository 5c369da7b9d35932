"""The one widget: choose a column, and a second one if you like, and see its plot."""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Mapping
from typing import Any

from vaxseq.errors import MissingExtraError, OptionError
from vaxseq.report.column import ColumnSummary

_ALONE = "(alone)"


def browser(
    columns: Mapping[str, ColumnSummary], plot: Callable[[str, Any], Any], heatmap: Callable[[str, str, Any], Any]
) -> Any:
    """An ipywidgets box: the column, what it is drawn against, and the plot, drawn anew as a choice changes.

    Raises:
        MissingExtraError: ipywidgets or matplotlib isn't installed.
    """
    try:
        import ipywidgets as widgets
        from matplotlib.figure import Figure
    except ImportError as error:
        what = "needs ipywidgets and matplotlib. Run: pip install 'vaxseq[notebook]'; or draw with found.plot('column')"
        raise MissingExtraError(f"widget: {what}") from error
    alone = [name for name, one in columns.items() if not one.shape]
    column = widgets.Dropdown(options=list(columns), description="column")
    against = widgets.Dropdown(options=[_ALONE, *alone], description="against")
    picture = widgets.Image(format="png")
    said = widgets.HTML()

    def draw(_: Any = None) -> None:
        figure = Figure(figsize=(7, 4), layout="constrained")  # of no pyplot: nothing else shows or keeps it
        ax = figure.subplots()
        other = against.value
        try:
            if other in (_ALONE, column.value):
                plot(column.value, ax)
            else:
                heatmap(column.value, other, ax)
        except OptionError as error:
            said.value, picture.value = html.escape(str(error)), b""
        else:
            said.value, picture.value = "", _png(figure)

    column.observe(draw, "value")
    against.observe(draw, "value")
    draw()
    return widgets.VBox([widgets.HBox([column, against]), said, picture])


def _png(figure: Any) -> bytes:
    held = io.BytesIO()
    figure.savefig(held, format="png", dpi=100)
    return held.getvalue()
