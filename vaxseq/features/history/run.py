"""Columns of the past computed from blocks of rows in order, or from records that are all there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.errors import FeatureTypeError
from vaxseq.expressions import compile_expression
from vaxseq.expressions.program import ProgramBuilder
from vaxseq.expressions.values import Value, as_float
from vaxseq.features.definition.series import Series
from vaxseq.features.history.series import SeriesFinder, check_time, time_numbers
from vaxseq.features.program.compile import column_nodes
from vaxseq.features.program.history import History
from vaxseq.features.transforms.running_sums import Floats, Ids
from vaxseq.plan.window import gap_of

_UNTIMED = "Looking back needs the time of every row: convert the data without them"


class HistoryRun:
    """Several columns of the past over one series; takes each block of rows once, in order."""

    def __init__(self, histories: Sequence[History]) -> None:
        self._histories = tuple(histories)
        self._series: Series = histories[0].series
        if any(one.series != self._series for one in histories):
            raise ValueError("histories of one run have one series")
        builder = ProgramBuilder()
        names: dict[str, int] = {}
        for one in histories:
            names |= column_nodes(dict(one.derived), builder, one.reads)
        outputs = [compile_expression(one.source, builder, names) for one in histories]
        self._program = builder.build([*outputs, *(names[name] for name in self._series.columns)])
        gap = self._series.max_gap
        self._gap = None if gap is None else gap_of(gap, "series max_gap")
        series = self._series
        self._finder = SeriesFinder(
            series.group_by, series.order_by, max_gap=self._gap, where="series", untimed=_UNTIMED
        )
        self._stages = [[step.stage() for step in one.steps] for one in histories]
        self._rows = 0
        self._start = 0  # row id at which the series that goes on began

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a block must have."""
        return self._program.columns

    def check(self, empty: Mapping[str, Value]) -> None:
        """Raises FeatureTypeError for zero rows of columns that the steps or the series can't take."""
        values, groups, time = self._values(empty)
        for name, group in zip(self._series.group_by, groups, strict=True):
            if group.shape:
                raise FeatureTypeError(f"series group_by={name!r}: got an array column, expected one value a row")
        if time is not None:
            options = {"order_by": self._series.order_by, "max_gap": self._series.max_gap}
            check_time(time, self._gap, where="series", names=options)
        for history, value in zip(self._histories, values, strict=True):
            history.steps[0].check_kind(value)
            for step in history.steps:
                step.check_time(time)

    def block(self, columns: Mapping[str, Value], rows: int) -> dict[str, Floats]:
        """The next ``rows`` rows' columns of the past, float64, NaN where missing."""
        values, groups, time = self._values(columns)
        starts = self._finder.add(self._rows, groups, time, length=rows)
        position = self._positions(starts, rows)
        times = None if time is None else time_numbers(time)
        found: dict[str, Floats] = {}
        with np.errstate(all="ignore"):  # infinity less infinity is missing
            for history, stages, value in zip(self._histories, self._stages, values, strict=True):
                one: npt.NDArray[Any] = as_float(value).data
                for stage in stages:
                    one = stage.run(one, position, times)
                found[history.column] = one
        self._rows += rows
        return found

    def warn_of_duplicates(self) -> None:
        """Warns when rows have the time of the row before them in their group."""
        self._finder.warn_of_duplicates()

    def _positions(self, starts: Ids, rows: int) -> Ids:
        """Each row's number in its series."""
        numbers = np.arange(self._rows, self._rows + rows)
        begins = np.concatenate([[self._start], starts]).astype(np.int64)
        position: Ids = numbers - begins[np.searchsorted(starts, numbers, side="right")]
        self._start = int(begins[-1])
        return position

    def _values(self, columns: Mapping[str, Value]) -> tuple[list[Value], list[Value], Value | None]:
        outputs = self._program.run(columns)
        first, groups = len(self._histories), len(self._series.group_by)
        time = outputs[first + groups] if self._series.order_by is not None else None
        return outputs[:first], outputs[first : first + groups], time
