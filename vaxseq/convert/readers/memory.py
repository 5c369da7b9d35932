"""Objects in memory: pandas DataFrame, pyarrow Table, record batches and any iterable of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import pyarrow as pa

from vaxseq.convert.readers import nesting
from vaxseq.convert.readers.base import Piece, Unit
from vaxseq.convert.readers.nesting import NestedReader
from vaxseq.errors import SourceError

_ROWS = 1 << 20
_LOOK_ROWS = 1 << 14


class MemoryReader(NestedReader):
    """One unit. An iterable is read once, so such a conversion isn't restartable."""

    name = "memory"
    options = nesting.OPTIONS

    def __init__(self, source: Any, options: Mapping[str, Any]) -> None:
        super().__init__(source, options)
        self._first, batches = _as_batches(source.data, self.where)
        self._held = next(batches, None)
        self._batches = chain([] if self._held is None else [self._held], batches)

    @classmethod
    def accepts(cls, data: Any) -> bool:
        return (
            _is_pandas(data)
            or isinstance(data, pa.Table | pa.RecordBatch | pa.RecordBatchReader)
            or hasattr(data, "__iter__")
        )

    def nested_schema(self) -> pa.Schema:
        return self._first

    def look(self, names: list[str]) -> Iterator[pa.Table]:
        if self._held is not None:
            yield pa.Table.from_batches([_single(self._held, self.where)]).select(names).slice(0, _LOOK_ROWS)

    def units(self, index: int) -> Iterator[Unit]:
        yield Unit(index, 0, -1)

    def pieces(self, unit: Unit, skip: int = 0) -> Iterator[Piece]:
        row = 0
        number = 0
        for batch in self._batches:
            if not isinstance(batch, pa.RecordBatch):
                batch = _single(batch, self.where)
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


def _is_pandas(data: Any) -> bool:
    return type(data).__module__.startswith("pandas.") and hasattr(data, "iloc")


def _as_batches(data: Any, where: str) -> tuple[pa.Schema, Iterator[Any]]:
    if _is_pandas(data):
        data = _from_pandas(data, where)
    if isinstance(data, pa.RecordBatch):
        return data.schema, iter([data])
    if isinstance(data, pa.Table):
        return data.schema, iter(data.to_batches(max_chunksize=_ROWS))
    if isinstance(data, pa.RecordBatchReader):
        return data.schema, iter(data)
    iterator = iter(data)
    first = next(iterator, None)
    if first is None:
        raise SourceError(f"{where}: the iterable gave no batch; got nothing, expected record batches.")
    first = _single(first, where)
    return first.schema, chain([first], iterator)


def _from_pandas(data: Any, where: str) -> pa.Table:
    try:
        return pa.Table.from_pandas(_with_index(data, where), preserve_index=False).replace_schema_metadata(None)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise SourceError(
            f"{where}: pandas can't hand its columns over: {error}. Give each column one type."
        ) from error


def _with_index(data: Any, where: str) -> Any:
    """The frame with its index as columns in front, where that says more than the row's number."""
    index = data.index
    unnamed = all(name is None for name in index.names)
    if index.nlevels == 1 and unnamed and index.dtype.kind in "iu":  # numbers that a selection has left
        return data
    names = list(index.names)
    if index.nlevels == 1 and not unnamed and index.name in data.columns and index.equals(data[index.name]):
        return data
    try:
        return data.reset_index()
    except ValueError as error:  # a column is called so already
        raise SourceError(
            f"{where}: the index {names} can't become a column: {error}. Rename it with rename_axis(), or drop it with "
            "reset_index(drop=True)."
        ) from error


def _single(batch: Any, where: str) -> pa.RecordBatch:
    if isinstance(batch, pa.RecordBatch):
        return batch
    if _is_pandas(batch):
        batch = _from_pandas(batch, where)
    if isinstance(batch, pa.Table):
        parts = batch.combine_chunks().to_batches()
        if len(parts) > 1:
            raise SourceError(f"{where}: a column of a batch has more than 2 GB of text. Pass smaller batches.")
        return parts[0] if parts else pa.RecordBatch.from_pylist([], batch.schema)
    if isinstance(batch, Mapping):
        return pa.RecordBatch.from_pydict(dict(batch))
    raise SourceError(f"{where}: got a {type(batch).__name__}, expected record batches, tables or DataFrames.")
