"""``vaxseq diff``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vaxseq.cli._options import Json, Output, Quiet


def diff(
    before: Annotated[Path, typer.Argument(help="A state file, or a definition file.", show_default=False)],
    after: Annotated[Path, typer.Argument(help="Another of the same kind.", show_default=False)],
    output: Output = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Show what changed between two fits, or between two definitions; with --output as an HTML page too.

    Example: vaxseq diff fitted-may.json fitted-june.json
    """
    from vaxseq.cli._output import show
    from vaxseq.cli._records import write_page
    from vaxseq.features import FeatureSet, FittedFeatures

    if before.suffix == after.suffix == ".json":
        shown = FittedFeatures.load(before).diff(FittedFeatures.load(after))
    else:
        shown = FeatureSet.load(before).diff(FeatureSet.load(after))
    if output is not None:
        write_page(output, shown)
    show(shown, json=json, quiet=quiet, data=shown.plain())
