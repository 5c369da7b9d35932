"""ISO 8601's weeks: 2021-W52-5 is the Friday of the week 52."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from vaxseq.convert.forms.base import Form, Reading, nothing_of
from vaxseq.convert.forms.clock import CLOCK, instants
from vaxseq.convert.forms.fields import Fields

_PATTERN = r"^(?P<y>\d{4})-?W(?P<w>\d{2})(?:-?(?P<d>[1-7]))?" + CLOCK


class IsoWeeks(Form):
    """A week with its day. A week alone is its Monday, which is likely and not certain."""

    name = "iso_weeks"
    of = "times"
    says = "ISO weeks (2021-W52-5)"

    def read(self, cells: pa.Array) -> Reading:
        fields = Fields(cells, _PATTERN)
        if not fields.fits.any():
            return nothing_of(cells)
        years, weeks, days = fields.whole("y", 1970), fields.whole("w", 0), fields.whole("d", 0)
        first, after = _first_monday(years), _first_monday(years + 1)
        monday = first + 7 * (weeks - 1)
        fits = fields.fits & (weeks >= 1) & (monday < after)
        found = instants(np.where(fits, monday + np.maximum(days, 1) - 1, 0), fits, fields)
        found.loose = bool((days[~found.wrong] == 0).any())
        return found


def _first_monday(years: np.ndarray) -> np.ndarray:
    """The Monday of each year's week 1, the week that holds the 4 January."""
    fourth = (years - 1970).astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64) + 3
    return fourth - (fourth + 3) % 7
