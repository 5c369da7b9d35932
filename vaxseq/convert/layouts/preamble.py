"""Lines before the header: of another width, padded with blank fields, or another table's."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

from vaxseq.convert.layouts.blanks import WHITESPACE
from vaxseq.convert.layouts.evidence import (
    agree,
    are_names,
    filled_fields,
    holds_values,
    is_axis,
    is_header,
    is_padded,
    is_row,
    names_an_axis,
    value_columns,
)
from vaxseq.convert.layouts.head import Record, is_blank, is_value
from vaxseq.convert.layouts.layout_issue import LayoutIssue

_MOST_UNITS = 3
_MOST = 0.9  # of the lines that have a width
_MARKS = (re.compile(r"\s*[,;\t|]\s*"), re.compile(r"\s{2,}"), re.compile(r"\s+"))  # that may part names
Diagnose = Callable[[Sequence[Record]], LayoutIssue | None]


def other_width(filled: Sequence[Record], inner: Diagnose, *, whole: bool) -> LayoutIssue | None:
    """Lines before the header that have other widths than what follows; ``inner`` looks at what follows by itself."""
    first, rest = filled[0], filled[1:]
    widths = Counter(one.width for one in rest)
    remarks = widths.pop(1, 0) if first.width == 1 else 0  # of these there may be more than of rows
    valued = Counter(one.width for one in rest if holds_values(one) and one.width in widths)
    width, often = max(widths.items(), key=lambda item: (valued[item[0]], item[1]), default=(0, 0))
    if width < 2 or width == first.width or often < 2:
        return None
    at = _first_of_most(filled, width, whole=whole)
    if at is None:
        return None
    body = filled[at:]
    while whole and body[-1].width != width:
        body = body[:-1]
    if remarks >= often and not value_columns([one.fields for one in body[1:] if one.width == width]):
        return None  # sentences, some of them with commas
    footer = len(filled) - at - len(body)
    below = [one.fields for one in body if one.width == width]
    no_values = not value_columns(below[min(_MOST_UNITS, len(below) - 1) :])
    if (
        at == 1
        and width == first.width + 1
        and (any(map(is_value, filled[at].fields)) or (no_values and first.width > 1 and _is_words(first)))
    ):
        rows = [one.fields for one in rest if one.width == width]
        behind = all(is_blank(fields[-1]) for fields in rows)
        names = [*first.fields, "rest"] if behind else ["row", *first.fields]
        names = [name.strip() or f"column_{i}" for i, name in enumerate(names)]
        options: dict[str, Any] = {"names": names, **({"columns": names[:-1]} if behind else {})}
        said = f"the header names {first.width} columns, and the lines below it have {width} fields"
        return LayoutIssue(said, options, (1, 2), True)
    if (ragged := _ragged_header(filled, at, body)) is not None:
        return ragged
    lower = _header_among(body)
    if lower and all(map(_is_words, body[:lower])) and _has_units(inner(body)):
        lower = 0
    left_out, at, body = body[:lower], at + lower, body[lower:]
    start = filled[at]
    options = {"skip_rows": start.line, **({"skip_footer": footer} if footer else {})}
    agreed = footer == 0 and _is_above(filled, at, body) and agree(body, width) and all(map(_is_remark, left_out))
    told = [cell for cell in start.fields if cell.strip()]
    asks = False
    is_named = names_an_axis(start.fields, [one.fields for one in body[1:] if one.width == width])
    if sum(map(is_value, told)) * 2 > len(told) and not is_named:
        plain = all(map(is_value, told)) and not is_axis(told)
        certain = agreed and (plain or is_row(start.fields, [one.fields for one in body[1:]]))
        if (said_above := names_in(filled[at - 1], width)) is not None:
            options |= {"header": False, "names": said_above}
            certain &= are_sure(filled[at - 1], said_above)
        elif (blanks := _parted_by_blanks(filled[at - 1], body)) is not None:
            options, certain = blanks, agreed and _has_numbers_alone(body)
        else:
            options["header"] = False
            certain &= not _may_name(filled[at - 1])
    else:
        above = 1
        certain = agreed
        if _has_units(more := inner(body)):
            options |= more.options
            above = more.options.get("header_rows", 1) + more.options.get("units_rows", 0)
            certain &= more.certain
            asks = more.asks
        else:
            certain &= more is None
        certain = certain and (is_named or is_header(start.fields, [one.fields for one in body[above:]]))
    fields = "field" if first.width == 1 else "fields"
    said = f"line {first.line + 1} has {first.width} {fields}, the lines from {start.line + 1} on have {width}"
    lines = first.line + 1, start.line + 1
    lost = [one for one in filled[:at] if one.width > 1 and all(map(is_value, one.fields)) and "header" in options]
    lost = [] if "names" in options else lost  # above names it is none of their rows
    if lost:
        said += f"; line {lost[0].line + 1} may be a row, and skip_rows would lose it"
    elif "header" in options and 1 < first.width < width and at == 1 and _is_words(first) and first.width * 2 > width:
        names = [*first.fields, *(f"column_{place}" for place in range(first.width, width))]
        options, certain = {"names": names}, False
    return LayoutIssue(said, options, lines, True, sure=not lost, asks=asks, certain=certain and not lost)


def _first_of_most(filled: Sequence[Record], width: int, *, whole: bool) -> int | None:
    """From where on nearly all lines have this width; where the file is ``whole``, those at its end aside."""
    end = len(filled)
    while whole and filled[end - 1].width != width:
        end -= 1
    for place in range(1, end):
        if filled[place].width == width:
            body = filled[place:end]
            if sum(one.width == width for one in body) >= _MOST * len(body):
                return place
    return None


def _is_above(filled: Sequence[Record], at: int, body: Sequence[Record]) -> bool:
    """Whether the lines before ``at`` are fewer than the rows, or none of them has their width."""
    return at <= len(body) or all(one.width != body[0].width for one in filled[:at])


def _header_among(body: Sequence[Record]) -> int:
    """How many lines stand above the header in lines of its own width; 0 where they may be rows."""
    for place, one in enumerate(body[: _MOST_UNITS + 1]):
        if place and all(map(is_value, one.fields)):
            above = body[place - 1]
            is_names = above.width == one.width and are_names(above.fields)
            return place - 1 if is_names and len(set(above.fields)) == above.width else 0
    return 0


def _has_units(found: LayoutIssue | None) -> TypeGuard[LayoutIssue]:
    return found is not None and set(found.options) <= {"units_rows", "header_rows"}


def _is_words(line: Record) -> bool:
    return not any(is_value(cell) or is_blank(cell) for cell in line.fields)


def _is_remark(line: Record) -> bool:
    """Whether a line as wide as the rows can be none: padded, or a word that says what a value is."""
    return is_padded(line.fields) or len({is_value(cell) for cell in line.fields if not is_blank(cell)}) > 1


def names_in(line: Record, width: int) -> list[str] | None:
    """The names of so many columns out of a line in which other marks part them.

    >>> names_in(Record(0, 12, 0, ["# t", " Re(Z), T "]), 3)
    ['t', 'Re(Z)', 'T']
    """
    text = ",".join(line.fields).strip("# \t")
    for mark in _MARKS:
        words = [word for word in mark.split(text) if word]
        if len(words) == width and len({*words}) == width and not any(map(is_value, words)):
            return words
    return None


def are_sure(line: Record, names: Sequence[str], *, by_blanks: bool = False) -> bool:
    """Whether names out of a line are no words of a sentence: marks part them, or they are letters and symbols.

    ``by_blanks``: blanks part the fields of all lines.

    >>> are_sure(Record(0, 6, 0, ["# t u v"]), ["t", "u", "v"]), are_sure(Record(0, 6, 0, ["by me"]), ["by", "me"])
    (True, False)
    """
    text = (" " if by_blanks else ",").join(line.fields).strip("# \t")
    symbols = sum(len(name) == 1 or not name.isalpha() for name in names)
    return any(len(mark.split(text)) == len(names) for mark in _MARKS[:-1]) or symbols * 2 > len(names)


def _may_name(line: Record) -> bool:
    """Whether a line of several words may be the names, which can't be parted as the rows are."""
    words = " ".join(line.fields).strip("# ").split()
    return len(words) > 2 and not any(map(is_value, words))


