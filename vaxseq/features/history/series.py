"""Columns that say which series a row belongs to and in which order, block by block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from vaxseq.errors import FeatureTypeError, warn
from vaxseq.expressions.values import Mask, Value, as_float, widen
from vaxseq.plan.runs import RunFinder

Ids = npt.NDArray[np.int64]


class SeriesFinder:
    """Takes rows in row order with their groups and times as Values; finds where series begin and end.

    Args:
        group_by: the columns of the groups, as errors name them.
        order_by: the column of the time, or None.
        max_gap: a larger step in time ends a series: a number, a timedelta64, or None.
        where: begins the errors.
        untimed: what to do about rows without a time, as the error says it.
    """

    def __init__(
        self,
        group_by: Sequence[str],
        order_by: str | None,
        *,
        max_gap: float | np.timedelta64 | None = None,
        where: str = "window",
        untimed: str = "Drop them with where=.",
    ) -> None:
        sort_by = [*group_by, *([] if order_by is None else [order_by])]
        self._finder = RunFinder(max_gap=max_gap, where=where, untimed=untimed, sort_by=sort_by, shown=self._word)
        self._where, self._order_by = where, order_by
        self._codes: list[dict[Any, int]] = []

    def add(
        self, row_start: int, groups: Sequence[Value], time: Value | None, *, mask: Mask | None = None, length: int
    ) -> Ids:
        """The rows from ``row_start`` on; gives the row ids at which series begin.

        Raises:
            SelectionError: the rows of a group aren't together, or not in the order of time; says the remedy.
            MissingValueError: a row has no time.
        """
        self._codes = self._codes or [{} for _ in groups]
        codes = [_group(value, known) for value, known in zip(groups, self._codes, strict=True)]
        times = None if time is None else time_numbers(time)
        return self._finder.add(row_start, mask, length=length, groups=codes, times=times)

    def runs(self) -> tuple[Ids, Ids]:
        """The first row id and the number of rows of each series, in order."""
        return self._finder.runs()

    def _word(self, column: int, value: Any) -> Any:
        """A group's value in the data; text was added as a number."""
        words = list(self._codes[column])
        return words[value] if words and value >= 0 else None if words else value

    def warn_of_duplicates(self) -> None:
        """Warns when rows have the time of the row before them in their group."""
        finder = self._finder
        if finder.duplicates and finder.first_duplicate is not None:
            many = f"{finder.duplicates:,} rows have" if finder.duplicates > 1 else "1 row has"
            warn(
                f"{self._where}: {many} the same {self._order_by!r} as the row before in the group; the first is row "
                f"{finder.first_duplicate:,}. Such rows stay in the series."
            )


def check_time(value: Value, gap: float | np.timedelta64 | None, *, where: str, names: Mapping[str, Any]) -> None:
    """Refuses a column that can't order a series, or a gap that can't be measured in it.

    ``names`` has the options as they were given, for the message.
    """
    if value.kind in ("text", "bool") or value.shape:
        raise FeatureTypeError(f"{where} order_by={names['order_by']!r}: got {value.kind}, expected times or numbers")
    timed = value.kind == "datetime"
    if gap is not None and isinstance(gap, np.timedelta64) != timed:
        want = 'text as "30min"' if timed else "a number in the column's unit"
        raise FeatureTypeError(
            f"{where} max_gap: got {names['max_gap']!r} for a column of {value.kind}, expected {want}"
        )


def time_numbers(value: Value) -> npt.NDArray[Any]:
    """Times or numbers, NaT or NaN where missing."""
    wide = widen(value)
    return np.asarray(wide.data if wide.missing is None else as_float(wide).data)


def _group(value: Value, codes: dict[Any, int]) -> npt.NDArray[Any]:
    """The group of each row as a number that is the same in every block; text by the order in which it appears."""
    if value.kind != "text":
        return time_numbers(value)
    encoded = value.data if hasattr(value.data, "indices") else pc.dictionary_encode(value.data)
    known = np.array([codes.setdefault(word, len(codes)) for word in encoded.dictionary.to_pylist()], dtype=np.int64)
    places = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    numbers: npt.NDArray[Any] = np.append(known, -1)[places]
    return numbers
