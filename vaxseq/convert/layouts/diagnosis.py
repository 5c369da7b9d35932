"""What is odd about a file's first lines, as the options that set it right."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from vaxseq.convert.forms.units import is_unit
from vaxseq.convert.layouts.head import Record, is_blank, is_value

_MOST_UNITS = 3
_PLAIN = re.compile(r"[+-]?\d+(?:\.\d+)?$")
_WHOLE = re.compile(r"[+-]?\d+$")
_LONGEST_UNIT = 16
_EVIDENCE = 10  # rows that must all agree before a layout is certain
_MARKS = re.compile(r"[,;\t|]|\s+")


@dataclass(frozen=True, slots=True)
class Oddity:
    """``stops``: the rows can't be read as they are; else they can, and the options make more of them.

    ``certain``: no other reading fits what was seen, and no line that may be a row is left out.
    """

    message: str
    options: dict[str, Any]
    lines: tuple[int, ...]  # counted from 1
    stops: bool = False
    sure: bool = True  # the options lose no row
    certain: bool = False


def diagnose(records: Sequence[Record], *, whole: bool = False) -> Oddity | None:
    """The first oddity of records of which the first is taken for the header; ``whole``: they are all of the file."""
    filled = [one for one in records if one.stop > one.start]
    if len(filled) < 2:
        return None
    if (found := _other_width(filled, whole=whole)) is not None:
        return found
    for check in (_in_single_quotes, _header_below, _twice, _names_are_data, _text_above_numbers, _words_again):
        if (found := check(filled)) is not None:
            return found
    return None


def _other_width(filled: Sequence[Record], *, whole: bool) -> Oddity | None:
    """Lines before the header: they have other widths than what follows."""
    first, rest = filled[0], filled[1:]
    widths = Counter(one.width for one in rest)
    remarks = widths.pop(1, 0) if first.width == 1 else 0  # of these there may be more than of rows
    width, often = widths.most_common(1)[0] if widths else (0, 0)
    if width < 2 or width == first.width or often < 2:
        return None
    at = next(place for place, one in enumerate(filled) if place and one.width == width)
    body = filled[at:]
    while whole and body[-1].width != width:
        body = body[:-1]
    if sum(one.width == width for one in body) < 0.9 * len(body):
        return None
    if remarks >= often and not _value_columns([one.fields for one in body[1:] if one.width == width]):
        return None  # sentences, some of them with commas
    start, footer = filled[at], len(filled) - at - len(body)
    if at == 1 and width == first.width + 1 and any(map(is_value, start.fields)):
        rows = [one.fields for one in rest if one.width == width]
        behind = all(is_blank(fields[-1]) for fields in rows)
        names = [*first.fields, "rest"] if behind else ["row", *first.fields]
        names = [name.strip() or f"column_{i}" for i, name in enumerate(names)]
        options: dict[str, Any] = {"names": names, **({"columns": names[:-1]} if behind else {})}
        said = f"the header names {first.width} columns, and the lines below it have {width} fields"
        return Oddity(said, options, (1, 2), True)
    if (ragged := _ragged_header(filled, at, body)) is not None:
        return ragged
    options = {"skip_rows": start.line, **({"skip_footer": footer} if footer else {})}
    agreed = footer == 0 and at <= len(body) and _agree(body, width)
    told = [cell for cell in start.fields if cell.strip()]
    if sum(map(is_value, told)) * 2 > len(told):
        options["header"] = False
        certain = agreed and all(map(is_value, told)) and not _goes_up(told) and not _named_above(filled[:at], width)
    else:
        certain = agreed and _is_header(start.fields, [one.fields for one in body[1:]])
        if (more := diagnose(body)) is not None and set(more.options) <= {"units_rows", "header_rows"}:
            options |= more.options
            certain &= more.certain
        else:
            certain &= more is None
    fields = "field" if first.width == 1 else "fields"
    said = f"line {first.line + 1} has {first.width} {fields}, the lines from {start.line + 1} on have {width}"
    return Oddity(said, options, (first.line + 1, start.line + 1), True, certain=certain)


def _agree(body: Sequence[Record], width: int) -> bool:
    """Whether a header and enough rows below it have one width, all of them."""
    return len(body) > _EVIDENCE and all(one.width == width for one in body)


def _is_header(fields: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether a line can be nothing but the names of the columns: words that differ, above numbers or times."""
    told = _said(fields)
    names = [cell.strip() for cell in told[1:]]  # the first may be blank above row numbers
    columns = [place for place in _value_columns(rows) if _has_values_alone(rows, place)]
    differ = len({told[0].strip(), *names}) > len(names) if told else False
    behind = any(not is_blank(cell) for row in rows for cell in row[len(told) :])
    return differ and not behind and not any(map(is_value, told)) and not any(map(is_blank, names)) and columns != []


def _has_values_alone(rows: Sequence[Sequence[str]], place: int) -> bool:
    return all(is_value(row[place]) or is_blank(row[place]) for row in rows)


