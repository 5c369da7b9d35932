"""``vaxseq fit``."""

from __future__ import annotations

from pathlib import Path

from vaxseq.cli._options import Data, Features, Json, Output, Quiet, Scheduler, Where


def fit(
    features: Features,
    data: Data,
    output: Output = Path("fitted.json"),
    where: Where = None,
    scheduler: Scheduler = None,
    quiet: Quiet = False,
    json: Json = False,
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
        fitted = definition.fit(vaxseq.open(data), where=where, executor=executor, progress=not (quiet or json))
    assert output is not None  # it has a default
    fitted.save(output)
    shown = fitted.summary()
    show(shown, f"written: {output}", json=json, quiet=quiet, data=shown.plain())
