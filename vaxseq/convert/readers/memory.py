"""Objects in memory: pandas DataFrame, pyarrow Table, record batches and any iterable of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from vaxseq.convert.readers.base import Piece, TypedReader, Unit
from vaxseq.convert.readers.kinds import storable, wanted_schema
from vaxseq.errors import SourceError

_ROWS = 1 << 20


class MemoryReader(TypedReader):
    """One unit. An iterable is read once, so such a conversion isn't restartable."""

    name = "memory"

    def __init__(self, source: Any, options: Mapping[str, Any]) -> None:
        super().__init__(source, options)
        self._first, self._batches = _as_batches(source.data, self.where)
        self._schema = wanted_schema(self._first, self.where)

    @classmethod
    def accepts(cls, data: Any) -> bool:
        return (
            _is_pandas(data)
            or isinstance(data, pa.Table | pa.RecordBatch | pa.RecordBatchReader)
            or hasattr(data, "__iter__")
        )

    def schema(self) -> pa.Schema:
        return self._schema

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
                    yield Piece(storable(pa.Table.from_batches([part])), row)
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
    return first.schema, _chain(first, iterator)


def _from_pandas(data: Any, where: str) -> pa.Table:
    try:
        return pa.Table.from_pandas(data, preserve_index=False).replace_schema_metadata(None)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise SourceError(
            f"{where}: pandas can't hand its columns over: {error}. Give each column one type."
        ) from error


def _chain(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


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
