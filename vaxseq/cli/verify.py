"""``vaxseq verify``."""

from __future__ import annotations

from typing import Annotated

import typer

from vaxseq.cli._options import Json, Quiet


def verify(
    path: Annotated[str, typer.Argument(help="A dataset, a store, or a folder of stores.", show_default=False)],
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Read every byte and compare it with the checksums that were written with it; exit with 2 if one differs.

    Example: vaxseq verify flights.arrow
    """
    import vaxseq
    from vaxseq.cli._output import show

    found = vaxseq.verify(path, progress=not quiet and not json)
    show(found._display().title, json=json, quiet=quiet, data=found.to_dict())
