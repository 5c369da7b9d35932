"""What is odd about a file's first lines, as the options that set it right."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from vaxseq.convert.forms.units import is_unit
from vaxseq.convert.layouts.blocks import several_tables
from vaxseq.convert.layouts.evidence import agree, are_row_numbers, goes_up, has_values_alone, is_row, value_columns
from vaxseq.convert.layouts.first_values import start_and_rate
from vaxseq.convert.layouts.head import Record, is_blank, is_rule, is_value
from vaxseq.convert.layouts.layout_issue import LayoutIssue
from vaxseq.convert.layouts.preamble import header_below, next_table, other_width
from vaxseq.dataset.table_columns import repeated_names

_MOST_UNITS = 3
_LONGEST_UNIT = 16
_YEAR = re.compile(r"(?:18|19|20)\d\d$")
_INFINITE = re.compile(r"[+-]?inf(inity)?$", re.IGNORECASE)
_MARKS = frozenset("[(/^*·%‰°²³µμΩ$€£")  # of units, which words and codes of data seldom have
_MOST_HEADERS = 4
_RDB = re.compile(r"\d{1,3}[sdnSDN]$")  # widths and kinds of columns below the names of USGS's files


def diagnose(records: Sequence[Record], *, whole: bool = False, one: bool = False) -> LayoutIssue | None:
    """The first oddity of records of which the first is taken for the header.

    ``whole``: they are all of the file. ``one``: there is one table in it.
    """
    filled = [line for line in records if line.stop > line.start and not is_rule(line.fields)]
    if len(filled) < 2:
        return None
    checks = (
        lambda lines: None if one else several_tables(lines), start_and_rate,
        lambda lines: other_width(lines, _diagnose_one, whole=whole), _in_single_quotes, _many_headers,
        lambda lines: header_below(lines, _diagnose_one), next_table, _twice, _names_are_data,
        _text_above_numbers, _words_again, _axis_or_row,
    )  # fmt: skip
    for check in checks:
        if (found := check(filled)) is not None:
            return found
    return None


def _diagnose_one(records: Sequence[Record]) -> LayoutIssue | None:
    return diagnose(records, one=True)


def _in_single_quotes(filled: Sequence[Record]) -> LayoutIssue | None:
    """Names and cells in single quotes, which the usual dialect takes for characters."""

    def quoted(cell: str) -> bool:
        return len(cell := cell.strip()) > 1 and cell[0] == cell[-1] == "'"

    rows = [one.fields for one in filled[1:] if one.width == filled[0].width]
    places = [place for place in range(filled[0].width) if rows and all(quoted(row[place]) for row in rows)]
    if len(rows) < 2 or not places:
        return None
    return LayoutIssue("cells stand in single quotes", {"quote": "'"}, (filled[1].line + 1,))


def _twice(filled: Sequence[Record]) -> LayoutIssue | None:
    """Names that come twice: two header lines, or no header."""
    names = [name.strip() for name in filled[0].fields]
    double = [name for name in repeated_names(names) if name]
    if not double:
        return None
    said = f"column names must differ; got {double} twice"
    second = filled[1]
    told = [name for name in names if not is_blank(name)]
    if names[0] and sum(map(is_value, told)) * 2 > len(told):  # a blank one stands above row numbers
        return LayoutIssue(said + ", and they are numbers", {"header": False}, (filled[0].line + 1,), True,
                      certain=_is_row(filled))  # fmt: skip
    if second.width == len(names) and not any(map(is_value, second.fields)):
        pairs = list(zip(_filled_forward(names), second.fields, strict=True))
        if len(set(pairs)) == len(pairs):
            below = _text_above_numbers(filled[1:]) if len(filled) > 2 else None
            units = below.options if below is not None and "units_rows" in below.options else {}
            rows = [one.fields for one in filled[2:]]
            certain = agree(filled[1:], second.width) and len(value_columns(rows)) > 1 and not any(
                is_blank(cell) for cell in second.fields[1:]
            ) and (below is None or below.certain)  # fmt: skip
            return LayoutIssue(said + ", and the line below goes on with the header", {"header_rows": 2, **units},
                          (filled[0].line + 1, second.line + 1), True, certain=certain,
                          asks=len(value_columns(rows)) < 2 or (below is not None and below.asks))  # fmt: skip
    rows = [one.fields for one in filled[1:]]
    named = _counts_rows(filled) or not any(is_value(name) or is_blank(name) for name in names)
    certain = named and agree(filled, len(names)) and any(has_values_alone(rows, at) for at in value_columns(rows))
    return LayoutIssue(said, {"names": different(names)}, (filled[0].line + 1,), True, certain=certain)


def _many_headers(filled: Sequence[Record]) -> LayoutIssue | None:
    """More than two lines of names, above a blank one; each begins with a word."""
    blank = next((at for at, one in enumerate(filled) if not any(cell.strip() for cell in one.fields)), 0)
    if not 2 < blank < _MOST_HEADERS or len(filled) < blank + 3:
        return None
    heads, rows = [one.fields for one in filled[:blank]], [one.fields for one in filled[blank + 1 :]]
    width = filled[0].width
    if any(len(one) != width for one in (*heads, *rows)) or any(is_value(one[0]) or is_blank(one[0]) for one in heads):
        return None
    if len({*zip(*heads, strict=True)}) < width or not is_value(rows[0][0]) or not value_columns(rows):
        return None
    first = filled[0].line + 1
    said = f"the names stand in {blank} lines, {first} to {filled[blank - 1].line + 1}, above a blank one"
    return LayoutIssue(said, {"header_rows": blank + 1}, (first,), True)


def _filled_forward(names: Sequence[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        found.append(name or (found[-1] if found else ""))
    return found


def different(names: Sequence[str]) -> list[str]:
    """The names, those that come again with a number behind.

    >>> different(["a", "b", "a"])
    ['a', 'b', 'a_2']
    """
    seen: Counter[str] = Counter()
    found: list[str] = []
    for number, name in enumerate(names):
        name = name or f"column_{number}"
        seen[name] += 1
        made = name if seen[name] == 1 else f"{name}_{seen[name]}"
        while made in found or (made != name and made in names):
            seen[name] += 1
            made = f"{name}_{seen[name]}"
        found.append(made)
    return found


def _names_are_data(filled: Sequence[Record]) -> LayoutIssue | None:
    """A first line that is a row like the others."""
    names = _names(filled[0])
    above = _above_values(filled)
    if not above or goes_up(names) or _counts_rows(filled) or _are_years(filled, above):
        return None
    said = f"the first line looks like a row, not like names: {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}"
    sure = sum(map(is_value, names)) * 2 >= len(names)
    certain, asks = _is_row(filled), not names[0]  # a blank first name is more often one above row numbers
    return LayoutIssue(said, {"header": False}, (filled[0].line + 1,), sure=sure, asks=asks, certain=certain)


def _counts_rows(filled: Sequence[Record]) -> bool:
    """Whether the first column counts the rows below a first line that says nothing of it."""
    cells = [one.fields[0].strip() for one in filled[1:] if one.width == filled[0].width]
    return not filled[0].fields[0].strip() and are_row_numbers(cells)


def _are_years(filled: Sequence[Record], above: Sequence[str]) -> bool:
    """Whether numbers beside words are years, as columns are named, and what stands below them isn't."""
    rows = [one.fields for one in filled[1:] if one.width == filled[0].width]
    below = [row[place].strip() for row in rows for place, name in enumerate(filled[0].fields) if name.strip() in above]
    return len(above) < filled[0].width and all(map(_YEAR.match, above)) and not all(map(_YEAR.match, below))