def _parted_by_blanks(head: Record, body: Sequence[Record]) -> dict[str, Any] | None:
    """The options by which blanks part names and rows alike."""
    words = " ".join(head.fields).split()
    if len(words) < 3 or any(map(is_value, words)):
        return None
    alike = all(len(" ".join(one.fields).split()) == len(words) for one in body)
    return {"delimiter": WHITESPACE, "skip_rows": head.line} if alike else None


def _has_numbers_alone(body: Sequence[Record]) -> bool:
    return all(is_value(word) for one in body for word in " ".join(one.fields).split())


def _ragged_header(filled: Sequence[Record], at: int, body: Sequence[Record]) -> LayoutIssue | None:
    """Names right above rows that go on with blank fields, or that do so themselves."""
    head, rows = filled[at - 1], [one.fields for one in body if one.width == body[0].width]
    names = [name.strip() for name in filled_fields(head.fields)]
    width = body[0].width
    if head.width == width or not 1 < len(names) <= width or any(map(is_value, names)):
        return None
    if not any(map(is_value, body[0].fields)):
        return None
    if len({*names}) < len(names) or "" in names or not value_columns([fields[: len(names)] for fields in rows]):
        return None
    if any(not is_blank(cell) for fields in rows for cell in fields[len(names) :]):
        return None
    options: dict[str, Any] = {"names": [*names, *(f"column_{place}" for place in range(len(names), width))]}
    if head.line:
        options["skip_rows"] = head.line
    said = f"the header on line {head.line + 1} has {head.width} fields, the lines below {width}; the others are blank"
    lines = head.line + 1, body[0].line + 1
    return LayoutIssue(said, options, lines, True, certain=_is_above(filled, at, body) and agree(body, width))


