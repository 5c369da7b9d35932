"""``vaxseq report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    data: Annotated[str, typer.Argument(help="The dataset.", show_default=False)],
    fitted: Annotated[
        Path | None, typer.Argument(help="A state file, as `vaxseq fit` writes it.", show_default=False)
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write.")] = Path("report.html"),
    part: Annotated[
        list[str] | None,
        typer.Option(help="A part of the data, as train=train.arrow; the first is the reference.", show_default=False),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(help="A column whose values must not lie in two parts.", show_default=False),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print what it found as JSON.")] = False,
) -> None:
    """Write a page about the data: distributions, missing values, drift between parts, likely leaks.

    Example: vaxseq report flights.arrow fitted.json -o report.html --part train=train.arrow --part test=test.arrow
    """
    from rich.console import Console
    from rich.text import Text

    import vaxseq
    from vaxseq.errors import OptionError

    splits = {}
    for one in part or []:
        name, equals, path = one.partition("=")
        if not (name and equals and path):
            raise OptionError(f"--part: got {one!r}, expected NAME=DATASET, as train=train.arrow")
        splits[name] = path
    done = vaxseq.report(data, output, fitted, splits or None, groups=group or (), progress=not json)
    console = Console(highlight=False, soft_wrap=json)
    if json:
        console.print_json(data={"path": str(done.path), "findings": [one.to_dict() for one in done.findings]})
        return
    for finding in done.findings:
        console.print(
            Text.assemble((f"{finding.title}: ", "bold red" if finding.kind == "bad" else "bold"), finding.text)
        )
    if not done.findings:
        console.print("Nothing stands out.")
    console.print(Text(f"Written to {done.path}"))
