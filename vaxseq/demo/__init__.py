"""The main job on three shipped samples: a raw file in, a trained model and its score out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from vaxseq.demo.backend import choose_backend
from vaxseq.demo.job import Outcome, run_job
from vaxseq.demo.jobs import JOBS
from vaxseq.demo.samples import samples_folder
from vaxseq.errors import OptionError, did_you_mean

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["JOBS", "Outcome", "choose_backend", "run", "samples_folder"]


def run(
    names: Iterable[str] | None = None, *, output: Path | None = None, seed: int = 0, console: Console | None = None
) -> list[Outcome]:
    """Run the jobs of ``names`` (all of them by default), and show each step and the scores.

    Args:
        names: of "flights", "turbines", "digits".
        output: a folder that keeps the datasets and the fitted states; without it they are deleted at the end.
        seed: of the splits, the shuffles and the weights.
        console: where to show it; the terminal by default.

    Raises:
        OptionError: an unknown name.
        MissingExtraError: there is no Keras backend.
    """
    from rich.console import Console

    from vaxseq.demo.table import scores_table, steps_table

    chosen = list(JOBS if names is None else names)
    for name in chosen:
        if name not in JOBS:
            raise OptionError(f"demo: unknown sample {name!r}.{did_you_mean(name, JOBS)}")
    console = console or Console()
    backend, chooser = choose_backend()
    console.print(f"Keras backend: [bold]{backend}[/bold] ({chooser})\n", highlight=False)
    samples = samples_folder()
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="vaxseq-demo-") as temporary:
        folder = Path(temporary) if output is None else output
        folder.mkdir(parents=True, exist_ok=True)
        for name in chosen:
            with console.status(name) as status:

                def tell(step: str, status=status, name=name) -> None:  # type: ignore[no-untyped-def]
                    status.update(f"{name}: {step}")

                outcome = run_job(JOBS[name], samples, folder, seed=seed, tell=tell)
            console.print(steps_table(outcome))
            outcomes.append(outcome)
    console.print(scores_table(outcomes))
    if output is not None:
        console.print(f"\nThe datasets and the fitted states are in {output}", highlight=False)
    return outcomes
