"""Month before day: 12/31/2021 17:05."""

from __future__ import annotations

from vaxseq.convert.forms.numeric_dates import YEAR_LAST, NumericDates


class MonthFirst(NumericDates):
    """Read as the module says."""

    name = "month_first"
    says = "times, month first (12/31/2021)"
    pattern = YEAR_LAST
    day, month = "b", "a"
