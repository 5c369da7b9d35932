"""``vaxseq draft``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vaxseq.cli._options import Data, Json, Output, Overwrite, Quiet, listed


def draft(
    data: Data,
    output: Output = Path("features.yaml"),
    target: Annotated[
        str | None, typer.Option(help="What to predict: a column, or 'arr_delay >= 30'.", show_default=False)
    ] = None,
    group_by: Annotated[
        list[str] | None,
        typer.Option(help="Columns that tell series apart, by commas; may repeat.", show_default=False),
    ] = None,
    order_by: Annotated[str | None, typer.Option(help="The column that orders a series.", show_default=False)] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="Columns or patterns to leave out, by commas; may repeat.", show_default=False),
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Write a definition file to begin with: steps by what the data holds, each with its reason.

    Columns that give the target away, or that identify rows, are left out and named at the top of the file.

    Example: vaxseq draft flights.arrow --target "arr_delay >= 30" --exclude dep_delay -o features.yaml
    """
    import vaxseq
    from vaxseq.cli._output import show
    from vaxseq.errors import OptionError

    assert output is not None  # it has a default
    if output.exists() and not overwrite:
        raise OptionError(f"{output}: is there already. Pass overwrite=True to replace it, or name another file.")
    drafted = vaxseq.draft(
        data, target, group_by=listed(group_by), order_by=order_by, exclude=listed(exclude) or (),
        progress=not (quiet or json),
    )  # fmt: skip
    drafted.save(output)
    show(drafted.to_yaml(), f"written: {output}", json=json, quiet=quiet, data=drafted.to_dict())