def _axis_or_row(filled: Sequence[Record]) -> LayoutIssue | None:
    """Names that go up as an axis does, and may be a row all the same; years beside a word are none."""
    names = _names(filled[0])
    above = [] if _counts_rows(filled) else _above_values(filled)
    if not above or not goes_up(names) or (len(above) < len(names) and all(map(_YEAR.match, above))):
        return None
    said = f"the names are numbers that go up, {', '.join(names[:4])}; header=False takes them for a row"
    options = {"header": False} if is_value(names[0]) else {}  # a word before them names the axis
    return LayoutIssue(said, options, (filled[0].line + 1,), sure=False)


def _names(header: Record) -> list[str]:
    return [name.strip() for name in (header.fields[0].lstrip("# "), *header.fields[1:])]


def _above_values(filled: Sequence[Record]) -> list[str]:
    """The names of the columns of numbers and times, where all are values or missing and one says something."""
    names, rows = _names(filled[0]), [one.fields for one in filled[1:] if one.width == filled[0].width]
    above = [names[place] for place in value_columns(rows)]
    return above if any(above) and all(is_value(one) or is_blank(one) or _INFINITE.match(one) for one in above) else []


def _is_row(filled: Sequence[Record]) -> bool:
    """Whether the first line can be nothing but a row."""
    return agree(filled, filled[0].width) and is_row(filled[0].fields, [one.fields for one in filled[1:]])


