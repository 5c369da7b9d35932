"""Months alone: 1962-01 is January 1962."""

from __future__ import annotations

import pyarrow as pa

from vaxseq.convert.forms.base import Reading
from vaxseq.convert.forms.numeric_dates import NumericDates


class Months(NumericDates):
    """A month as its first day, which is likely and not certain: other things are numbered so, too."""

    name = "months"
    says = "months (2021-12)"
    pattern = r"^(?P<y>(?:1[89]|20|21)\d{2})[-/.](?P<m>\d{2})$"
    month, day = "m", "none"

    def read(self, cells: pa.Array) -> Reading:
        found = super().read(cells)
        found.loose = not found.wrong.all()
        return found
