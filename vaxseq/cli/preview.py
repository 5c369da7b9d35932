"""``vaxseq preview``."""

from __future__ import annotations

from typing import Annotated

import typer

from vaxseq.cli._options import Data, Fitted, Json, Quiet, Where


def preview(
    fitted: Fitted,
    data: Data,
    rows: Annotated[int, typer.Option("--rows", "-n", help="How many rows to look at.")] = 1024,
    where: Where = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Show the first rows as a model would get them: shapes, types, ranges, and what looks wrong.

    Example: vaxseq preview fitted.json flights.arrow
    """
    import vaxseq
    from vaxseq.cli._output import show
    from vaxseq.features import FittedFeatures

    shown = FittedFeatures.load(fitted).preview(vaxseq.open(data), rows=rows, where=where)
    show(shown, json=json, quiet=quiet, data=shown.plain())
