"""``vaxseq check``."""

from __future__ import annotations

from typing import Annotated

import typer

from vaxseq.cli._options import Features, Json, Quiet


def check(
    features: Features,
    data: Annotated[str | None, typer.Argument(help="A dataset to check it against.", show_default=False)] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Check a definition file, and that it fits a dataset's columns and types. Reads no rows.

    Exit code 0: it fits; 2: it doesn't, and every problem is listed with its line.

    Example: vaxseq check features.yaml flights.arrow
    """
    from rich.text import Text

    from vaxseq.cli._output import show
    from vaxseq.errors import VaxseqError
    from vaxseq.features import FeatureSet

    try:
        definition = FeatureSet.load(features)
        if data is not None:
            import vaxseq

            definition.check(vaxseq.open(data))
    except VaxseqError as error:
        if not json:
            raise
        show(json=True, quiet=quiet, data={"ok": False, "problems": str(error).splitlines()})
        raise typer.Exit(2) from error
    against = f" fits {data}" if data is not None else " is right"
    said = Text.assemble(("ok: ", "bold green"), f"{features}{against}")
    show(said, json=json, quiet=quiet, data={"ok": True, "problems": []})
