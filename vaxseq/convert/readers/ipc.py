"""Arrow IPC: files (Feather too, compressed too) and streams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from vaxseq.convert import storage
from vaxseq.convert.readers import nesting
from vaxseq.convert.readers.base import Piece, Unit
from vaxseq.convert.readers.nesting import NestedReader
from vaxseq.dataset.ipc_layout import FileLayout, footer_of, layout_of
from vaxseq.errors import DatasetError, SourceError, SourceNotFoundError

_ROWS = 1 << 20
_LOOK_ROWS = 1 << 14
_READ_BYTES = 1 << 30  # record batches beyond are read by ranges of rows: no memory may hold them whole


class IpcReader(NestedReader):
    """One unit a record batch; a stream is one unit of many pieces."""

    name = "arrow"
    suffixes = (".arrow", ".feather", ".ipc", ".arrows")
    options = nesting.OPTIONS

    def __init__(self, source: Any, options: Mapping[str, Any]) -> None:
        super().__init__(source, options)
        try:
            remote = storage.is_url(source.path)
            self._source = pa.PythonFile(storage.open_bytes(source.path), "r") if remote else pa.OSFile(source.path)
            head = self._source.read(6)
            if head[:4] == b"FEA1":
                raise SourceError(
                    f"{self.where}: Feather version 1, which Arrow has given up; expected version 2. Turn it into one: "
                    "pyarrow.feather.write_feather(pyarrow.feather.read_table('old.feather'), 'new.feather')."
                )
            self._file = pa.ipc.open_file(self._source) if head == b"ARROW1" else None
            self._source.seek(0)
            schema = self._file.schema if self._file is not None else pa.ipc.open_stream(self._source).schema
            self._schema = schema.remove_metadata()
            self._count = self._file.num_record_batches if self._file is not None else 1
            self._layout = self._layout_of_large_batches()
        except FileNotFoundError as error:
            raise SourceNotFoundError(f"{self.where}: no such file. Check the path.") from error
        except (OSError, pa.ArrowException, ValueError) as error:
            if isinstance(error, SourceError):
                raise
            raise SourceError(
                f"{self.where}: can't read the Arrow file: {error}. It is damaged, or no Arrow IPC."
            ) from error

    def _layout_of_large_batches(self) -> FileLayout | None:
        """Nothing where batches are small, or are compressed or of a type that only whole batches can be read of."""
        self._size = self._source.size() if self._file is not None else 0
        if self._file is None or self._size <= _READ_BYTES * self._count:
            return None
        try:
            footer, _ = footer_of(self._size, self._bytes)
            return layout_of(footer, self._file.schema, self._bytes)
        except DatasetError:
            return None

    def _bytes(self, start: int, stop: int) -> bytes:
        found: bytes = self._source.read_at(stop - start, start) if 0 <= start <= stop <= self._size else b""
        if len(found) < stop - start or start > stop:
            raise DatasetError(f"it ends before bytes {start:,} to {stop:,}, which it is to hold")
        return found

    def nested_schema(self) -> pa.Schema:
        return self._schema

    def look(self, names: list[str]) -> Iterator[pa.Table]:
        for number in range(self._count):
            if self._layout is not None:
                rows, _ = self._layout.batches[number]
                found = iter([self._part(number, 0, min(rows, _LOOK_ROWS), names)])
            else:
                found = self._batches(Unit(0, number, number + 1))
            for batch in found:
                if batch.num_rows:
                    batch.validate(full=True)
                    yield pa.Table.from_batches([batch.select(names).slice(0, _LOOK_ROWS)])

    def units(self, index: int) -> Iterator[Unit]:
        for number in range(self._count):
            yield Unit(index, number, number + 1)

    def pieces(self, unit: Unit, skip: int = 0) -> Iterator[Piece]:
        try:
            if self._layout is not None:
                rows, _ = self._layout.batches[unit.start]
                for start in range(skip * _ROWS, rows, _ROWS):
                    part = self._part(unit.start, start, min(start + _ROWS, rows), self.own_columns())
                    part.validate(full=True)
                    yield Piece(pa.Table.from_batches([part]), start)
                return
            row = number = 0
            for batch in self._batches(unit):
                batch.validate(full=True)  # what a file claims about its own buffers isn't trusted
                for start in range(0, batch.num_rows, _ROWS):
                    part = batch.slice(start, _ROWS)
                    if number >= skip:
                        yield Piece(pa.Table.from_batches([part]).select(self.own_columns()), row)
                    row += part.num_rows
                    number += 1
        except (OSError, pa.ArrowException, ValueError, DatasetError) as error:
            if isinstance(error, SourceError):
                raise
            raise SourceError(
                f"{self.where}: record batch {unit.start}: {error}. The file is damaged; get it again."
            ) from error

    def _part(self, number: int, start: int, stop: int, names: list[str]) -> pa.RecordBatch:
        """Rows of a large batch."""
        assert self._layout is not None
        columns = [self._layout.read(name, number, start, stop, self._bytes) for name in names]
        return pa.RecordBatch.from_arrays(columns, schema=pa.schema([self._schema.field(name) for name in names]))

    def _batches(self, unit: Unit) -> Iterator[pa.RecordBatch]:
        if self._file is not None:
            yield self._file.get_batch(unit.start)
        else:
            self._source.seek(0)
            yield from pa.ipc.open_stream(self._source)

    def close(self) -> None:
        self._source.close()
