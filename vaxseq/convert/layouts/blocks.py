"""Several tables in one file: where each begins, and the options that read one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vaxseq.convert.layouts.evidence import filled_fields, holds_values
from vaxseq.convert.layouts.head import Record, is_blank, is_value
from vaxseq.convert.layouts.layout_issue import LayoutIssue

_COMMENTS = frozenset("#!%*")
_LEAST = 3  # rows of a table; fewer are what a file says about itself


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of values from ``start`` to ``stop``, and their names, if they have some; the places of records."""

    head: int
    start: int
    stop: int


def several_tables(filled: Sequence[Record]) -> LayoutIssue | None:
    """Rows of values that begin again below lines that are none; of the largest table are the options.

    ``LayoutIssue.ends`` is the record that begins what stands below that table.
    """
    found = tables(filled)
    if len(found) < 2:
        return None
    largest = max(found, key=lambda one: one.stop - one.start)
    number = found.index(largest)
    said = ", ".join(f"line {_line(filled, one)}{_shown(filled, one)}" for one in found[:3])
    more = ", ..." if len(found) > 3 else ""
    skip = filled[largest.head].line
    which = f"skip_rows and skip_footer read the one from line {skip + 1}"
    return LayoutIssue(
        f"several tables stand in the file, from {said}{more}; {which}",
        {"skip_rows": skip} if skip else {}, tuple(_line(filled, one) for one in found[:3]), True, asks=True,
        ends=filled[largest.stop] if number + 1 < len(found) else None,
    )  # fmt: skip


def tables(filled: Sequence[Record]) -> list[Table]:
    """The tables among these records, of three rows and more, in order."""
    found: list[Table] = []
    for run in _runs(filled):
        if not found:
            found.append(run)
            continue
        last = found[-1]
        if _begins_again(filled, last, run):
            found.append(run)
        else:
            found[-1] = replace(last, stop=run.stop)  # what stands between are bad rows
    return found


def _begins_again(filled: Sequence[Record], last: Table, run: Table) -> bool:
    """Whether rows are another table's: below a title, or below names behind a blank line or of another width."""
    titles = [one for one in filled[last.stop : run.head] if any(not is_blank(cell) for cell in one.fields)]
    if any(holds_values(one) or one.width == filled[last.start].width for one in titles):
        return False
    if run.head == run.start:
        return sum(one.fields[0][:1] not in _COMMENTS for one in titles) > 1
    before, names = filled[run.head - 1], filled[run.head]
    gap = names.line > before.line + 1 or all(map(is_blank, before.fields)) or names.width != filled[last.start].width
    return bool(titles) or (gap and names.fields != filled[last.head].fields)


def _runs(filled: Sequence[Record]) -> list[Table]:
    """Rows of one width, one right below the other."""
    found = []
    at = 0
    while at < len(filled):
        stop = at
        while stop < len(filled) and holds_values(filled[stop]) and filled[stop].width == filled[at].width:
            stop += 1
        if stop - at >= _LEAST:
            found.append(Table(_head(filled, at), at, stop))
        at = max(stop, at + 1)
    return found


def _head(filled: Sequence[Record], start: int) -> int:
    """The names right above a row, or above a line of units; the row itself where there are none."""
    head = start
    for place in range(start - 1, max(start - 3, -1), -1):
        names = [name.strip() for name in filled_fields(filled[place].fields)]
        words = len(names) > 1 and not any(is_value(name) or is_blank(name) for name in names)
        if words and len({*names}) == len(names) and filled[place].width == filled[start].width:
            head = place
    return head


def _line(filled: Sequence[Record], one: Table) -> int:
    return filled[one.head].line + 1


def _shown(filled: Sequence[Record], one: Table) -> str:
    fields = filled[one.head].fields
    return f" ({', '.join(cell.strip() for cell in fields[:3])}{', ...' if len(fields) > 3 else ''})"
