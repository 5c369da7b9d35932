"""``vaxseq inspect``."""

from __future__ import annotations

from typing import Annotated

import typer

from vaxseq.cli._options import Json, Quiet, ReaderOptions


def inspect(
    data: Annotated[str, typer.Argument(help="A dataset, or any file that convert reads.", show_default=False)],
    option: ReaderOptions = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Print schema, rows, missing values, ranges and sizes; of raw text, what convert would make of it, in a second.

    Example: vaxseq inspect flights.arrow
    """
    from vaxseq.cli._output import show
    from vaxseq.cli._reader_options import read_options
    from vaxseq.convert import inspect as look

    facts = look(data, **read_options(option))
    show(facts, json=json, quiet=quiet, data=facts.plain())