def header_below(filled: Sequence[Record], inner: Diagnose) -> LayoutIssue | None:
    """A first line with values in it, or of a word and blank fields, above one of names alone, of the same width."""
    first = filled[0]
    padded = is_padded(first.fields)
    values = [is_value(cell) for cell in first.fields]
    if not padded and (not any(values) or all(values)):
        return None
    at = 1
    while padded and at < len(filled) - 1 and (filled[at].width != first.width or not are_names(filled[at].fields)):
        at += 1
    if padded and at == len(filled) - 1:
        run = len(filled)
        while run > 1 and filled[run - 1].width == first.width:
            run -= 1
        return _ragged_header(filled, run, filled[run:]) if len(filled) - run > 1 else None
    second = filled[at]
    rows = [one.fields for one in filled[at + 1 :] if one.width == second.width]
    if first.width != second.width or not are_names(second.fields):
        return None
    if not value_columns(rows[min(_MOST_UNITS, len(rows) - 1) :] if rows else []):
        return None
    if (below := next_table(filled[at:])) is not None:
        return below
    options: dict[str, Any] = {"skip_rows": second.line}
    certain = padded and at <= len(rows) and all(is_padded(one.fields) for one in filled[:at])
    certain &= agree(filled[at:], second.width) and is_header(second.fields, rows)
    if _has_units(more := inner(filled[at:])):
        options |= more.options
        certain &= more.certain
    elif more is not None and set(more.options) == {"names"}:
        options |= more.options
        certain = False
    else:
        certain &= more is None
    shown = ", ".join(second.fields[:4]) + (", ..." if second.width > 4 else "")
    return LayoutIssue(
        f"line {second.line + 1} looks like the header, not line {first.line + 1}: {shown}", options,
        (first.line + 1, second.line + 1), "names" in options or any(one.width != first.width for one in filled[:at]),
        certain=certain,
        asks=_has_units(more) and more.asks,
    )  # fmt: skip


def next_table(filled: Sequence[Record]) -> LayoutIssue | None:
    """Another table below the first, behind a blank line, whose names stand in fields of the same width."""
    first = filled[0]
    for place in range(2, len(filled) - 1):
        one, before = filled[place], filled[place - 1]
        gap = not any(cell.strip() for cell in before.fields) or one.line > before.line + 1
        names = [name.strip() for name in filled_fields(one.fields)]
        if not gap or one.width != first.width or one.fields == first.fields or len(names) < 2:
            continue
        if any(is_value(name) or is_blank(name) for name in names) or len({*names}) < len(names):
            continue
        rows = [row.fields[: len(names)] for row in filled[place + 1 :] if row.width == one.width]
        if are_names(first.fields) and value_columns(rows) and any(map(is_value, filled[1].fields)):
            said = f"another table begins on line {one.line + 1}, with names of its own: {', '.join(names[:4])}"
            return LayoutIssue(said, {"skip_rows": one.line}, (one.line + 1,), True, asks=True)
    return None
