"""``vaxseq demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    samples: Annotated[
        list[str] | None,
        typer.Argument(help="flights, turbines, digits; all three when none is named.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Keep the datasets and the fitted states in this folder.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of splits, shuffles and weights.")] = 0,
) -> None:
    """Run the main job on the shipped samples: convert, split, fit, train, score.

    Example: vaxseq demo flights --output demo-output
    """
    from vaxseq.demo import NAMES, run

    run(samples or NAMES, output=output, seed=seed)
