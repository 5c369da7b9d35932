"""Dates in one column and times of day in the next, which may be one column."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.convert.type_promotion import is_text
from vaxseq.dataset.notice import Notice

_CLOCK = r"^\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?: ?[AaPp]\.?[Mm]\.?)?$"


def split_times(
    kinds: Mapping[str, pa.DataType], source_names: Mapping[str, str], first_values: Callable[[str], pa.Array]
) -> list[Notice]:
    """A notice for the first column of times of day right behind one of dates.

    ``kinds``: the columns in order; ``source_names``: what those are called in the source that may be joined.
    """
    for date, clock in pairwise(kinds):
        if not pa.types.is_date(kinds[date]) or not is_text(kinds[clock]) or not {date, clock} <= source_names.keys():
            continue
        values = first_values(clock).drop_null()
        if len(values) and pc.all(pc.match_substring_regex(pc.utf8_trim_whitespace(values), _CLOCK)).as_py():
            said = f"times of day behind the dates of {date!r}, which may be one column"
            return [Notice(clock, said, (), {"time_from": [source_names[date], source_names[clock]]}, True)]
    return []
