"""``vaxseq profile``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

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
    store: Annotated[Path | None, typer.Option(help="Read this packed store.", show_default=False)] = None,
    seconds: Annotated[float, typer.Option(help="About how long it may take.")] = 10,
    json: Annotated[bool, typer.Option("--json", help="Print the profile as JSON.")] = False,
) -> None:
    """Find out where the time to load a batch goes, and what to do about it.

    To see whether a model waits for it, call vaxseq.profile(sequence, model) in Python.

    Example: vaxseq profile fitted.json flights.arrow --shuffle global
    """
    from rich.console import Console

    import vaxseq

    order: Any = False if shuffle is _Shuffle.none else shuffle.value
    sequence = vaxseq.Sequence(
        vaxseq.open(data),
        vaxseq.FittedFeatures.load(fitted),
        batch_size=batch_size,
        shuffle=order,
        where=where,
        store=store,
    )
    found = vaxseq.profile(sequence, seconds=seconds, shuffle=False)
    if json:
        Console().print_json(found.to_json())
    else:
        Console(highlight=False).print(found)
