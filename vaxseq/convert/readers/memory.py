"""Tables in memory, queries, vaex frames, and any iterable of batches; streamed where the rows come as a stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vaxseq.convert.readers import nesting
from vaxseq.convert.readers.arrays import to_arrow
from vaxseq.convert.readers.base import Piece, Unit
from vaxseq.convert.readers.nesting import NestedReader
from vaxseq.dataset.input_tables import columns_of, is_pandas, is_query, is_table, is_vaex, no_table, stream_of, was_run
from vaxseq.dataset.table_columns import Columns, arrow_columns, index_frame
from vaxseq.errors import OptionError, SourceError

_ROWS = 1 << 20
_LOOK_ROWS = 1 << 14


class MemoryReader(NestedReader):
    """One unit. What is in memory is read once, so such a conversion isn't restartable."""

    name = "memory"
    options = nesting.OPTIONS

    def __init__(self, source: Any, options: Mapping[str, Any]) -> None:
        super().__init__(source, options)
        self._begin(_tables(source.data, self.where))

    def _begin(self, tables: Iterator[pa.Table]) -> None:
        first = next(tables)
        self._first = first.schema
        batches = (batch for table in chain([first], tables) for batch in table.to_batches())
        self._held = next(batches, None)
        self._batches = chain([] if self._held is None else [self._held], batches)

    def choose(self, columns: tuple[str, ...]) -> None:
        super().choose(columns)
        frame = _vaex_frame(self.source.data)
        if frame is not None and (names := self.own_columns()) != self._first.names:
            self._begin(_of_frame(frame, self.where, names))  # columns of a frame cost what they hold

    def nested_schema(self) -> pa.Schema:
        return self._first

    def look(self, names: list[str]) -> Iterator[pa.Table]:
        if self._held is not None:
            yield pa.Table.from_batches([self._held]).select(names).slice(0, _LOOK_ROWS)

    def units(self, index: int) -> Iterator[Unit]:
        yield Unit(index, 0, -1)

    def pieces(self, unit: Unit, skip: int = 0) -> Iterator[Piece]:
        row = 0
        number = 0
        for batch in self._batches:
            if not batch.schema.equals(self._first) and batch.schema.names != self._first.names:
                raise SourceError(
                    f"{self.where}: batch {number} has columns {batch.schema.names}, expected {self._first.names}."
                )
            for start in range(0, batch.num_rows, _ROWS):
                part = batch.slice(start, _ROWS)
                if number >= skip:
                    yield Piece(pa.Table.from_batches([part]).select(self.own_columns()), row)
                row += part.num_rows
                number += 1


def _tables(data: Any, where: str) -> Iterator[pa.Table]:
    """The rows of a table, frame or query, or of an iterable of them; at least one table, for its columns."""
    if _is_one(data):
        yield from _of_one(data, where)
        return
    if isinstance(data, str | bytes) or not hasattr(data, "__iter__") or _has_cells(data):
        raise no_table(data, "convert")
    given = False
    for one in data:
        if not _is_one(one) or (
            isinstance(one, Mapping) and not any(hasattr(cell, "__len__") for cell in one.values())
        ):
            got = "a row" if isinstance(one, Mapping) else f"a {type(one).__name__}"
            remedy = "Make tables of many rows each: pyarrow.Table.from_pylist(rows), pandas.DataFrame(rows)"
            raise SourceError(
                f"{where}: got {got}, expected record batches, tables, frames or dicts of arrays. {remedy}."
            )
        yield from _of_one(one, where)
        given = True
    if not given:
        raise SourceError(f"{where}: the iterable gave no batch; got nothing, expected record batches.")


def _has_cells(data: Any) -> bool:
    """Whether to iterate would give its cells, or a model's batches, in place of tables."""
    return hasattr(data, "__array__") or hasattr(data, "batch")


def _is_one(data: Any) -> bool:
    return is_vaex(data) or is_query(data) or is_table(data)


def _of_one(data: Any, where: str) -> Iterator[pa.Table]:
    if (frame := _vaex_frame(data)) is not None:
        yield from _of_frame(frame, where)
    elif is_query(data):
        schema, tables = stream_of(data, where)
        yield schema.empty_table()
        yield from tables
    elif isinstance(data, pa.Table):
        yield data
    else:
        columns = arrow_columns(_from_pandas(data, where), where) if is_pandas(data) else columns_of(data, where)
        rows = len(next(iter(columns.values())))
        for start in range(0, max(rows, 1), _ROWS):  # what isn't Arrow's becomes it a part at a time
            yield _table({name: column[start : start + _ROWS] for name, column in columns.items()}, where)


def _vaex_frame(data: Any) -> Any:
    """The frame that it is, or that a query has become by then."""
    return data if is_vaex(data) else was_run(data)


def _of_frame(frame: Any, where: str, names: list[str] | None = None) -> Iterator[pa.Table]:
    from vaxseq.frame import blocks_of, source_of  # it loads vaex, which no other source needs

    for block in blocks_of(source_of(frame), names, labels=True):
        yield _table(block, where)


def _table(columns: Columns, where: str) -> pa.Table:
    arrays = [
        to_arrow(np.ma.getdata(column), _absent(column), f"{where}: column {name!r}")
        if isinstance(column, np.ndarray)
        else column
        for name, column in columns.items()
    ]
    return pa.Table.from_arrays(arrays, list(columns))


def _absent(column: npt.NDArray[Any]) -> npt.NDArray[np.bool_] | None:
    """NaN is missing, as it is in pandas' frames; and so is what a mask covers."""
    lost = np.ma.getmaskarray(column)
    if column.dtype.kind == "f":
        lost = lost | np.isnan(np.ma.getdata(column))
    return lost if lost.any() else None


def _from_pandas(data: Any, where: str) -> pa.Table:
    if not data.columns.is_unique:
        twice = data.columns[data.columns.duplicated()][0]
        raise OptionError(f"{where}: the column {twice!r} is there twice. Rename one.")
    try:
        table = pa.Table.from_pandas(data, preserve_index=False)
        if (index := index_frame(data, where)) is not None:
            first = pa.Table.from_pandas(index, preserve_index=False)
            table = pa.table([*first.columns, *table.columns], names=[*first.column_names, *table.column_names])
        return table.replace_schema_metadata(None)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise SourceError(
            f"{where}: pandas can't hand its columns over: {error}. Give each column one type."
        ) from error
