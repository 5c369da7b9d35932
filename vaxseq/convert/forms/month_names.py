"""Months by name: 31-Dec-2021, December 31, 2021, Fri Dec 31 17:05:00 2021."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.convert.forms.base import Form, Mask, Reading, nothing_of
from vaxseq.convert.forms.calendar import days_of, full_years
from vaxseq.convert.forms.clock import CLOCK, instants
from vaxseq.convert.forms.fields import Fields, Whole
from vaxseq.convert.forms.numeric_dates import WEEKDAY

_NAME = r"(?P<m>[^\d\s/,.:-]{3,10})\.?"  # is looked up; \p{L} says it better and takes ten times as long to compile
_ORDINAL = r"(?:st|nd|rd|th|\.)?"
_TIME = r"(?P<h>\d{1,2}):(?P<mi>\d{2})(?::(?P<s>\d{2})(?:\.(?P<f>\d{1,9}))?)?"
_PATTERNS = (
    WEEKDAY + rf"(?P<a>\d{{1,2}}){_ORDINAL}[-/ ]* *{_NAME}[-/ ,]* *(?P<y>\d{{4}}|\d{{2}})" + CLOCK,
    WEEKDAY + rf"{_NAME}[-/ ]+(?P<a>\d{{1,2}}){_ORDINAL}(?:, *|[-/ ]+)(?P<y>\d{{4}})" + CLOCK,
    rf"^(?P<y>\d{{4}})[-/ ]*{_NAME}[-/ ]*(?P<a>\d{{1,2}})" + CLOCK,
    WEEKDAY + rf"{_NAME} +(?P<a>\d{{1,2}}) +{_TIME}(?: +(?P<z>[A-Z]{{3,4}}|[+-]\d{{4}}))? +(?P<y>\d{{4}})$",
)
# English, then what German, French, Spanish, Italian, Portuguese and Dutch write otherwise
_MONTHS = (
    "jan january januar janvier janv enero ene gennaio gen janeiro januari jän jänner",
    "feb february februar février févr fév febrero febbraio fevereiro fev februari",
    "mar march märz mär mrz mars marzo março maart mrt",
    "apr april avril avr abril abr aprile",
    "may mai mayo maggio mag maio mei",
    "jun june juni juin junio giugno giu junho",
    "jul july juli juillet juil julio luglio lug julho",
    "aug august août aoû agosto ago augustus",
    "sep sept september septembre septiembre settembre set setembro",
    "oct october oktober okt octobre octubre ottobre ott outubro out",
    "nov november novembre noviembre novembro",
    "dec december dezember dez décembre déc diciembre dic dicembre dezembro",
)
_NUMBERS = {word: number for number, words in enumerate(_MONTHS, 1) for word in words.split()}


class MonthNames(Form):
    """A month's name decides what the other numbers are. A column keeps to one order."""

    name = "month_names"
    of = "times"
    says = "times with the month's name (31-Dec-2021)"

    def read(self, cells: pa.Array) -> Reading:
        best = nothing_of(cells)
        for pattern in _PATTERNS:
            fields = Fields(cells, pattern)
            if not fields.fits.any():
                continue
            months, fits = _months(fields.text("m"), fields.fits)
            days, fits = days_of(full_years(fields), months, fields.whole("a", 0), fits)
            found = instants(days, fits, fields)
            if found.wrong.sum() < best.wrong.sum():
                best = found
            if not best.wrong.any():
                break
        return best


def _months(words: pa.Array, fits: Mask) -> tuple[Whole, Mask]:
    encoded = pc.utf8_lower(words).dictionary_encode()
    numbers = np.array([_NUMBERS.get(word, 0) for word in encoded.dictionary.to_pylist()], np.int64)
    found = numbers[np.asarray(encoded.indices)]
    return found, fits & (found > 0)
