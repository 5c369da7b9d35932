"""What stands before the rows: lines to skip, comments, names in one line or two, units."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vaxseq.convert.forms.units import is_unit

Fields = list[str]
_NUMBER = re.compile(r"(?:[+-]?(?:\d[\d.,' ]*|[.,]\d+)(?:[eE][+-]?\d+)?\s*%?|\(\d[\d.,' ]*\))$")
_TIME = re.compile(
    r"\d{1,4}[-/.:]\d{1,2}(?:[-/.:T]| (?=[\dAPap])|$)|\d{1,2}[- ]?[A-Za-z]{3,9}[- ]?\d{2,4}\b"
    r"|[A-Z][a-z]{2,8}\.? \d{1,2}, ?\d{4}\b|\d{8}[T_ :-]\d{4}|\d{4}-?W\d{2}"
)
_IN_BRACKETS = re.compile(r".\s*(\[[^\[\]]{1,16}\]|\([^()]{1,16}\))\s*$")
_RULE = re.compile(r"[-=*_~+|]+$")
_MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "-", "--", "?"))


@dataclass(frozen=True, slots=True)
class Record:
    """A record of the file's first part: where it lies, its line counted from 0, and its fields."""

    start: int
    stop: int
    line: int
    fields: Fields

    @property
    def width(self) -> int:
        """How many fields it has."""
        return len(self.fields)


@dataclass(frozen=True, slots=True)
class Head:
    """Column names and units, the header's own record, and how many records come before the first row."""

    names: tuple[str, ...]
    units: dict[str, str]
    header: Record | None
    before: int


def is_value(cell: str) -> bool:
    """Whether a cell looks like a number or a time: data, not a name."""
    cell = cell.strip()
    return bool(_NUMBER.match(cell) or _TIME.match(cell))


def is_rule(fields: Sequence[str]) -> bool:
    """Whether a line is drawn by dashes or their kin under a header.

    >>> is_rule(["-----"]), is_rule(["---", "==="]), is_rule(["-", "-"]), is_rule(["***", ""])
    (True, True, False, True)
    """
    told = [cell.strip() for cell in fields if cell.strip()]
    return bool(told) and all(_RULE.match(cell) for cell in told) and max(map(len, told)) > 2


def is_blank(cell: str) -> bool:
    """Whether a cell is missing."""
    return cell.strip().lower() in _MISSING


def read_head(
    records: Sequence[Record], *, header: bool | Sequence[str], header_rows: int, units_rows: int,
    names: Sequence[str] | None,
) -> Head:  # fmt: skip
    """Names and units from the records that remain after skipped lines and comments."""
    filled = [one for one in records if one.stop > one.start]
    rows = header_rows if header is True else 0
    heads, units = filled[:rows], filled[rows : rows + units_rows]
    if names is not None:
        found = tuple(map(str, names))
    elif not isinstance(header, bool):
        found = tuple(map(str, header))
    elif header:
        found = joined_names([one.fields for one in heads])
    else:
        found = tuple(f"column_{number}" for number in range(filled[0].width if filled else 0))
    marks = {name: unit for place, name in enumerate(found) if (unit := _unit(units, place) or unit_in_name(name))}
    return Head(found, marks, heads[-1] if heads else None, len(heads) + len(units))


def _unit(lines: Sequence[Record], place: int) -> str:
    """What the first of these lines that says something says of the column."""
    cells = [one.fields[place].strip("[]() ") for one in lines if place < one.width]
    return next((cell for cell in cells if cell), "")


def unit_in_name(name: str) -> str:
    """The unit at a name's end, in brackets; "" where there's none that is known.

    A letter in parentheses may be a phase or a variant as well as amperes.

    >>> [unit_in_name(one) for one in ("Temp (°C)", "P [kW]", "I [A]", "I (A)", "Power (new)", "kW")]
    ['°C', 'kW', 'A', '', '', '']
    """
    found = _IN_BRACKETS.search(name)
    unit = found[1].strip("[]() ") if found else ""
    letter = len(unit) == 1 and unit.isalpha() and name.rstrip().endswith(")")
    return unit if unit and not letter and is_unit(unit) else ""


def joined_names(lines: Sequence[Fields]) -> tuple[str, ...]:
    """One name a column. A cell of an upper line holds for the blank ones right of it, as merged cells do.

    >>> joined_names([["", "January", "", "February"], ["kWh", "Sat", "Sun", "Sat"]])
    ('kWh', 'January Sat', 'January Sun', 'February Sat')
    """
    width = max((len(line) for line in lines), default=0)
    parts: list[list[str]] = [[] for _ in range(width)]
    for number, line in enumerate(lines):
        last = ""
        for place in range(width):
            cell = line[place].strip() if place < len(line) else ""
            if number < len(lines) - 1:
                last = cell or last
                cell = cell or last
            if cell:
                parts[place].append(cell)
    return tuple(" ".join(part) or f"column_{number}" for number, part in enumerate(parts))


def skipped(records: Sequence[Record], lines: int, comment: str | None, text: Callable[[Record], str]) -> int:
    """How many records come before the header: ``lines`` of them, then comments."""
    at = 0
    while at < len(records) and records[at].line < lines:
        at += 1
    while comment and at < len(records) and (not text(records[at]).strip() or text(records[at]).startswith(comment)):
        at += 1
    return at
