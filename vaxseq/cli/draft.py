"""``vaxseq draft``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def draft(
    data: Annotated[str, typer.Argument(help="The dataset with the training rows.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The definition file to write.")] = Path(
        "features.yaml"
    ),
    target: Annotated[
        str | None, typer.Option(help="What to predict: a column, or 'arr_delay >= 30'.", show_default=False)
    ] = None,
    group_by: Annotated[
        list[str] | None, typer.Option(help="A column that tells series apart; may be repeated.", show_default=False)
    ] = None,
    order_by: Annotated[str | None, typer.Option(help="The column that orders a series.", show_default=False)] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="A column or pattern to leave out; may be repeated.", show_default=False),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace a file that is there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the definition as JSON.")] = False,
) -> None:
    """Write a definition file to begin with: steps by what the data holds, each with its reason.

    Columns that give the target away, or that identify rows, are left out and named at the top of the file.

    Example: vaxseq draft flights.arrow --target "arr_delay >= 30" --exclude dep_delay -o features.yaml
    """
    import vaxseq
    from vaxseq.cli._output import show
    from vaxseq.errors import OptionError

    if output.exists() and not overwrite:
        raise OptionError(f"{output}: is there already. Pass overwrite=True to replace it, or name another file.")
    drafted = vaxseq.draft(data, target, group_by=group_by, order_by=order_by, exclude=exclude or (), progress=not json)
    drafted.save(output)
    show(drafted.to_yaml(), f"written: {output}", json=json, data=drafted.to_dict())
