"""``vaxseq compact``."""

from __future__ import annotations

from typing import Annotated

import typer

from vaxseq.cli._options import Json, Quiet


def compact(
    path: Annotated[str, typer.Argument(help="A dataset's folder.", show_default=False)],
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Write a dataset's many small fragments anew as few large ones, with the same rows in the same order.

    Example: vaxseq compact day
    """
    import vaxseq
    from vaxseq.cli._output import show

    made = vaxseq.compact(path, progress=not quiet and not json)
    show(made._display().title, json=json, quiet=quiet, data=made.to_dict())
