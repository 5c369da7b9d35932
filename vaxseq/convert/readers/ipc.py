"""Arrow IPC: files (Feather too, compressed too) and streams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from vaxseq.convert import places
from vaxseq.convert.readers import nesting
from vaxseq.convert.readers.base import Piece, Unit
from vaxseq.convert.readers.nesting import NestedReader
from vaxseq.errors import SourceError, SourceNotFoundError

_ROWS = 1 << 20
_LOOK_ROWS = 1 << 14
_READ_BYTES = 1 << 30  # record batches beyond are mapped: no memory may hold them whole


class IpcReader(NestedReader):
    """One unit a record batch; a stream is one unit of many pieces."""

    name = "arrow"
    suffixes = (".arrow", ".feather", ".ipc", ".arrows")
    options = nesting.OPTIONS

    def __init__(self, source: Any, options: Mapping[str, Any]) -> None:
        super().__init__(source, options)
        try:
            remote = places.is_url(source.path)
            self._source = pa.PythonFile(places.open_bytes(source.path), "r") if remote else pa.OSFile(source.path)
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
            # a map ends the process by a signal if the file is cut short, so it is read where it can be
            if self._file is not None and not remote and self._source.size() > _READ_BYTES * self._count:
                self._source = pa.memory_map(source.path)
                self._file = pa.ipc.open_file(self._source)
        except FileNotFoundError as error:
            raise SourceNotFoundError(f"{self.where}: no such file. Check the path.") from error
        except (OSError, pa.ArrowException, ValueError) as error:
            if isinstance(error, SourceError):
                raise
            raise SourceError(
                f"{self.where}: can't read the Arrow file: {error}. It is damaged, or no Arrow IPC."
            ) from error

    def nested_schema(self) -> pa.Schema:
        return self._schema

    def look(self, names: list[str]) -> Iterator[pa.Table]:
        for number in range(self._count):
            for batch in self._batches(Unit(0, number, number + 1)):
                if batch.num_rows:
                    batch.validate(full=True)
                    yield pa.Table.from_batches([batch.select(names).slice(0, _LOOK_ROWS)])

    def units(self, index: int) -> Iterator[Unit]:
        for number in range(self._count):
            yield Unit(index, number, number + 1)

    def pieces(self, unit: Unit, skip: int = 0) -> Iterator[Piece]:
        try:
            row = number = 0
            for batch in self._batches(unit):
                batch.validate(full=True)  # what a file claims about its own buffers isn't trusted
                for start in range(0, batch.num_rows, _ROWS):
                    part = batch.slice(start, _ROWS)
                    if number >= skip:
                        yield Piece(pa.Table.from_batches([part]).select(self.own_columns()), row)
                    row += part.num_rows
                    number += 1
        except (OSError, pa.ArrowException, ValueError) as error:
            if isinstance(error, SourceError):
                raise
            raise SourceError(
                f"{self.where}: record batch {unit.start}: {error}. The file is damaged; get it again."
            ) from error

    def _batches(self, unit: Unit) -> Iterator[pa.RecordBatch]:
        if self._file is not None:
            yield self._file.get_batch(unit.start)
        else:
            self._source.seek(0)
            yield from pa.ipc.open_stream(self._source)

    def close(self) -> None:
        self._source.close()
