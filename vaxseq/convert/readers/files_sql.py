"""SQL on files without a server: DuckDB in this process, its result streamed, its memory and spill set by us."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.convert.readers import nesting
from vaxseq.convert.readers.base import Source, bad_option
from vaxseq.convert.readers.sql import SqlReader
from vaxseq.convert.type_promotion import EXACT_INTEGER
from vaxseq.dataset.input_tables import with_threads_told
from vaxseq.errors import MissingExtraError, OptionError, SchemaError, SourceError

_LEAST, _MOST = 256 << 20, 4 << 30
_ROWS = 1 << 16
_SETTINGS = {
    "autoinstall_known_extensions": "false",  # a query must not fetch code from anywhere
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "lock_configuration": "true",
}


@dataclass(frozen=True, slots=True)
class FileQuery:
    """A query over files: ``select ... from 'a.parquet' asof join read_csv('b.csv') using (t)``."""

    sql: str
    spill: str  # the folder for what memory doesn't hold
    key: str | None = None

    @property
    def restartable(self) -> bool:
        """Whether a run that was stopped can go on: only an ordered result has places."""
        return self.key is not None

    def source(self) -> Source:
        """The query as a source.

        Raises:
            OptionError: an empty query.
        """
        if not self.sql.strip():
            raise OptionError("convert: option sql; got an empty query, expected select ...")
        return Source("<sql>", "duckdb", data=self)


class FilesSqlReader(SqlReader):
    """The result of a query that DuckDB runs. Decimals become numbers, as far as those hold them."""

    name = "duckdb"
    options = {"key": None, "memory_limit": None, **nesting.OPTIONS}

    def _open(self) -> None:
        self._connection = self._connect()

    def _connect(self) -> Any:
        try:
            import duckdb
        except ImportError as error:
            raise MissingExtraError(
                f"{self.where}: duckdb isn't installed; it runs sql= without uri=. pip install 'vaxseq[duckdb]'"
            ) from error
        os.makedirs(self._query.spill, exist_ok=True)
        limit = self.set["memory_limit"] or default_limit()
        if not isinstance(limit, int | str) or isinstance(limit, bool):
            raise bad_option(self.where, "memory_limit", limit, "bytes, or a text such as '2GB'")
        try:
            return duckdb.connect(
                ":memory:",
                config={
                    "memory_limit": f"{limit}B" if isinstance(limit, int) else limit,
                    "temp_directory": self._query.spill,
                    **_SETTINGS,
                },
            )
        except duckdb.Error as error:
            raise bad_option(self.where, "memory_limit", limit, f"bytes, or a text such as '2GB' ({error})") from error

    def _run(self, sql: str) -> Any:
        with self._explained():
            if self._cursor is not None:
                self._cursor.close()
            self._cursor = self._connection.cursor()
            return self._cursor.execute(sql).to_arrow_reader(_ROWS)

    def _ordered(self, offset: int) -> str:
        # as a subquery it can be nothing but one select
        return super()._ordered(offset) if self._query.key is not None else self._inner()

    def _typed(self, table: pa.Table) -> pa.Table:
        for place, one in enumerate(table.schema):
            if pa.types.is_decimal(one.type):
                table = table.set_column(place, one.name, self._number(one.name, table[one.name]))
        return table

    def _number(self, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """Sums of integers come as decimals of 38 digits, and so does what is computed with a constant like 0.5."""
        if column.type.scale == 0:
            try:
                return column.cast(pa.int64())
            except pa.ArrowInvalid:
                got = pc.max(pc.abs(column)).as_py()
        else:
            values = column.cast(pa.string()).cast(pa.float64())  # Arrow's own cast is off by a bit for some
            found = values.to_numpy()
            if not (np.abs(found) >= EXACT_INTEGER).any():
                return values
            got = np.nanmax(np.abs(found))
        raise SchemaError(
            f"{self.where}: column {name!r}: a decimal that an int64 or a float64 would round; got {got}. CAST it in "
            "the query: to varchar to keep it, to double to accept rounding."
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        import duckdb

        try:
            yield
        except duckdb.OutOfMemoryException as error:
            raise SourceError(
                f"{self.where}: the query needs more memory than it may use: {_first_line(error)}. Pass a larger "
                "memory_limit=, such as '8GB'."
            ) from error
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            if isinstance(error, SourceError):
                raise
            raise SourceError(f"{self.where}: the query failed: {_first_line(error)}") from error


def default_limit() -> int:
    """Half of the memory that is free to this process, 4 GiB at most."""
    from vaxseq.dataset.memory_limit import memory_room

    room = memory_room()
    return _MOST if room is None else int(min(max(room // 2, _LEAST), _MOST))


def _first_line(error: BaseException) -> str:
    return with_threads_told(" ".join(str(error).split("\n\nLINE")[0].split()))
