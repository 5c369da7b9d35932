"""Dates and times without marks between their numbers: 20211231T170500, 20211231 1705."""

from __future__ import annotations

from vaxseq.convert.forms.numeric_dates import NumericDates

_PATTERN = (
    r"^(?P<y>\d{4})(?P<a>\d{2})(?P<b>\d{2})"
    r"(?:[T_ :-](?P<h>\d{2}):?(?P<mi>\d{2})(?::?(?P<s>\d{2})(?:[.,](?P<f>\d{1,9}))?)?(?P<z>Z|[+-]\d{2}:?\d{2})?)?$"
)


class Compact(NumericDates):
    """Eight numbers of a date; with a time of day behind a T, a blank, a dash, a colon or a line."""

    name = "compact"
    says = "times without marks (20211231T1705)"
    pattern = _PATTERN
    month, day = "a", "b"
