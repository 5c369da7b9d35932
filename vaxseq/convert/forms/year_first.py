"""Year, month, day: 2021/12/31, and what ISO 8601 doesn't say: 2021-12-31 24:00."""

from __future__ import annotations

from vaxseq.convert.forms.numeric_dates import YEAR_FIRST, NumericDates


class YearFirst(NumericDates):
    """Read as the module says."""

    name = "year_first"
    says = "times, year first (2021/12/31)"
    pattern = YEAR_FIRST
    day, month = "b", "a"