def _named_above(lines: Sequence[Record], width: int) -> bool:
    """Whether one of these lines may have the names of so many columns, parted by other marks."""
    for one in lines:
        words = [word for word in _MARKS.split(" ".join(one.fields).strip("# ")) if word]
        if len(words) == width and not any(map(is_value, words)):
            return True
    return False


def _ragged_header(filled: Sequence[Record], at: int, body: Sequence[Record]) -> Oddity | None:
    """Names right above rows that go on with blank fields, or that do so themselves."""
    head, rows = filled[at - 1], [one.fields for one in body if one.width == body[0].width]
    names = [name.strip() for name in _said(head.fields)]
    width = body[0].width
    if head.width == width or not 1 < len(names) <= width or any(map(is_value, names)):
        return None
    if not any(map(is_value, body[0].fields)):
        return None
    if len({*names}) < len(names) or "" in names or not _value_columns([fields[: len(names)] for fields in rows]):
        return None
    if any(not is_blank(cell) for fields in rows for cell in fields[len(names) :]):
        return None
    options: dict[str, Any] = {"names": [*names, *(f"column_{place}" for place in range(len(names), width))]}
    if head.line:
        options["skip_rows"] = head.line
    said = f"the header on line {head.line + 1} has {head.width} fields, the lines below {width}; the others are blank"
    lines = head.line + 1, body[0].line + 1
    return Oddity(said, options, lines, True, certain=at <= len(body) and _agree(body, width))


def _header_below(filled: Sequence[Record]) -> Oddity | None:
    """A first line with values in it, or of a word and blank fields, above one of names alone, of the same width."""
    first = filled[0]
    padded = _is_padded(first.fields)
    values = [is_value(cell) for cell in first.fields]
    if not padded and (not any(values) or all(values)):
        return None
    at = 1
    while padded and at < len(filled) - 1 and (filled[at].width != first.width or not _are_names(filled[at].fields)):
        at += 1
    if padded and at == len(filled) - 1:
        run = next(place for place in range(len(filled)) if all(one.width == first.width for one in filled[place:]))
        body = filled[max(run, 1) :]
        return _ragged_header(filled, max(run, 1), body) if len(body) > 1 else None
    second = filled[at]
    rows = [one.fields for one in filled[at + 1 :] if one.width == second.width]
    if first.width != second.width or not _are_names(second.fields):
        return None
    if not _value_columns(rows[min(_MOST_UNITS, len(rows) - 1) :] if rows else []):
        return None
    options: dict[str, Any] = {"skip_rows": second.line}
    certain = padded and at <= len(rows) and all(_is_padded(one.fields) for one in filled[:at])
    certain &= _agree(filled[at:], second.width) and _is_header(second.fields, rows)
    if (more := diagnose(filled[at:])) is not None and set(more.options) <= {"units_rows", "header_rows"}:
        options |= more.options
        certain &= more.certain
    else:
        certain &= more is None
    shown = ", ".join(second.fields[:4]) + (", ..." if second.width > 4 else "")
    return Oddity(
        f"line {second.line + 1} looks like the header, not line {first.line + 1}: {shown}", options,
        (first.line + 1, second.line + 1), any(one.width != first.width for one in filled[:at]), certain=certain,
    )  # fmt: skip


def _is_padded(fields: Sequence[str]) -> bool:
    """Whether a line has less to say than fields: all that is behind the first few is blank, as spreadsheets pad."""
    return len(fields) > 2 and len(_said(fields)) * 2 <= len(fields)


def _said(fields: Sequence[str]) -> Sequence[str]:
    """The fields without blank ones at the end."""
    return fields[: max((place + 1 for place, cell in enumerate(fields) if cell.strip()), default=0)]


def _are_names(fields: Sequence[str]) -> bool:
    return not _is_padded(fields) and not any(is_value(cell) or is_blank(cell) for cell in _said(fields))


def _in_single_quotes(filled: Sequence[Record]) -> Oddity | None:
    """Names and cells in single quotes, which the usual dialect takes for characters."""

    def quoted(cell: str) -> bool:
        return len(cell := cell.strip()) > 1 and cell[0] == cell[-1] == "'"

    rows = [one.fields for one in filled[1:] if one.width == filled[0].width]
    places = [place for place in range(filled[0].width) if rows and all(quoted(row[place]) for row in rows)]
    if len(rows) < 2 or not places:
        return None
    return Oddity("cells stand in single quotes", {"quote": "'"}, (filled[1].line + 1,))


