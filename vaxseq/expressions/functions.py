"""The one table of what an expression may call: importing this module fills it."""

from __future__ import annotations

from vaxseq.expressions import arithmetic, calendar, casts, choice, elementary, logic, reductions, texts
from vaxseq.expressions.table import TABLE, Function

FUNCTIONS: dict[str, Function] = TABLE
CONSTANTS: dict[str, float] = {
    "pi": 3.141592653589793,
    "e": 2.718281828459045,
    "nan": float("nan"),
    "inf": float("inf"),
}
NAMESPACES: tuple[str, ...] = ("dt", "str", "td")
_MODULES = (arithmetic, calendar, casts, choice, elementary, logic, reductions, texts)
_GROUPS = ("operators", "choice", "missing", "mathematics", "rounding", "times", "texts", "array columns")


def table() -> str:
    """The allow-list as a markdown table, for the documentation and the command line.

    >>> print(table().splitlines()[0])
    | group | written | takes | gives |
    """
    lines = ["| group | written | takes | gives |", "|---|---|---|---|"]
    groups: dict[str, list[Function]] = {group: [] for group in _GROUPS}
    for entry in FUNCTIONS.values():
        groups[entry.group].append(entry)
    for group, entries in groups.items():
        for entry in entries:
            written = entry.signature.replace("|", "\\|")
            kinds = "; ".join(f"{one.name}: {one.takes}" for one in entry.parameters)
            lines.append(f"| {group} | `{written}` | {kinds} | {entry.doc} |")
    names = ", ".join(f"`{name}`" for name in CONSTANTS)
    lines.append(f"| constants | {names}, `True`, `False`, numbers, texts | | nan is a missing number |")
    lines.append('| columns | `name`, `col("any name")` | | the column; col for a name that is no identifier |')
    return "\n".join(lines)
