"""Parquet files; hive-style folders bring their partitions as columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vaxseq.convert import places
from vaxseq.convert.readers.base import Parsed, Piece, Request, TypedReader, Unit
from vaxseq.convert.readers.kinds import storable, wanted_schema
from vaxseq.errors import SourceError, SourceNotFoundError, VaxseqError

_PIECE_BYTES = 64 << 20
_DAMAGE = (OSError, ValueError, KeyError, OverflowError, MemoryError, pa.ArrowException)


class ParquetReader(TypedReader):
    """One unit a row group, in pieces of bounded size."""

    name = "parquet"
    suffixes = (".parquet", ".parq", ".pq")

    def __init__(self, source: Any, options: Mapping[str, Any]) -> None:
        super().__init__(source, options)
        try:
            self._file = self._opened()
            self._schema = wanted_schema(self._file.schema_arrow, self.where)
            text = [field.name for field in self._schema if pa.types.is_string(field.type)]
            self._encoded = [name for name in text if self._is_encoded(name)]
            if self._encoded:  # the file's own dictionaries, without writing out and encoding again
                self._file.close()
                self._file = self._opened(self._encoded)
        except FileNotFoundError as error:
            raise SourceNotFoundError(f"{self.where}: no such file. Check the path.") from error
        except _DAMAGE as error:
            if isinstance(error, VaxseqError):
                raise
            raise SourceError(
                f"{self.where}: can't read the Parquet file: {error}. It is damaged or no Parquet."
            ) from error

    def _opened(self, encoded: list[str] | None = None) -> pq.ParquetFile:
        path = self.source.path or ""
        if places.is_url(path):
            return pq.ParquetFile(places.open_bytes(path), read_dictionary=encoded, pre_buffer=True)
        return pq.ParquetFile(path, memory_map=True, read_dictionary=encoded)

    def schema(self) -> pa.Schema:
        return self._schema

    def _is_encoded(self, name: str) -> bool:
        """Whether its pages are dictionary pages in the first row group: repeated values."""
        meta = self._file.metadata
        if meta.num_row_groups == 0:
            return False
        group = meta.row_group(0)
        for index in range(group.num_columns):
            column = group.column(index)
            if column.path_in_schema == name:
                return bool(column.has_dictionary_page) and column.total_uncompressed_size < 4 * group.num_rows + (
                    1 << 20
                )
        return False

    def units(self, index: int) -> Iterator[Unit]:
        for group in range(self._file.metadata.num_row_groups):
            if self._file.metadata.row_group(group).num_rows:
                yield Unit(index, group, group + 1)

    def pieces(self, unit: Unit, skip: int = 0) -> Iterator[Piece]:
        meta = self._file.metadata
        group = meta.row_group(unit.start)
        first = sum(meta.row_group(before).num_rows for before in range(unit.start))
        row_bytes = max(group.total_byte_size // group.num_rows, 1)
        size = int(min(max(_PIECE_BYTES // row_bytes, 1024), 1 << 20, group.num_rows))
        try:
            batches = self._file.iter_batches(
                size, row_groups=[unit.start], columns=self._schema.names, use_threads=False
            )
            for number, batch in enumerate(batches):
                if number >= skip:
                    yield Piece(storable(pa.Table.from_batches([batch])), first)
                first += batch.num_rows
        except _DAMAGE as error:
            if isinstance(error, VaxseqError):
                raise
            raise SourceError(
                f"{self.where}: row group {unit.start}: {error}. The file is damaged; get it again."
            ) from error

    def parse(self, piece: Piece, request: Request) -> Parsed:
        return Parsed(piece.raw.select(list(request.columns)))

    def close(self) -> None:
        self._file.close()
