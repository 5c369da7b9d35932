"""``vaxseq preview``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def preview(
    fitted: Annotated[Path, typer.Argument(help="A state file that vaxseq fit wrote.", show_default=False)],
    data: Annotated[str, typer.Argument(help="The dataset to look at.", show_default=False)],
    rows: Annotated[int, typer.Option(help="How many rows to look at.")] = 1024,
    where: Annotated[str | None, typer.Option(help="Which rows, as 'month == 12'.", show_default=False)] = None,
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show the first rows as a model would get them: shapes, types, ranges, and what looks wrong.

    Example: vaxseq preview fitted.json flights.arrow
    """
    import vaxseq
    from vaxseq.cli._output import show
    from vaxseq.features import FittedFeatures

    shown = FittedFeatures.load(fitted).preview(vaxseq.open(data), rows=rows, where=where)
    show(shown, json=json, data=shown.plain())
