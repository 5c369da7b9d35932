"""``vaxseq materialize``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vaxseq.cli._options import Data, Fitted, Json, OnMissing, Output, Overwrite, Quiet, Scheduler, Where, as_written


def materialize(
    fitted: Fitted,
    data: Data,
    store: Annotated[
        Path | None, typer.Argument(help="The store to write, like features.h5.", show_default=False)
    ] = None,
    output: Output = None,
    where: Where = None,
    on_missing: OnMissing = "error",
    shuffle_seed: Annotated[
        int | None, typer.Option(help="Write the rows in one random order.", show_default=False)
    ] = None,
    overwrite: Overwrite = False,
    scheduler: Scheduler = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Compute the features of the rows once, into a file that training reads at the memory's pace.

    The store is named last, or by --output.

    Example: vaxseq materialize fitted.json flights.arrow features.h5 --where "month <= 10" --on-missing drop
    """
    import vaxseq
    from vaxseq.cli._cluster import cluster
    from vaxseq.cli._output import show
    from vaxseq.errors import OptionError

    named = [one for one in (store, output) if one is not None]
    if len(named) != 1:
        raise OptionError(f"materialize: got {len(named)} stores, expected one. Name it last, or by --output.")
    path = as_written(named[0])
    state = vaxseq.FittedFeatures.load(fitted)
    with cluster(scheduler) as executor:
        stored = vaxseq.materialize(
            vaxseq.open(data), state, path, where=where, on_missing=on_missing,
            shuffle_seed=shuffle_seed, overwrite=overwrite, executor=executor, progress=not (quiet or json),
        )  # fmt: skip
    size = Path(stored.path).stat().st_size
    facts = {"path": path, "rows": stored.rows, "size_bytes": size}
    show(f"{path}: {stored.rows:,} rows, {size / 1e6:,.1f} MB", json=json, quiet=quiet, data=facts)
