"""The main job on three shipped samples: a raw file in, a trained model and its score out.

Written as a user would write it: through vaxseq's public names, and Keras.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from vaxseq.demo.backend import choose_backend
from vaxseq.demo.samples import samples_folder
from vaxseq.errors import OptionError, did_you_mean

if TYPE_CHECKING:
    from rich.console import Console

    from vaxseq.demo.job import Outcome

__all__ = ["NAMES", "choose_backend", "run", "samples_folder"]

NAMES = ("flights", "turbines", "digits")


def run(
    names: Iterable[str] = NAMES, *, output: Path | None = None, seed: int = 0, console: Console | None = None
) -> list[Outcome]:
    """Run the jobs of ``names``, and show each step and the scores.

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

    chosen = list(names)
    for name in chosen:
        if name not in NAMES:
            raise OptionError(f"demo: unknown sample {name!r}.{did_you_mean(name, NAMES)}")
    console = console or Console()
    samples = samples_folder()
    backend, chooser = choose_backend()
    with console.status(f"loading Keras on {backend}"):
        from keras import __version__ as keras_version

        from vaxseq.demo.job import run_job
        from vaxseq.demo.jobs import JOBS
        from vaxseq.demo.table import scores_table, steps_table
    console.print(f"Keras {keras_version} on [bold]{backend}[/bold] ({chooser})\n", highlight=False)

    outcomes = []
    with tempfile.TemporaryDirectory(prefix="vaxseq-demo-") as temporary:
        folder = Path(temporary) if output is None else output
        folder.mkdir(parents=True, exist_ok=True)
        for name in chosen:
            with console.status(name) as status:
                outcome = run_job(JOBS[name], samples, folder, seed=seed, tell=status.update)
            console.print(steps_table(outcome), "")
            outcomes.append(outcome)
    console.print(scores_table(outcomes))
    if output is not None:
        console.print(f"\nThe datasets and the fitted states are in {output}", highlight=False)
    return outcomes