def _twice(filled: Sequence[Record]) -> Oddity | None:
    """Names that come twice: two header lines, or no header."""
    names = [name.strip() for name in filled[0].fields]
    double = sorted({name for name in names if name and names.count(name) > 1})
    if not double:
        return None
    said = f"column names must differ; got {double} twice"
    second = filled[1]
    told = [name for name in names if not is_blank(name)]
    if sum(map(is_value, told)) * 2 > len(told):
        return Oddity(said + ", and they are numbers", {"header": False}, (filled[0].line + 1,), True)
    if second.width == len(names) and not any(map(is_value, second.fields)):
        pairs = list(zip(_filled_forward(names), second.fields, strict=True))
        if len(set(pairs)) == len(pairs):
            below = _text_above_numbers(filled[1:]) if len(filled) > 2 else None
            units = below.options if below is not None and "units_rows" in below.options else {}
            rows = [one.fields for one in filled[2:]]
            certain = _agree(filled[1:], second.width) and len(_value_columns(rows)) > 1 and not any(
                is_blank(cell) for cell in second.fields[1:]
            ) and (below is None or below.certain)  # fmt: skip
            return Oddity(said + ", and the line below goes on with the header", {"header_rows": 2, **units},
                          (filled[0].line + 1, second.line + 1), True, certain=certain)  # fmt: skip
    return Oddity(said, {"names": different(names)}, (filled[0].line + 1,), True)


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


def _names_are_data(filled: Sequence[Record]) -> Oddity | None:
    """A first line that is a row like the others."""
    names, rows = filled[0].fields, [one.fields for one in filled[1:] if one.width == filled[0].width]
    if not rows:
        return None
    columns = _value_columns(rows)
    if not columns or not all(is_value(names[place]) for place in columns) or _goes_up(names):
        return None
    if sum(map(is_value, names)) * 2 < len(names):
        return None
    said = f"the first line looks like a row, not like names: {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}"
    told = [name.strip() for name in names if name.strip()]
    certain = (
        _agree(filled, filled[0].width) and len(told) > 1 and all(map(is_value, names)) and not _goes_up(told[::-1])
    )
    certain &= any(not _WHOLE.match(name) for name in told) and all(
        _has_values_alone(rows, place) for place in range(filled[0].width)
    )
    return Oddity(said, {"header": False}, (filled[0].line + 1,), certain=certain)


def _words_again(filled: Sequence[Record]) -> Oddity | None:
    """A first line in a table of words whose cells come below in their columns."""
    names, rows = filled[0].fields, [one.fields for one in filled[1:] if one.width == filled[0].width]
    if not rows or _value_columns(rows) or names in rows:
        return None
    again = [name for place, name in enumerate(names) if not is_blank(name) and any(r[place] == name for r in rows)]
    if not again:
        return None
    said = f"the first line may be a row, not names: {', '.join(map(repr, again[:3]))} is a value in its column"
    return Oddity(said, {"header": False}, (filled[0].line + 1,), sure=False)


def _goes_up(names: Sequence[str]) -> bool:
    """Whether names are an axis: years, hours; or wind speeds beside a name that is one."""
    numbers = [float(name) for name in names if _PLAIN.match(name.strip())]
    steps = {b - a for a, b in pairwise(numbers)}
    if len(numbers) < 3 or min(steps) <= 0:
        return False
    named = any(name.strip() and not is_value(name) for name in names)
    return named or (len(steps) == 1 and all(number.is_integer() for number in numbers))


def _text_above_numbers(filled: Sequence[Record]) -> Oddity | None:
    """Units or a second line of names between the header and the rows."""
    header = filled[0]
    for count in range(1, min(_MOST_UNITS, len(filled) - 2) + 1):
        above, rows = filled[1 : 1 + count], [one.fields for one in filled[1 + count :] if one.width == header.width]
        columns = _value_columns(rows[min(_MOST_UNITS, len(rows) - 1) :]) if rows else []
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
        lines = tuple(one.line + 1 for one in above)
        shown = ", ".join(above[0].fields[:4]) + (", ..." if above[0].width > 4 else "")
        blank = any(not name.strip() for place, name in enumerate(header.fields) if place in columns)
        if count == 1 and (blank or max(map(len, cells)) > _LONGEST_UNIT):
            return Oddity(f"line {lines[0]} looks like a second line of names: {shown}", {"header_rows": 2}, lines)
        return Oddity(
            f"line {lines[0]} looks like units, not like a row: {shown}",
            {"units_rows": count},
            lines,
            sure=len(columns) > 1,
            certain=_are_units(above, columns) and _agree([header, *filled[1 + count :]], header.width),
        )
    return None


def _are_units(lines: Sequence[Record], columns: Sequence[int]) -> bool:
    """Whether a line has units, known ones in most columns of numbers and times, and the lines below words alike."""
    cells = [one.fields[place].strip("[]() ") for one in lines[:1] for place in columns if place < one.width]
    told = [cell for cell in cells if not is_blank(cell)]
    return len(lines) == 1 and len(columns) > 1 and len(told) > 1 and sum(map(is_unit, told)) * 2 > len(told)


def _value_columns(rows: Sequence[Sequence[str]]) -> list[int]:
    """Columns that have numbers or times and nothing else in most of these rows."""
    found = []
    for place in range(len(rows[0]) if rows else 0):
        cells = [row[place] for row in rows if not is_blank(row[place])]
        if cells and sum(map(is_value, cells)) >= 0.8 * len(cells):
            found.append(place)
    return found


def _all_values(rows: Sequence[Sequence[str]], columns: Sequence[int]) -> bool:
    return all(is_value(row[place]) or is_blank(row[place]) for row in rows for place in columns) and bool(rows)
