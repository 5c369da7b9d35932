"""Years, months and days as days since 1970."""

from __future__ import annotations

import numpy as np

from vaxseq.convert.forms.base import Mask
from vaxseq.convert.forms.fields import Fields, Whole

_PIVOT = 69  # 68 is 2068, 69 is 1969, as POSIX has it


def full_years(fields: Fields) -> Whole:
    """Years of four digits, and of two as the nearest of POSIX's century."""
    import pyarrow.compute as pc

    years = fields.whole("y", 1970)
    short = np.asarray(pc.utf8_length(fields.text("y"))) == 2
    return np.where(short, np.where(years < _PIVOT, years + 2000, years + 1900), years)


def days_of(years: Whole, months: Whole, days: Whole, fits: Mask) -> tuple[Whole, Mask]:
    """Days since 1970 in the Gregorian calendar, and which dates there are."""
    fits = fits & (months >= 1) & (months <= 12) & (days >= 1) & (years >= 1)
    whole_months = np.where(fits, (years - 1970) * 12 + months - 1, 0)
    first = whole_months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    after = (whole_months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    fits &= days <= after - first
    return np.where(fits, first + days - 1, 0), fits
