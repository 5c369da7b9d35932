"""Dates and times without marks between their numbers: 20211231T170500, 20211231 1705."""

from __future__ import annotations

import pyarrow as pa

from vaxseq.convert.forms.base import Form, Reading, nothing_of
from vaxseq.convert.forms.calendar import days_of, full_years
from vaxseq.convert.forms.clock import instants
from vaxseq.convert.forms.fields import Fields

_PATTERN = (
    r"^(?P<y>\d{4})(?P<a>\d{2})(?P<b>\d{2})"
    r"(?:[T_ :-](?P<h>\d{2}):?(?P<mi>\d{2})(?::?(?P<s>\d{2})(?:[.,](?P<f>\d{1,9}))?)?(?P<z>Z|[+-]\d{2}:?\d{2})?)?$"
)


class Compact(Form):
    """Eight numbers of a date; with a time of day behind a T, a blank, a dash, a colon or a line."""

    name = "compact"
    of = "times"
    says = "times without marks (20211231T1705)"

    def read(self, cells: pa.Array) -> Reading:
        fields = Fields(cells, _PATTERN)
        if not fields.fits.any():
            return nothing_of(cells)
        days, fits = days_of(full_years(fields), fields.whole("a", 0), fields.whole("b", 0), fields.fits)
        return instants(days, fits, fields)
