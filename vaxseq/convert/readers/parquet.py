"""Parquet files; hive-style folders bring their partitions as columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vaxseq.convert import storage
from vaxseq.convert.lists import is_list
from vaxseq.convert.readers import nesting
from vaxseq.convert.readers.base import Piece, Unit
from vaxseq.convert.readers.nesting import NestedReader
from vaxseq.errors import SchemaError, SourceError, SourceNotFoundError, VaxseqError

_PIECE_BYTES = 64 << 20
_LOOK_ROWS = 1 << 14
_BUFFER_BYTES = 1 << 20  # of each column that is read at once
_MOST_US = (2**63 - 1) // 1000
_DAMAGE = (OSError, ValueError, KeyError, OverflowError, MemoryError, pa.ArrowException)


class ParquetReader(NestedReader):
    """One unit a row group, in pieces of bounded size."""

    name = "parquet"
    suffixes = (".parquet", ".parq", ".pq")
    options = nesting.OPTIONS

    def __init__(self, source: Any, options: Mapping[str, Any]) -> None:
        super().__init__(source, options)
        try:
            self._file = self._opened()
            own = self._file.schema_arrow
            text = [field.name for field in own if pa.types.is_string(field.type)]
            self._old_times = self._int96_columns()
            self._fine: pq.ParquetFile | None = None
            self._encoded = self._encoded_of(text)
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

    def _opened(self, encoded: list[str] | None = None, old_times: str = "us", *, ahead: bool = True) -> pq.ParquetFile:
        path = self.source.path or ""
        how = {"read_dictionary": encoded, "coerce_int96_timestamp_unit": old_times}
        if storage.is_url(path):
            buffer_bytes = 0 if ahead else _BUFFER_BYTES
            return pq.ParquetFile(storage.open_bytes(path), pre_buffer=ahead, buffer_size=buffer_bytes, **how)
        return pq.ParquetFile(path, buffer_size=_BUFFER_BYTES, **how)  # a map ends the process if the file is cut short

    def _int96_columns(self) -> list[str]:
        """Columns with times in 96 bits, which hold years and nanoseconds that no unit of Arrow's holds together."""
        columns = [self._file.schema.column(index) for index in range(len(self._file.schema))]
        old = [one.path.split(".")[0] for one in columns if one.physical_type == "INT96"]
        return [name for name in self._file.schema_arrow.names if name in old]

    def nested_schema(self) -> pa.Schema:
        return self._file.schema_arrow

    def look(self, names: list[str]) -> Iterator[pa.Table]:
        for batch in self._file.iter_batches(_LOOK_ROWS, columns=names, use_threads=False):
            yield pa.Table.from_batches([batch])

    def _encoded_of(self, names: list[str]) -> list[str]:
        """Those whose pages are dictionary pages in the first row group: repeated values."""
        meta = self._file.metadata
        if meta.num_row_groups == 0 or not names:
            return []
        group = meta.row_group(0)
        paths = [self._file.schema.column(index).path for index in range(len(self._file.schema))]
        # where they are damaged, pyarrow's metadata of a column ends the process by a signal; its reader says so
        with self._opened(ahead=False) as tried:
            for name in names:
                next(tried.iter_batches(1, row_groups=[0], columns=[name], use_threads=False), None)
        found = [(name, group.column(paths.index(name))) for name in names if name in paths]
        most = 4 * group.num_rows + (1 << 20)
        return [name for name, one in found if one.has_dictionary_page and one.total_uncompressed_size < most]

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
                size, row_groups=[unit.start], columns=self.own_columns(), use_threads=False
            )
            old = [name for name in self.own_columns() if name in self._old_times]
            if old and self._fine is None:
                self._fine = self._opened(old_times="ns")
            in_ns = self._fine.iter_batches(size, row_groups=[unit.start], columns=old) if old and self._fine else None
            for number, batch in enumerate(batches):
                fine = next(in_ns) if in_ns is not None else None
                for column in batch.columns:
                    if pa.types.is_dictionary(column.type):  # a damaged file's codes may lie outside of its values
                        column.validate(full=True)
                if number >= skip:
                    table = pa.Table.from_batches([batch])
                    yield Piece(table if fine is None else exact_times(table, fine, self.where), first)
                first += batch.num_rows
        except _DAMAGE as error:
            if isinstance(error, VaxseqError):
                raise
            raise SourceError(
                f"{self.where}: row group {unit.start}: {error}. The file is damaged; get it again."
            ) from error

    def close(self) -> None:
        self._file.close()
        if self._fine is not None:
            self._fine.close()


def exact_times(table: pa.Table, fine: pa.RecordBatch, where: str) -> pa.Table:
    """The table, read in microseconds, with columns out of ``fine``, read in nanoseconds, where these say more.

    Raises:
        SchemaError: a column has fractions of a microsecond beside years that nanoseconds don't reach.
    """
    for name in fine.schema.names:
        coarse, exact = table[name].combine_chunks(), fine.column(name)
        finer = beyond = False
        for us, ns in zip(_times(coarse), _times(exact), strict=True):
            x, y = (np.asarray(one.fill_null(0).view(pa.int64())) for one in (us, ns))
            finer |= bool((y - x * 1000).any())  # the years beyond wrap on both sides
            beyond |= bool((np.abs(x) > _MOST_US).any())
        if finer and beyond:
            raise SchemaError(
                f"{where}: column {name!r}: 96-bit times with fractions of a microsecond beside years before 1678 or "
                "after 2261; no time unit holds both. Leave the column out with columns=, or round it at the source."
            )
        if finer:
            table = table.set_column(table.column_names.index(name), name, exact)
    return table


def _times(array: pa.Array) -> Iterator[pa.Array]:
    """The times within a column, nested ones too."""
    kind = array.type
    if isinstance(array, pa.ChunkedArray):
        for chunk in array.chunks:
            yield from _times(chunk)
    elif pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            yield from _times(array.field(index))
    elif pa.types.is_map(kind):
        yield from _times(array.items)
    elif is_list(kind):
        yield from _times(array.values)
    elif pa.types.is_timestamp(kind):
        yield array
