"""``vaxseq materialize``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def materialize(
    fitted: Annotated[Path, typer.Argument(help="A state file that fit wrote.", show_default=False)],
    data: Annotated[str, typer.Argument(help="The dataset with the rows.", show_default=False)],
    output: Annotated[Path, typer.Argument(help="The store to write, like features.h5.", show_default=False)],
    where: Annotated[str | None, typer.Option(help="Which rows, as 'month <= 10'.", show_default=False)] = None,
    on_missing: Annotated[
        Literal["error", "drop"], typer.Option(help="error, or drop rows with a missing target.")
    ] = "error",
    shuffle_seed: Annotated[
        int | None, typer.Option(help="Write the rows in one random order.", show_default=False)
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a store of something else.")] = False,
    scheduler: Annotated[
        str | None, typer.Option(help="tcp://..., a Dask scheduler whose workers compute.", show_default=False)
    ] = None,
    progress: Annotated[bool, typer.Option(help="Show a progress bar in a terminal.")] = True,
    json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Compute the features of the rows once, into a file that training reads at the memory's pace.

    Example: vaxseq materialize fitted.json flights.arrow features.h5 --where "month <= 10"
    """
    import vaxseq
    from vaxseq.cli._cluster import cluster
    from vaxseq.cli._output import show

    state = vaxseq.FittedFeatures.load(fitted)
    with cluster(scheduler) as executor:
        stored = vaxseq.materialize(
            vaxseq.open(data), state, output, where=where, on_missing=on_missing,
            shuffle_seed=shuffle_seed, overwrite=overwrite, executor=executor, progress=progress,
        )  # fmt: skip
    size = output.stat().st_size
    facts = {"path": str(output), "rows": stored.rows, "size_bytes": size}
    show(f"{output}: {stored.rows:,} rows, {size / 1e6:,.1f} MB", json=json, data=facts)
