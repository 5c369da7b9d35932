"""``vaxseq export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from vaxseq.cli._options import Json, Output, Overwrite, Quiet


def export(
    model: Annotated[Path, typer.Argument(help="A trained model's .keras file.", show_default=False)],
    features: Annotated[
        Path, typer.Option("--features", help="The state file that it was trained with.", show_default=False)
    ],
    to: Annotated[
        Literal["saved-model", "onnx", "litert", "openapi"],
        typer.Option("--to", help="The format.", show_default=False),
    ],
    output: Output = None,
    records: Annotated[
        str | None,
        typer.Option("--records", help="Records as JSON, or a file of them, to check with.", show_default=False),
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Write a trained model with its features in another format, and check it against Keras on the spot.

    Example: vaxseq export model.keras --features fitted.json --to openapi
    """
    import vaxseq
    from vaxseq.cli._output import show
    from vaxseq.cli._records import read_records

    suffix = {"saved-model": "", "onnx": ".onnx", "litert": ".tflite", "openapi": ".openapi.json"}[to]
    target = output or model.with_name(f"{model.stem}{suffix or '.saved'}")
    checked = None if records is None else read_records(records)
    done = vaxseq.export(model, features, target, to=to, records=checked, overwrite=overwrite)
    show(done, json=json, quiet=quiet, data=done.to_dict())
