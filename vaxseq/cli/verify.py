"""``vaxseq verify``."""

from __future__ import annotations

from typing import Annotated

import typer

from vaxseq.cli._options import Json, Quiet, Scheduler


def verify(
    path: Annotated[str, typer.Argument(help="A dataset, a store, or a folder of stores.", show_default=False)],
    scheduler: Scheduler = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Read every byte and compare it with the checksums that were written with it; exit with 2 if one differs.

    Example: vaxseq verify flights.arrow
    """
    import vaxseq
    from vaxseq.cli._cluster import cluster
    from vaxseq.cli._output import show

    with cluster(scheduler) as executor:
        found = vaxseq.verify(path, executor=executor, progress=not quiet and not json)
    show(found._display().title, json=json, quiet=quiet, data=found.to_dict())
