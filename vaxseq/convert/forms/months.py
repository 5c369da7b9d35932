"""Months alone: 1962-01 is January 1962."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from vaxseq.convert.forms.base import Form, Reading, nothing_of
from vaxseq.convert.forms.calendar import days_of
from vaxseq.convert.forms.clock import instants
from vaxseq.convert.forms.fields import Fields

_PATTERN = r"^(?P<y>(?:1[89]|20|21)\d{2})[-/.](?P<m>\d{2})$"


class Months(Form):
    """A month as its first day, which is likely and not certain: other things are numbered so, too."""

    name = "months"
    of = "times"
    says = "months (2021-12)"

    def read(self, cells: pa.Array) -> Reading:
        fields = Fields(cells, _PATTERN)
        if not fields.fits.any():
            return nothing_of(cells)
        years, months = fields.whole("y", 1970), fields.whole("m", 1)
        days, fits = days_of(years, months, np.ones_like(years), fields.fits)
        found = instants(days, fits, fields)
        found.loose = True
        return found
