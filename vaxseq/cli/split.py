"""``vaxseq split``."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from vaxseq.cli._options import Data, Json, Output, Overwrite, Quiet, Seed, listed

_BEGUN = ".vaxseq-split"  # in the folder of the parts, while they are written


def split(
    data: Data,
    part: Annotated[
        list[str],
        typer.Option(
            "--part",
            "-p",
            help="A part and its fraction, as train=0.8; with --by time also its end.",
            show_default=False,
        ),
    ],
    by: Annotated[str, typer.Option(help="random, hash, group or time.")] = "random",
    key: Annotated[
        list[str] | None,
        typer.Option("--key", "-k", help="The columns that decide, by commas; may repeat.", show_default=False),
    ] = None,
    seed: Seed = 0,
    gap: Annotated[
        str | None, typer.Option(help="With --by time: left out before each cut, as 12h.", show_default=False)
    ] = None,
    stratify: Annotated[
        str | None, typer.Option(help="With --by random: a column whose classes each part shares.", show_default=False)
    ] = None,
    output: Output = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Part a dataset's rows into disjoint parts; show how many rows each has, and write them if asked.

    With --output, each part is written as an Arrow file into that folder.

    Example: vaxseq split flights.arrow -p train=0.8 -p test=0.2 --by hash --key tailnum -o parts
    In time: vaxseq split turbines.arrow -p train=2014-12-01 -p test --by time --key Date_time --gap 1d
    """
    import vaxseq
    from vaxseq.cli._output import show
    from vaxseq.display.tables import Display, Heading
    from vaxseq.errors import DatasetError

    options: dict[str, Any] = {"by": by, "seed": seed, "gap": _number(gap), "stratify": stratify}
    keys = listed(key)
    if keys:
        options["key"] = keys if len(keys) > 1 else keys[0]
    parts = vaxseq.split(vaxseq.open(data), _fractions(part), **options)
    rows = {name: len(frame) for name, frame in parts.items()}
    files = {} if output is None else {name: output / f"{name}.arrow" for name in parts}
    begun = set() if output is None else _begun(output)
    for file in files.values():
        if file.exists() and not overwrite and file.name not in begun:
            raise DatasetError(f"{file}: is there already. Choose another --output, or pass --overwrite.")
        _check_replaceable(file, data)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        (output / _BEGUN).write_text(
            "\n".join(sorted(begun | {file.name for file in files.values()})), encoding="utf-8"
        )
    for name, file in files.items():
        unfinished = file.with_suffix(".arrow.part")
        parts[name].export_arrow(str(unfinished), as_stream=False, chunk_size=1 << 17)
        unfinished.replace(file)
    if output is not None:
        (output / _BEGUN).unlink()
    total = sum(rows.values()) or 1
    headings = (Heading("part"), Heading("rows", "number"), Heading("share", "number"), Heading("file"))
    lines = tuple(
        (name, f"{count:,}", f"{count / total:.2%}", *([str(files[name])] if files else []))
        for name, count in rows.items()
    )
    dropped = (f"dropped in the gap: {parts.dropped:,} rows",) if parts.dropped else ()
    written = {name: str(file) for name, file in files.items()}
    facts = {"by": by, "rows": rows, "dropped": parts.dropped, "files": written}
    shown = Display(f"Parts by {by}", headings[: None if files else 3], lines, dropped)
    show(shown, json=json, quiet=quiet, data=facts)


def _begun(folder: Path) -> set[str]:
    """The files that a killed run has begun, which the next one may replace."""
    note = folder / _BEGUN
    return set(note.read_text(encoding="utf-8").splitlines()) if note.is_file() else set()


def _check_replaceable(file: Path, data: str) -> None:
    """Refuses to replace the data itself, and what is no Arrow file."""
    from vaxseq.errors import DatasetError

    if not file.exists():
        return
    given = Path(data).resolve()
    if given in (file.resolve(), file.resolve().parent):
        raise DatasetError(f"{file}: not replaced: it is the data that is to be split. Choose another --output.")
    with open(file, "rb") if file.is_file() else nullcontext() as there:
        if there is None or there.read(6) not in (b"ARROW1", b""):
            raise DatasetError(f"{file}: not replaced: it isn't an Arrow file. Choose another --output.")


def _fractions(parts: list[str]) -> dict[str, Any]:
    """``name=value`` options as a dict: a fraction, an end in time, or None."""
    from vaxseq.errors import OptionError

    found: dict[str, Any] = {}
    for one in parts:
        name, _, text = one.partition("=")
        if not name or "/" in name or name.startswith(".") or name in found:
            raise OptionError(f"--part {one!r}: expected another name and a fraction, as train=0.8")
        found[name] = _number(text) if text else None
    return found


def _number(text: str | None) -> Any:
    """The number that a text is, or else the text."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text
