"""``vaxseq explore``."""

from __future__ import annotations

from typing import Annotated

import typer


def explore(
    data: Annotated[str, typer.Argument(help="The dataset to look at.", show_default=False)],
    columns: Annotated[
        list[str] | None, typer.Option("--column", help="Only this column; may be repeated.", show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show what every column holds, from one pass over all rows.

    Example: vaxseq explore flights.arrow
    """
    import vaxseq
    from vaxseq.cli._output import show

    found = vaxseq.explore(data, columns=columns, progress=not json)
    show(found, json=json, data=found.to_dict())
