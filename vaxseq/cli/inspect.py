"""``vaxseq inspect``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from vaxseq.cli._options import Json, Quiet


def inspect(
    data: Annotated[str, typer.Argument(help="A dataset, or any file that convert reads.", show_default=False)],
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Print schema, rows, missing values, ranges and sizes, and whether the data memory-maps.

    Example: vaxseq inspect flights.arrow
    """
    from vaxseq.cli._output import show
    from vaxseq.convert import inspect as look
    from vaxseq.display.tables import Display, Heading

    facts = look(data)
    headings = (
        Heading("column"),
        Heading("type", "code"),
        *(Heading(name, "number") for name in ("missing", "min", "max", "mean")),
    )
    rows = tuple(
        (
            one["name"] + (f" ({one['unit']})" if one["unit"] else ""),
            one["type"],
            f"{one['missing']:,}" if one["missing"] else "",
            *(_shown(one[key]) for key in ("min", "max", "mean")),
        )
        for one in facts["columns"]
    )
    files = f"{facts['fragments']:,} file{'' if facts['fragments'] == 1 else 's'}"
    title = f"{data}: {facts['rows']:,} rows, {facts['size_bytes'] / 1e6:,.1f} MB, {files}, {facts['format']}"
    maps = "It memory-maps." if facts["memory_maps"] else "It doesn't memory-map: " + " ".join(facts["obstacles"])
    show(Display(title, headings, rows), maps, json=json, quiet=quiet, data=facts)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):  # a time
        return value.replace("T", " ")
    return f"{value:.6g}" if isinstance(value, float) else str(value)
