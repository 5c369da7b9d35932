"""Rows from all over a frame, in stretches that keep their neighbours: enough to tell what gives a target away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vaxseq.expressions import Expression, compile_expression
from vaxseq.expressions.program import ProgramBuilder
from vaxseq.expressions.values import Mask, Value
from vaxseq.frame import Source
from vaxseq.report.column import ColumnScan, ColumnSummary

MOST_ROWS = 1 << 17
_STRETCHES = 32
STRETCH_ROWS = MOST_ROWS // _STRETCHES


class Sample:
    """Up to 131,072 chosen rows in memory, read as a frame's Source is.

    ``ids`` are their row ids; rows of ids that follow one another are neighbours in the data.
    """

    def __init__(self, columns: Mapping[str, Value], ids: npt.NDArray[np.int64]) -> None:
        self.columns, self.ids = dict(columns), ids
        self.n_rows = len(ids)

    def read(self, names: Iterable[str], start: int, stop: int) -> dict[str, Value]:
        """Rows ``start`` to ``stop`` of columns."""
        return {name: self.columns[name].slice(start, stop) for name in names}

    def filter_mask(self, start: int, stop: int) -> Mask | None:
        """All rows are chosen ones."""
        return None

    def with_expression(self, name: str, expression: Expression) -> Value:
        """A further column, computed from the others."""
        builder = ProgramBuilder()
        known = {one: builder.column(one) for one in self.columns}
        program = builder.build([compile_expression(expression, builder, known)])
        self.columns[name] = value = program.run({one: self.columns[one] for one in program.columns})[0]
        return value

    def summary(self, name: str, type_name: str) -> ColumnSummary:
        """What a column of the sample holds."""
        scan = ColumnScan(name, type_name, self.columns[name].slice(0, 0), None)
        scan.update(self.columns[name])
        return scan.finish()


def take_sample(source: Source, names: Sequence[str]) -> Sample:
    """The frame's chosen rows in equal stretches from all over it; all of them if they are few."""
    parts: dict[str, list[Value]] = {name: [] for name in names}
    ids: list[npt.NDArray[np.int64]] = []
    for start, stop in _stretches(source.n_rows):
        mask = source.filter_mask(start, stop)
        kept = np.arange(start, stop) if mask is None else np.flatnonzero(mask) + start
        ids.append(kept)
        for name, value in source.read(names, start, stop).items():
            parts[name].append(value if mask is None else value.compress(mask))
    return Sample({name: _joined(one) for name, one in parts.items()}, np.concatenate(ids))


def _stretches(n_rows: int) -> list[tuple[int, int]]:
    if n_rows <= MOST_ROWS:
        return [(0, n_rows)]
    starts = np.linspace(0, n_rows - STRETCH_ROWS, _STRETCHES).astype(np.int64).tolist()
    return [(start, start + STRETCH_ROWS) for start in starts]


def _joined(values: list[Value]) -> Value:
    if len(values) == 1:
        return values[0]
    if isinstance(values[0].data, pa.Array):
        plain = [one.data.cast(pa.large_string()) for one in values]
        return Value(pa.concat_arrays(plain))
    data = np.concatenate([one.data for one in values])
    if all(one.missing is None for one in values):
        return Value(data)
    return Value(data, np.concatenate([one.is_missing() for one in values]))
