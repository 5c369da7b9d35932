"""``vaxseq fit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def fit(
    features: Annotated[Path, typer.Argument(help="A feature-definition file.", show_default=False)],
    data: Annotated[str, typer.Argument(help="The dataset with the training rows.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The state file to write.")] = Path("fitted.json"),
    where: Annotated[
        str | None, typer.Option(help="Which rows are training rows, as 'month <= 10'.", show_default=False)
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="tcp://..., a Dask scheduler whose workers read.", show_default=False)
    ] = None,
    progress: Annotated[bool, typer.Option(help="Show a progress bar in a terminal.")] = True,
    json: Annotated[bool, typer.Option("--json", help="Print what was learned as JSON.")] = False,
) -> None:
    """Learn from the training rows what the features need, and write it as a state file.

    Example: vaxseq fit features.yaml flights.arrow --where "month <= 10" -o fitted.json
    """
    import vaxseq
    from vaxseq.cli._cluster import cluster
    from vaxseq.cli._output import show
    from vaxseq.features import FeatureSet

    definition = FeatureSet.load(features)
    with cluster(scheduler) as executor:
        fitted = definition.fit(vaxseq.open(data), where=where, executor=executor, progress=progress)
    fitted.save(output)
    shown = fitted.summary()
    show(shown, f"written: {output}", json=json, data=shown.plain())
