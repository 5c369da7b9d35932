"""``vaxseq explain``."""

from __future__ import annotations

from typing import Annotated

import typer

from vaxseq.cli._options import Fitted, Json, Output, Quiet, listed


def explain(
    fitted: Fitted,
    record: Annotated[str, typer.Argument(help="A record as JSON, or a file that holds one; - for stdin.")],
    features: Annotated[
        list[str] | None,
        typer.Option("--feature", help="Only these features, separated by commas; may repeat.", show_default=False),
    ] = None,
    output: Output = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Show how a record becomes its features: raw values, each step with what it learned, what is served.

    With --output, it is written as an HTML page too.

    Example: vaxseq explain fitted.json '{"distance": 1400, "carrier": "UA"}'
    """
    from vaxseq.cli._output import show
    from vaxseq.cli._records import read_records, write_page
    from vaxseq.features import FittedFeatures

    shown = FittedFeatures.load(fitted).explain(read_records(record), features=listed(features))
    if output is not None:
        write_page(output, shown)
    show(shown, json=json, quiet=quiet, data=shown.plain())
