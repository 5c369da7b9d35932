"""``vaxseq profile``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from vaxseq.cli._options import Data, Fitted, Json, OnMissing, Quiet, Seconds, Where


class _Shuffle(StrEnum):
    none = "none"
    whole = "global"
    block = "block"


def profile(
    fitted: Fitted,
    data: Data,
    batch_size: Annotated[int, typer.Option(help="Rows of a batch.")] = 1024,
    shuffle: Annotated[_Shuffle, typer.Option(help="The order of rows.")] = _Shuffle.none,
    where: Where = None,
    on_missing: OnMissing = "error",
    store: Annotated[Path | None, typer.Option(help="Read this packed store.", show_default=False)] = None,
    seconds: Seconds = 10,
    quiet: Quiet = False,
    json: Json = False,
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
    show(found, json=json, quiet=quiet, data=found.to_dict())
