"""``vaxseq demo``."""

from __future__ import annotations

from typing import Annotated

import typer

from vaxseq.cli._options import Json, Output, Quiet, Seed


def demo(
    samples: Annotated[
        list[str] | None,
        typer.Argument(help="flights, turbines, digits; all three when none is named.", show_default=False),
    ] = None,
    output: Output = None,
    seed: Seed = 0,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Run the main job on the shipped samples: convert, split, fit, train, score.

    The folder of --output keeps the datasets and the fitted states; without it they are deleted at the end.

    Example: vaxseq demo turbines --output demo-output
    """
    from rich.console import Console

    from vaxseq.cli._output import show
    from vaxseq.demo import NAMES, run

    outcomes = run(samples or NAMES, output=output, seed=seed, console=Console(quiet=quiet or json))
    if json:  # a person has seen it all, step by step
        show(json=True, quiet=quiet, data=[one.to_dict() for one in outcomes])
