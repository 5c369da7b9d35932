"""``vaxseq inspect``."""

from __future__ import annotations

from typing import Annotated, Any

import typer


def inspect(
    data: Annotated[str, typer.Argument(help="A dataset, or any file that convert reads.", show_default=False)],
    json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Print schema, rows, missing values, ranges and sizes, and whether the data memory-maps.

    Example: vaxseq inspect flights.arrow
    """
    from rich.console import Console
    from rich.table import Table

    from vaxseq.convert import inspect as look

    console = Console(highlight=False, soft_wrap=json)
    facts = look(data)
    if json:
        console.print_json(data=facts)
        return
    table = Table("column", "type", "missing", "min", "max", "mean")
    for one in facts["columns"]:
        unit = f" ({one['unit']})" if one["unit"] else ""
        table.add_row(
            one["name"] + unit,
            one["type"],
            f"{one['missing']:,}",
            *(_shown(one[key]) for key in ("min", "max", "mean")),
        )
    console.print(
        f"{data}: {facts['rows']:,} rows, {facts['size_bytes'] / 1e6:,.1f} MB, {facts['fragments']} file(s), "
        f"{facts['format']}"
    )
    console.print(table)
    console.print(
        "It memory-maps." if facts["memory_maps"] else "It doesn't memory-map: " + " ".join(facts["obstacles"]),
        markup=False,
    )


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
