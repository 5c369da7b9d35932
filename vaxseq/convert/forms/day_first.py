"""Day before month: 31.12.2021 17:05."""

from __future__ import annotations

from vaxseq.convert.forms.numeric_dates import YEAR_LAST, NumericDates


class DayFirst(NumericDates):
    """Read as the module says."""

    name = "day_first"
    says = "times, day first (31.12.2021)"
    pattern = YEAR_LAST
    day, month = "a", "b"
