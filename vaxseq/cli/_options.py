"""Options and arguments that verbs share: one name, one letter and one meaning each, declared here and nowhere else.

A verb annotates its parameter with the alias, ``quiet: Quiet = False``; a test walks all verbs and compares.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import typer

Data = Annotated[str, typer.Argument(help="A dataset: a file, a folder of fragments or a glob.", show_default=False)]
Features = Annotated[Path, typer.Argument(help="A feature-definition file.", show_default=False)]
Fitted = Annotated[Path, typer.Argument(help="A state file, as `vaxseq fit` writes it.", show_default=False)]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors, warnings and what --json asks.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Where to write: a file, or a folder.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Where = Annotated[
    str | None, typer.Option("--where", "-w", help="Only rows where this is true: 'month <= 10'.", show_default=False)
]
Columns = Annotated[
    list[str] | None,
    typer.Option("--columns", "-c", help="Only these columns, separated by commas; may repeat.", show_default=False),
]
OnMissing = Annotated[
    Literal["error", "drop"], typer.Option("--on-missing", help="Rows with a missing target: refuse or drop them.")
]
Scheduler = Annotated[
    str | None,
    typer.Option("--scheduler", help="tcp://..., a Dask scheduler whose workers do the work.", show_default=False),
]
ReaderOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option", help="A reader's option, like delimiter=';' or null_values=?; may repeat.", show_default=False
    ),
]
Seed = Annotated[int, typer.Option("--seed", help="Another seed, another random order.")]
Seconds = Annotated[float, typer.Option("--seconds", help="About how long a profile may take; 0: none.")]


def as_written(path: Path) -> str:
    """A path's text; of a URL, which a Path has made one slash of two, as it was given."""
    return re.sub(r"^([A-Za-z][A-Za-z0-9+.-]+):/(?!/)", r"\1://", str(path))


def listed(given: Iterable[str] | None) -> list[str] | None:
    """Names separated by commas, in one option or several; None without any."""
    names = [name for one in given or () for name in one.split(",") if name]
    return names or None
