"""``vaxseq report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

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
    profile: Annotated[
        float, typer.Option(metavar="SECONDS", help="With a state file: profile shuffled batches so long; 0: don't.")
    ] = 2,
    json: Annotated[bool, typer.Option("--json", help="Print what it found as JSON.")] = False,
) -> None:
    """Write a page about the data: distributions, missing values, drift between parts, likely leaks, the profile.

    Example: vaxseq report flights.arrow fitted.json -o report.html --part train=train.arrow --part test=test.arrow
    """
    from rich.text import Text

    import vaxseq
    from vaxseq.cli._output import show

    splits = _parts(part or [])
    state = None if fitted is None else vaxseq.FittedFeatures.load(fitted)
    measured, why = None, ""
    if state is not None and profile > 0:
        measured, why = _profiled(next(iter(splits.values()), data), state, profile)
    done = vaxseq.report(
        data, output, state, splits or None, groups=group or (), profile=measured, progress=not json
    )  # fmt: skip
    said: list[Text | str] = [
        Text.assemble((f"{one.title}: ", "bold red" if one.kind == "bad" else "bold"), one.text)
        for one in done.findings
    ]
    show(
        *(said or ["Nothing stands out."]),
        *([f"Without a profile: {why}"] if why else []),
        f"Written to {done.path}",
        json=json,
        data={
            "path": str(done.path),
            "findings": [one.to_dict() for one in done.findings],
            "profile": None if measured is None else measured.to_dict(),
        },
    )


def _parts(given: list[str]) -> dict[str, str]:
    """Part name -> dataset."""
    from vaxseq.errors import OptionError

    found: dict[str, str] = {}
    for one in given:
        name, equals, path = one.partition("=")
        if not (name and equals and path):
            raise OptionError(f"--part: got {one!r}, expected NAME=DATASET, as train=train.arrow")
        if name in found:
            raise OptionError(f"--part: got {name!r} twice, expected another name for each part")
        found[name] = path
    return found


def _profiled(data: str, state: Any, seconds: float) -> tuple[Any, str]:
    """The profile of loading shuffled batches; or why there is none, as without a Keras backend."""
    import vaxseq

    try:
        frame = vaxseq.open(data)
        names = set(frame.get_column_names())
        may_miss = any(group.role != "input" and state.reads(group) <= names for group in state.groups)
        sequence = vaxseq.Sequence(frame, state, shuffle="global", on_missing="drop" if may_miss else "error")
        return vaxseq.profile(sequence, seconds=seconds, shuffle=False), ""
    except (vaxseq.VaxseqError, ImportError) as error:
        return None, str(error)
