"""What rows and the lines above them show: names, values, axes, enough lines that agree."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from vaxseq.convert.layouts.head import Record, is_blank, is_value

EVIDENCE = 10  # rows that must all agree before a layout is certain
_WHOLE = re.compile(r"[+-]?\d+$")
_PLAIN = re.compile(r"[+-]?\d+(?:\.\d+)?$")


def agree(body: Sequence[Record], width: int) -> bool:
    """Whether a header and enough rows below it have one width, all of them."""
    return len(body) > EVIDENCE and all(one.width == width for one in body)


def is_header(fields: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether a line can be nothing but the names of the columns: words that differ, above numbers or times."""
    told = filled_fields(fields)
    names = [cell.strip() for cell in told[1:]]  # the first may be blank above row numbers
    columns = [place for place in value_columns(rows) if has_values_alone(rows, place)]
    differ = len({told[0].strip(), *names}) > len(names) if told else False
    behind = any(not is_blank(cell) for row in rows for cell in row[len(told) :])
    return differ and not behind and not any(map(is_value, told)) and not any(map(is_blank, names)) and columns != []


def holds_values(one: Record) -> bool:
    """Whether most of what a line of several fields says is numbers and times; of a name and a value, it isn't."""
    told = [cell for cell in one.fields if not is_blank(cell)]
    values = sum(map(is_value, told)) * 2
    return one.width > 1 and bool(told) and (values > len(told) or (values == len(told) and is_value(told[0])))


def is_row(fields: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether a line is like these rows: numbers or times as they have, a fraction or time among them, and their words.

    >>> is_row(["PIER", "1.5", "2"], [["PIER", "2.5", "3"], ["PIER", "4.5", "7"]])
    True
    """
    words = {place for place in range(len(fields)) if not has_values_alone(rows, place)}
    again = all(sum(row[place] == fields[place] for row in rows) * 2 > len(rows) for place in words)
    values = [cell for place, cell in enumerate(fields) if place not in words]
    told = len(values) > 1 and all(map(is_value, values)) and any(not _WHOLE.match(cell.strip()) for cell in values)
    return again and told and not is_axis(fields)


def names_an_axis(fields: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether a line of words and of numbers that go up is one of names: a word stands above numbers or times alone.

    >>> names_an_axis(["day", "0.5", "1.5", "2.5"], [["2021-01-01", "7", "8", "9"]])
    True
    """
    words = [place for place, cell in enumerate(fields) if not is_value(cell) and not is_blank(cell)]
    differ = len({cell.strip() for cell in fields}) == len(fields)
    above = any(has_values_alone(rows, place) and any(not is_blank(row[place]) for row in rows) for place in words)
    return differ and is_axis(fields) and bool(rows) and above


def are_row_numbers(cells: Sequence[str]) -> bool:
    """Whether cells count the rows, from 0 or 1.

    >>> are_row_numbers(["0", "1", "2"]), are_row_numbers(["1.0", "2.0"]), are_row_numbers(["3", "4"])
    (True, True, False)
    """
    numbers = [float(cell) for cell in cells if _PLAIN.match(cell)]
    return len(cells) > 1 and any(numbers == [*range(low, low + len(cells))] for low in (0, 1))


def has_values_alone(rows: Sequence[Sequence[str]], place: int) -> bool:
    return all(is_value(row[place]) or is_blank(row[place]) for row in rows)


def is_padded(fields: Sequence[str]) -> bool:
    """Whether a line has less to say than fields: all that is behind the first few is blank, as spreadsheets pad."""
    return len(fields) > 2 and len(filled_fields(fields)) * 2 <= len(fields)


def filled_fields(fields: Sequence[str]) -> Sequence[str]:
    """The fields without blank ones at the end."""
    return fields[: max((place + 1 for place, cell in enumerate(fields) if cell.strip()), default=0)]


def are_names(fields: Sequence[str]) -> bool:
    return not is_padded(fields) and not any(is_value(cell) or is_blank(cell) for cell in filled_fields(fields))


def goes_up(names: Sequence[str]) -> bool:
    """Whether names are an axis: years, hours; or wind speeds beside a name that is one."""
    numbers = [float(name) for name in names if _PLAIN.match(name.strip())]
    steps = {b - a for a, b in pairwise(numbers)}
    if len(numbers) < 3 or min(steps) <= 0:
        return False
    named = any(name.strip() and not is_value(name) for name in names)
    return named or (len(steps) == 1 and all(number.is_integer() for number in numbers))


def is_axis(names: Sequence[str]) -> bool:
    """Whether three numbers or more go up, or down: they may be the names of columns, as wavelengths are."""
    numbers = [float(name) for name in names if _PLAIN.match(name.strip())]
    steps = [b - a for a, b in pairwise(numbers)]
    return len(numbers) > 2 and (min(steps) > 0 or max(steps) < 0)


def value_columns(rows: Sequence[Sequence[str]]) -> list[int]:
    """Columns that have numbers or times and nothing else in most of these rows; remarks among them may be shorter."""
    found = []
    for place in range(len(rows[0]) if rows else 0):
        cells = [row[place] for row in rows if place < len(row) and not is_blank(row[place])]
        if cells and sum(map(is_value, cells)) >= 0.8 * len(cells):
            found.append(place)
    return found
