"""Results of an SQL query, through ADBC: PostgreSQL and SQLite, in record batches as the server gives them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.convert import storage
from vaxseq.convert.readers import nesting
from vaxseq.convert.readers.base import Piece, Source, Unit, bad_option
from vaxseq.convert.readers.nesting import NestedReader
from vaxseq.convert.type_promotion import EXACT_INTEGER
from vaxseq.errors import MissingExtraError, OptionError, SourceError

_ROWS = 1 << 16
_DRIVERS = {
    "postgresql": "adbc_driver_postgresql", "postgres": "adbc_driver_postgresql", "sqlite": "adbc_driver_sqlite",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Query:
    """A query and where to ask it. Neither the address nor a password shows in ``repr``."""

    sql: str
    uri: str = field(repr=False)
    key: str | None = None  # a unique column of the result, to order it by
    password_env: str | None = None

    @property
    def restartable(self) -> bool:
        """Whether a run that was stopped can go on: only an ordered result has places."""
        return self.key is not None

    def source(self) -> Source:
        """The query as a source, named by what may be shown.

        Raises:
            OptionError: an address that no driver takes.
        """
        scheme = self.uri.partition(":")[0]
        if scheme not in _DRIVERS or "://" not in self.uri:
            raise OptionError(
                f"convert: option uri; got the scheme {scheme if storage.is_url(self.uri) else ''!r}, expected "
                "postgresql://user@host/database or sqlite:///path/to/file.db."
            )
        if not self.sql.strip():
            raise OptionError("convert: option sql; got an empty query, expected select ...")
        return Source(storage.shown(self.uri), "sql", data=self)

    def password(self) -> str | None:
        """From the variable that ``password_env`` names; libpq itself looks into PGPASSWORD."""
        if self.password_env is None:
            return None
        if self.password_env not in os.environ:
            raise OptionError(
                f"convert: option password_env; got {self.password_env!r}, which the environment lacks. Set it first."
            )
        return os.environ[self.password_env]


class SqlReader(NestedReader):
    """One unit. Without ``key`` it is read once from its start; with it, in that order, so that it can go on."""

    name = "sql"
    options = {"key": None, "password_env": None, **nesting.OPTIONS}

    def __init__(self, source: Source, options: Mapping[str, Any]) -> None:
        super().__init__(source, options)
        self._query: Any = source.data
        self._batches: Any = None
        self._tables: Iterator[pa.Table] | None = None
        self._own: pa.Schema | None = None
        self._cursor: Any = None
        self._open()

    def _open(self) -> None:
        self._password = self._query.password()
        self._scheme = self._query.uri.partition(":")[0]
        self._connection = self._connect()

    def nested_schema(self) -> pa.Schema:
        if self._own is None:
            self._batches = self._run(self._ordered(0))
            self._own = self._typed(self._batches.schema.empty_table()).schema
            if self._query.key is not None and self._query.key not in self._own.names:
                raise bad_option(self.where, "key", self._query.key, f"a column of the result, {self._own.names}")
        return self._own

    def look(self, names: list[str]) -> Iterator[pa.Table]:
        tables = self._cut(self._batches)
        first = next(tables, None)
        self._tables = chain([] if first is None else [first], tables)
        if first is not None:
            yield first.select(names)

    def units(self, index: int) -> Iterator[Unit]:
        yield Unit(index, 0, -1)

    def pieces(self, unit: Unit, skip: int = 0) -> Iterator[Piece]:
        self.schema()
        tables, batches = self._tables, self._batches
        self._tables = self._batches = None  # a result is read once
        if skip or batches is None:
            tables, batches = None, self._run(self._ordered(skip * _ROWS))
        row = skip * _ROWS
        for table in tables or self._cut(batches):
            yield Piece(table.select(self.own_columns()), row)
            row += table.num_rows

    def _cut(self, batches: Any) -> Iterator[pa.Table]:
        """Tables of equally many rows, whatever the driver's batches are, so that pieces can be counted."""
        held: list[pa.Table] = []
        rows = 0
        last: Any = None
        with self._explained():
            for batch in batches:
                table = self._typed(pa.Table.from_batches([batch]))
                last = self._check_key(table, last)
                held.append(table)
                rows += table.num_rows
                while rows >= _ROWS:
                    whole = pa.concat_tables(held)
                    yield whole.slice(0, _ROWS)
                    held, rows = [whole.slice(_ROWS)], rows - _ROWS
        if rows:
            yield pa.concat_tables(held)

    def _typed(self, table: pa.Table) -> pa.Table:
        # a numeric has no fixed scale; its digits come as text
        for name in [one.name for one in table.schema if _is_numeric(one.type)]:
            column = table[name]
            digits = [chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk for chunk in column.chunks]
            values = pa.chunked_array(digits, pa.string()).cast(pa.float64())
            found = values.to_numpy()
            if (np.isfinite(found) & (np.abs(found) >= EXACT_INTEGER)).any():
                raise SourceError(
                    f"{self.where}: column {name!r}: a numeric of 2**53 or more, which a float64 would round. "
                    "CAST it in the query: to bigint or text to keep it, to float8 to accept rounding."
                )
            table = table.set_column(table.column_names.index(name), name, values)
        return table

    def _check_key(self, table: pa.Table, last: Any) -> Any:
        """The order is sure only if each row's key is another: equal ones would stand side by side."""
        if self._query.key is None or table.num_rows == 0:
            return last
        cells = table[self._query.key].combine_chunks()
        doubled = pc.any(pc.equal(cells.slice(1), cells.slice(0, len(cells) - 1))).as_py()
        if cells.null_count or doubled or (last is not None and cells[0].as_py() == last):
            raise bad_option(
                self.where, "key", self._query.key, "a column without missing and equal values",
                "Choose another, or leave key= out: the conversion then begins again when it is stopped.",
            )  # fmt: skip
        return cells[-1].as_py()

    def _ordered(self, offset: int) -> str:
        key = self._query.key
        if key is None:
            return str(self._query.sql)
        return f"{self._inner()} order by {_quoted(key)}" + (f" limit {2**62} offset {offset}" if offset else "")

    def _inner(self, what: str = "*") -> str:
        query = self._query.sql.strip().rstrip(";")
        return f"select {what} from (\n{query}\n) as query"  # noqa: S608  the query is the user's own

    @classmethod
    def stamp(cls, source: Source) -> tuple[int, bytes]:
        """The query; with a key also how many rows its result has now, and from which key to which."""
        query: Query = source.data
        text = repr([source.name, query.sql, query.key]).encode()
        if query.key is None:
            return 0, text
        reader = cls(source, {})
        try:
            return 0, text + reader.extent()
        finally:
            reader.close()

    @classmethod
    def content(cls, source: Source) -> bytes:
        return cls.stamp(source)[1] if source.data.key is not None else b""

    def extent(self) -> bytes:
        """How many rows the result has now, and from which key to which."""
        key = _quoted(self._query.key or "")
        table = self._run(self._inner(f"count(*), min({key}), max({key})")).read_all()
        return repr([column.to_pylist() for column in table.columns]).encode()

    def _run(self, sql: str) -> Any:
        with self._explained():
            if self._cursor is not None:
                self._cursor.close()
            self._cursor = self._connection.cursor()
            if self._scheme == "sqlite":  # its columns have no types, so the first rows tell; look at many
                self._cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(_ROWS)})
            self._cursor.execute(sql)
            if self._cursor.description is None:
                raise SourceError(f"{self.where}: the query gave no rows and no columns; expected select ...")
            return self._cursor.fetch_record_batch()

    def _connect(self) -> Any:
        from importlib import import_module

        try:
            driver = import_module(f"{_DRIVERS[self._scheme]}.dbapi")
        except ImportError as error:
            raise MissingExtraError(
                f"{self.where}: {_DRIVERS[self._scheme]} isn't installed. pip install 'vaxseq[sql]'"
            ) from error
        uri = self._query.uri
        if self._scheme == "sqlite":
            path = unquote(uri.partition("://")[2].removeprefix("/"))
            if not os.path.isfile(path):
                raise SourceError(f"{self.where}: no such database file; got {path!r}. Check the path.")
            uri = f"file:{quote(path)}?mode=ro"
        elif self._password is not None:
            uri += f"{'&' if '?' in uri else '?'}password={quote(self._password, safe='')}"
        with self._explained():
            return driver.connect(uri)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """The driver's errors as ours; what it quotes of the address is kept out, and so is the chain behind it."""
        try:
            yield
        except (SourceError, OptionError):
            raise
        except Exception as error:  # each driver has its own classes, and raises OSError while it streams
            if not isinstance(error, OSError | pa.ArrowException) and "adbc" not in type(error).__module__:
                raise
            text = " ".join(str(error).split())
            secrets = [*storage.secrets_of(self._query.uri), self._password, os.environ.get("PGPASSWORD")]
            for secret in sorted((one for one in secrets if one), key=len, reverse=True):
                text = text.replace(secret, "***").replace(quote(secret, safe=""), "***")
            hint = " CAST the column to one type in the query." if "Type mismatch" in text else ""
            raise SourceError(f"{self.where}: the query failed: {text}.{hint}") from None

    def close(self) -> None:
        if self._cursor is not None:
            self._cursor.close()
        self._connection.close()


def _is_numeric(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.OpaqueType) and kind.type_name == "numeric"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