def _words_again(filled: Sequence[Record]) -> LayoutIssue | None:
    """A first line in a table of words whose cells come below in their columns."""
    names, rows = filled[0].fields, [one.fields for one in filled[1:] if one.width == filled[0].width]
    if not rows or value_columns(rows) or names in rows:
        return None
    again = [name for place, name in enumerate(names) if not is_blank(name) and any(r[place] == name for r in rows)]
    if not again:
        return None
    said = f"the first line may be a row, not names: {', '.join(map(repr, again[:3]))} is a value in its column"
    return LayoutIssue(said, {"header": False}, (filled[0].line + 1,), sure=False)


def _text_above_numbers(filled: Sequence[Record]) -> LayoutIssue | None:
    """Units or a second line of names between the header and the rows."""
    header = filled[0]
    for count in range(1, min(_MOST_UNITS, len(filled) - 2) + 1):
        above, rows = filled[1 : 1 + count], [one.fields for one in filled[1 + count :] if one.width == header.width]
        columns = value_columns(rows[min(_MOST_UNITS, len(rows) - 1) :]) if rows else []
        if not columns:
            return None
        cells = [one.fields[place] for one in above for place in columns if place < one.width]
        if any(map(is_value, cells)) or not all(any(f.strip() for f in one.fields) for one in above):
            return None
        if any(one.fields == header.fields for one in above) or any(one.width > header.width for one in above):
            return None
        told = sum(any(not is_blank(one.fields[place]) for one in above if place < one.width) for place in columns)
        if told * 2 < len(columns) or not _all_values(rows[:2], columns):
            continue
        if not any(cell.strip() for cell in filled[1 + count].fields) and len(filled) > 3 + count:
            count += 1  # a blank line under them
        lines = tuple(one.line + 1 for one in above)
        shown = ", ".join(above[0].fields[:4]) + (", ..." if above[0].width > 4 else "")
        blank = any(not name.strip() for place, name in enumerate(header.fields) if place in columns)
        if count == 1 and (blank or max(map(len, cells)) > _LONGEST_UNIT):
            said = f"line {lines[0]} looks like a second line of names: {shown}"
            return LayoutIssue(said, {"header_rows": 2}, lines, asks=not blank)
        return LayoutIssue(
            f"line {lines[0]} looks like units, not like a row: {shown}",
            {"units_rows": count},
            lines,
            asks=not (known := _are_units(above, rows, columns)),
            certain=known and agree([header, *filled[1 + count :]], header.width),
        )
    return None


def _are_units(lines: Sequence[Record], rows: Sequence[Sequence[str]], columns: Sequence[int]) -> bool:
    """Whether a line can be nothing but units: most are known ones, and marks or prefixes tell them from letters."""
    cells = {place: lines[0].fields[place].strip() for place in columns if place < lines[0].width}
    told = {place: cell for place, cell in cells.items() if not is_blank(cell)}
    if told and all(map(_RDB.match, told.values())):
        return _fits_kinds(told, rows)
    if len(lines) > 1 or len(told) < 2:
        return False
    bare = [cell.strip("[]() ") for cell in told.values()]
    marked = any(not _MARKS.isdisjoint(cell) for cell in told.values())
    differ = len({*bare}) > 1 and any(is_unit(cell) and cell.isalpha() and len(cell) > 1 for cell in bare)
    return sum(map(is_unit, bare)) * 2 > len(bare) and (marked or differ)


def _fits_kinds(told: Mapping[int, str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether widths and kinds, as 5s and 20d, tell what the columns have: days or numbers, where they say so."""
    for place, cell in told.items():
        days = [any(mark in row[place][1:] for mark in "-/:") for row in rows if not is_blank(row[place])]
        if cell[-1] in "dDnN" and not all(day == (cell[-1] in "dD") for day in days):
            return False
    return any(cell[-1] in "dDnN" for cell in told.values())


def _all_values(rows: Sequence[Sequence[str]], columns: Sequence[int]) -> bool:
    return all(is_value(row[place]) or is_blank(row[place]) for row in rows for place in columns) and bool(rows)
