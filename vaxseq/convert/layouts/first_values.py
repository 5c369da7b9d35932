"""Numbers above the rows that are none of them: a start time and a rate, as wearables write them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vaxseq.convert.layouts.evidence import EVIDENCE
from vaxseq.convert.layouts.head import Record
from vaxseq.convert.layouts.layout_issue import LayoutIssue

_PLAIN = re.compile(r"[+-]?\d+(?:\.(\d+))?$")
_FAR = 100.0  # times the largest number of the rows
_MOST = 3  # lines


def start_and_rate(filled: Sequence[Record]) -> LayoutIssue | None:
    """First lines of numbers with more digits behind the point than the rows have, the first of them far from those."""
    first = filled[0]
    digits = [_digits(one) for one in filled if one.width == first.width]
    if len(digits) < len(filled) or None in digits or len(filled) <= EVIDENCE:
        return None
    count = next((at for at, one in enumerate(digits) if one != digits[0]), 0)
    below = [value for one in filled[count:] for value in _values(one)]
    if not 0 < count <= _MOST or max(one or 0 for one in digits[count:]) >= (digits[0] or 0):
        return None
    if min(map(abs, _values(first))) < _FAR * max(map(abs, below)):
        return None
    said = f"line {first.line + 1} has numbers unlike those below, as a start time and a rate are: "
    said += ", ".join(one.fields[0].strip() for one in filled[:count])
    options = {"skip_rows": filled[count].line, "header": False}
    return LayoutIssue(said, options, (first.line + 1,), True, asks=True)


def _digits(one: Record) -> int | None:
    """How many digits its numbers have behind the point, at most; None where something is no plain number."""
    found = [_PLAIN.match(cell.strip()) for cell in one.fields]
    return None if None in found else max(len(match[1] or "") for match in found if match is not None)


def _values(one: Record) -> list[float]:
    return [float(cell) for cell in one.fields]
