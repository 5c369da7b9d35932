"""Avro files, through fastavro."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from types import TracebackType
from typing import Any

import pyarrow as pa

from vaxseq.convert import storage
from vaxseq.convert.readers import nesting
from vaxseq.convert.readers.base import Piece, Unit
from vaxseq.convert.readers.nesting import NestedReader
from vaxseq.errors import MissingExtraError, SchemaError, SourceError, VaxseqError

_ROWS = 1 << 15
_PLAIN = {
    "null": pa.null(), "boolean": pa.bool_(), "int": pa.int32(), "long": pa.int64(), "float": pa.float32(),
    "double": pa.float64(), "bytes": pa.binary(), "string": pa.string(),
}  # fmt: skip
_NUMBERS = {pa.int32(), pa.int64(), pa.float32(), pa.float64()}
_LOGICAL = {
    "date": pa.date32(), "time-millis": pa.time32("ms"), "time-micros": pa.time64("us"),
    "timestamp-millis": pa.timestamp("ms", "UTC"), "timestamp-micros": pa.timestamp("us", "UTC"),
    "local-timestamp-millis": pa.timestamp("ms"), "local-timestamp-micros": pa.timestamp("us"), "uuid": pa.string(),
}  # fmt: skip


class AvroReader(NestedReader):
    """One unit, read from its start: the blocks of a file don't say where they are."""

    name = "avro"
    suffixes = (".avro",)
    options = nesting.OPTIONS
    splittable = False

    def __init__(self, source: Any, options: Mapping[str, Any]) -> None:
        super().__init__(source, options)
        try:
            import fastavro
        except ImportError as error:
            raise MissingExtraError(f"{self.where}: fastavro isn't installed. pip install 'vaxseq[avro]'") from error
        self._avro = fastavro
        with self._records() as (_, schema):
            self._own = pa.schema(self._fields(schema, {}))
            if not _takes_bytes(schema):  # a few bytes could say that there are any number of them
                raise SchemaError(f"{self.where}: its records take no bytes: there is nothing in them but null.")

    def _records(self) -> _Opened:
        return _Opened(self)

    def nested_schema(self) -> pa.Schema:
        return self._own

    def look(self, names: list[str]) -> Iterator[pa.Table]:
        for piece in self.pieces(Unit(0, 0, -1)):
            yield piece.raw.select(names)

    def units(self, index: int) -> Iterator[Unit]:
        yield Unit(index, 0, -1)

    def pieces(self, unit: Unit, skip: int = 0) -> Iterator[Piece]:
        row = 0
        with self._records() as (records, _):
            while rows := list(islice(records, _ROWS)):
                if row // _ROWS >= skip:
                    yield Piece(pa.Table.from_pylist(rows, self._own), row)
                row += len(rows)

    def _fields(self, schema: Any, named: dict[str, Any]) -> list[pa.Field]:
        if not isinstance(schema, Mapping) or schema.get("type") != "record":
            raise SchemaError(f"{self.where}: the schema isn't a record; got {str(schema)[:60]!r}.")
        return [pa.field(one["name"], self._kind(one["type"], one["name"], named)) for one in schema["fields"]]

    def _kind(self, schema: Any, where: str, named: dict[str, Any]) -> pa.DataType:
        if isinstance(schema, str):
            if schema in named:
                return named[schema]
            return _PLAIN.get(schema, pa.binary())
        if isinstance(schema, list):
            kinds = [self._kind(one, where, named) for one in schema if one != "null"]
            if len(set(kinds)) > 1:
                both = pa.types.is_integer(kinds[0]) or pa.types.is_floating(kinds[0])
                return (
                    pa.float64()
                    if both and set(kinds) <= {pa.int32(), pa.int64(), pa.float32(), pa.float64()}
                    else pa.binary()
                )
            return kinds[0] if kinds else pa.null()
        kind, logical = schema.get("type"), schema.get("logicalType")
        found: pa.DataType
        if logical in _LOGICAL:
            return _LOGICAL[logical]
        if logical == "decimal":
            return pa.decimal128(min(int(schema["precision"]), 38), int(schema.get("scale", 0)))
        if kind == "record":
            found = pa.struct(self._fields(schema, named))
        elif kind == "array":
            found = pa.list_(self._kind(schema["items"], where, named))
        elif kind == "map":
            found = pa.map_(pa.string(), self._kind(schema["values"], where, named))
        elif kind == "enum":
            found = pa.string()
        elif kind == "fixed":
            found = pa.binary()
        else:
            return self._kind(kind, where, named)
        if "name" in schema:
            named[schema["name"]] = found
            if "namespace" in schema:
                named[f"{schema['namespace']}.{schema['name']}"] = found
        return found


def _takes_bytes(schema: Any) -> bool:
    """Whether a value of this type takes a byte at least."""
    kind = schema.get("type") if isinstance(schema, Mapping) else schema
    if kind == "record":
        return any(_takes_bytes(one["type"]) for one in schema["fields"])
    if kind == "fixed":
        return bool(schema["size"])
    return _takes_bytes(kind) if isinstance(kind, Mapping) else kind != "null"


class _Opened:
    """The records of the file, from its start, and its schema; what fails is said with the file's name."""

    def __init__(self, reader: AvroReader) -> None:
        self._reader = reader

    def __enter__(self) -> tuple[Iterator[Any], Any]:
        try:
            self._file = storage.open_bytes(self._reader.source.path or "")
            found = self._reader._avro.reader(self._file)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return iter(found), found.writer_schema

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if hasattr(self, "_file"):
            self._file.close()
        if isinstance(error, Exception) and not isinstance(error, VaxseqError):
            # fastavro lets whatever the damaged bytes lead to come through
            raise SourceError(
                f"{self._reader.where}: can't read the Avro file: {type(error).__name__}: {error}. It is damaged or no "
                "Avro."
            ) from error
