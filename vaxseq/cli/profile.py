"""``vaxseq profile``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer


class _Shuffle(StrEnum):
    none = "none"
    whole = "global"
    block = "block"


def profile(
    fitted: Annotated[Path, typer.Argument(help="A state file, as `vaxseq fit` writes it.", show_default=False)],
    data: Annotated[str, typer.Argument(help="The dataset to read.", show_default=False)],
    batch_size: Annotated[int, typer.Option(help="Rows of a batch.")] = 1024,
    shuffle: Annotated[_Shuffle, typer.Option(help="The order of rows.")] = _Shuffle.none,
    where: Annotated[str | None, typer.Option(help="Which rows, as 'month <= 10'.", show_default=False)] = None,
    on_missing: Annotated[
        Literal["error", "drop"], typer.Option(help="error, or drop rows with a missing target.")
    ] = "error",
    store: Annotated[Path | None, typer.Option(help="Read this packed store.", show_default=False)] = None,
    seconds: Annotated[float, typer.Option(help="About how long it may take.")] = 10,
    json: Annotated[bool, typer.Option("--json", help="Print the profile as JSON.")] = False,
) -> None:
    """Find out where the time to load a batch goes, and what to do about it.

    To see whether a model waits for it, call vaxseq.profile(sequence, model) in Python.

    Example: vaxseq profile fitted.json flights.arrow --shuffle global --on-missing drop
    """
    import vaxseq
    from vaxseq.cli._output import show

    order: Any = False if shuffle is _Shuffle.none else shuffle.value
    sequence = vaxseq.Sequence(
        vaxseq.open(data),
        vaxseq.FittedFeatures.load(fitted),
        batch_size=batch_size,
        shuffle=order,
        where=where,
        on_missing=on_missing,
        store=store,
    )
    found = vaxseq.profile(sequence, seconds=seconds, shuffle=False)
    show(found, json=json, data=found.to_dict())
