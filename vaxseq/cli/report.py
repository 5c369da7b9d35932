"""``vaxseq report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vaxseq.cli._options import Data, Json, Output, Quiet, Seconds


def report(
    data: Data,
    fitted: Annotated[
        Path | None, typer.Argument(help="A state file, as `vaxseq fit` writes it.", show_default=False)
    ] = None,
    output: Output = Path("report.html"),
    split: Annotated[
        list[str] | None,
        typer.Option(help="A part of the data: train=train.arrow; the first is the reference.", show_default=False),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(help="A column whose values must not lie in two parts.", show_default=False),
    ] = None,
    seconds: Seconds = 2,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Write a page about the data: distributions, missing values, drift between parts, likely leaks, the profile.

    With a state file, shuffled batches are profiled for some --seconds.

    Example: vaxseq report flights.arrow fitted.json -o report.html --split train=train.arrow --split test=test.arrow
    """
    from rich.text import Text

    import vaxseq
    from vaxseq.cli._output import show

    splits = _parts(split or [])
    state = None if fitted is None else vaxseq.FittedFeatures.load(fitted)
    measured, why = None, ""
    if state is not None and seconds > 0:
        measured, why = _profiled(next(iter(splits.values()), data), state, seconds)
    assert output is not None  # it has a default
    done = vaxseq.report(
        data, output, state, splits or None, groups=group or (), profile=measured, progress=not (quiet or json)
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
        quiet=quiet,
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
            raise OptionError(f"--split: got {one!r}, expected NAME=DATASET, as train=train.arrow")
        if name in found:
            raise OptionError(f"--split: got {name!r} twice, expected another name for each part")
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
