"""What dates in numbers share: a pattern, and which number is which."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.convert.forms.base import Form, Reading, nothing_of
from vaxseq.convert.forms.calendar import days_of, full_years
from vaxseq.convert.forms.clock import CLOCK, instants
from vaxseq.convert.forms.fields import Fields

WEEKDAY = r"^(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*\.?,? +)?"
YEAR_LAST = WEEKDAY + r"(?P<a>\d{1,2})(?P<p>[-/.:]) ?(?P<b>\d{1,2})(?P<q>[-/.:]) ?(?P<y>\d{4}|\d{2})" + CLOCK
YEAR_FIRST = WEEKDAY + r"(?P<y>\d{4}|\d{2})(?P<p>[-/.:])(?P<a>\d{1,2})(?P<q>[-/.:])(?P<b>\d{1,2})" + CLOCK


class NumericDates(Form):
    """Numbers with the same mark between them, if any, and a time of day behind them or not. No day is the first."""

    of = "times"
    pattern: str
    day: str
    month: str

    def read(self, cells: pa.Array) -> Reading:
        fields = Fields(cells, self.pattern)
        if not fields.fits.any():
            return nothing_of(cells)
        fits = fields.fits & np.asarray(pc.equal(fields.text("p"), fields.text("q")))
        clock = np.asarray(pc.equal(fields.text("p"), ":")) & (np.asarray(pc.utf8_length(fields.text("y"))) < 4)
        fits &= ~clock  # 12:31:21 is a time of day, 12:31:2021 is none
        days, fits = days_of(full_years(fields), fields.whole(self.month, 0), fields.whole(self.day, 1), fits)
        return instants(days, fits, fields)
