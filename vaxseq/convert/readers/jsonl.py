"""JSON lines: one object a line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pajson

from vaxseq.convert import text
from vaxseq.convert.forms.looking import Subject
from vaxseq.convert.lattice import CATEGORY, EXACT_INTEGER, is_text, join
from vaxseq.convert.readers import scan
from vaxseq.convert.readers.base import BadRow, Parsed, Piece, Request
from vaxseq.convert.readers.delimited import TextReader
from vaxseq.dataset.schema import type_name
from vaxseq.errors import SchemaError, SourceError

_FAST = (pa.bool_(), pa.int64(), pa.float64(), pa.string(), CATEGORY)


class _Fraction(float):
    """A number with a point or an exponent, and how it was written."""

    def __new__(cls, written: str) -> Self:
        made = super().__new__(cls, written)
        made.written = written
        return made

    written: str


class JsonLinesReader(TextReader):
    """Keys are columns. A value that doesn't fit its column widens it; a line that is no object is a bad row."""

    name = "jsonl"
    suffixes = (".jsonl", ".ndjson", ".json")
    options = {
        "encoding": None, "timestamp_format": (), "fields": None, "null_values": None, "decimal": ".", "forms": None,
    }  # fmt: skip
    kinds_of_forms = ("times",)  # what is a number or a bool is written as one in JSON
    dialect = scan.Dialect(44, None)  # a newline within a JSON string is escaped, so every newline ends a record
    body_start = body_line = 0

    def __init__(self, source: Any, options: Mapping[str, Any]) -> None:
        super().__init__(source, options)
        rows, _ = self._rows(self.sample())
        keys = dict.fromkeys(key for _, row in rows for key in row)
        self._names = tuple(self.set["fields"] or keys)
        if not self._names:
            raise SourceError(
                f"{self.where}: no JSON object in the first lines. Check that there is one object a line."
            )

    def names(self) -> tuple[str, ...]:
        return self._names

    def subject(self, name: str) -> Subject:
        return Subject(name, (), ".", "", self.kinds_of_forms, words=False)

    def infer(self, piece: Piece) -> dict[str, pa.DataType]:
        rows, _ = self._rows(piece)
        return {name: self._kind([row.get(name) for _, row in rows], name) for name in self._names}

    def parse(self, piece: Piece, request: Request) -> Parsed:
        types = dict(request.types)
        if (
            all(types[name] in _FAST and self.worded(name) is None for name in request.columns)
            and (table := self._fast(piece, request.columns, types)) is not None
        ):
            return Parsed(table)
        rows, bad = self._rows(piece)
        self._refuse_new_keys(piece, rows)
        ordinals = np.asarray([row for row, _ in rows], np.int64)
        keep = np.ones(len(rows), bool)
        columns = {}
        for name in request.columns:
            values = [row.get(name) for _, row in rows]
            if name not in request.declared:
                kind = types[name]
                seen = self._kind(values, name)
                wider = join(kind, seen)
                if not is_text(kind):
                    types[name] = CATEGORY if wider is None or is_text(wider) else wider
            worded = self.worded(name) if all(value is None or isinstance(value, str) for value in values) else None
            if worded is not None:
                demanded, cells = name in request.declared, pa.array(values, pa.string())
                columns[name], wrong = worded.read(cells, request.types[name], name, declared=demanded)
            else:
                columns[name], wrong = self._column(values, types[name])
            for row in np.flatnonzero(wrong).tolist():
                bad.append(BadRow(int(ordinals[row]), name, _written(values[row]), f"not a {type_name(types[name])}"))
            keep &= ~wrong
        table = pa.table(columns)
        if not keep.all():
            table, ordinals = table.filter(pa.array(keep)), ordinals[keep]
        return Parsed(table, bad, ordinals)

    def _fast(self, piece: Piece, columns: tuple[str, ...], types: Mapping[str, pa.DataType]) -> pa.Table | None:
        """pyarrow's parser, where it says the same as the slow and exact way; None otherwise."""
        plain = {name: pa.string() if is_text(types[name]) else types[name] for name in columns}
        try:
            table = pajson.read_json(
                pa.BufferReader(pa.py_buffer(piece.raw)), pajson.ReadOptions(use_threads=False,
                block_size=max(len(piece.raw), 1 << 20)),
                pajson.ParseOptions(explicit_schema=pa.schema(list(plain.items())), unexpected_field_behavior="error",
                                    newlines_in_values=False),
            )  # fmt: skip
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return None
        if int(np.count_nonzero(piece.raw == 10)) not in (table.num_rows, table.num_rows - 1):
            return None
        for name in columns:
            if plain[name] == pa.float64():
                bounds = pc.min_max(table[name]).as_py()
                if max(abs(bounds["min"] or 0), abs(bounds["max"] or 0)) >= EXACT_INTEGER:
                    return None
        return table.select(list(columns))

    def _rows(self, piece: Piece) -> tuple[list[tuple[int, dict[str, Any]]], list[BadRow]]:
        rows: list[tuple[int, dict[str, Any]]] = []
        bad: list[BadRow] = []
        for number, (start, stop, _) in enumerate(scan.records(piece.raw, self.dialect, skip_blank=True)):
            raw = bytes(piece.raw[start:stop])
            if not raw.strip():
                continue
            try:
                row = json.loads(raw, parse_float=_Fraction)
            except (ValueError, RecursionError) as error:
                bad.append(BadRow(number, None, None, f"not JSON: {error}"))
                continue
            if isinstance(row, dict):
                rows.append((number, row))
            else:
                bad.append(BadRow(number, None, None, f"a JSON {type(row).__name__}, expected an object"))
        return rows, bad

    def _refuse_new_keys(self, piece: Piece, rows: list[tuple[int, dict[str, Any]]]) -> None:
        known = set(self._names)
        for number, row in rows:
            if new := [key for key in row if key not in known]:
                line = self.locate(piece, [number])[0][0]
                raise SchemaError(
                    f"{self.where}: line {line}: key {new[0]!r} isn't in the first lines. "
                    f"Name all keys with fields=[...], those before and this one."
                )

    def _kind(self, values: list[Any], name: str) -> pa.DataType:
        kinds = {type(value) for value in values if value is not None}
        if not kinds:
            return pa.null()
        if kinds == {bool}:
            return pa.bool_()
        if kinds <= {int, _Fraction, float}:
            words = pa.array([_written(value) for value in values], pa.string())
            kind = text.infer(words, text.TextFormat(), f"{self.where}: column {name!r}")
            return CATEGORY if is_text(kind) else pa.float64() if kind == pa.int64() and kinds != {int} else kind
        if kinds == {str} and (worded := self.worded(name)) is not None:
            return worded.kind(pa.array(values, pa.string()), name)
        if kinds == {str}:
            kind = text.infer(pa.array(values, pa.string()), self.format, name) if _like_time(values) else pa.string()
            return kind if pa.types.is_timestamp(kind) or pa.types.is_date(kind) else CATEGORY
        if kinds == {list}:
            arrays = [np.asarray(value, float) for value in values if value is not None and _is_regular(value)]
            shapes = {array.shape for array in arrays}
            if (
                len(arrays) == sum(value is not None for value in values)
                and len(shapes) == 1
                and 0 not in (shape := shapes.pop())
            ):
                kind = pa.float64()
                for size in reversed(shape):
                    kind = pa.list_(kind, size)
                return kind
        if kinds & {list, dict}:
            raise SchemaError(
                f"{self.where}: column {name!r}: nested values can't be converted; flatten them, or choose others "
                "with columns=."
            )
        return CATEGORY

    def _column(self, values: list[Any], kind: pa.DataType) -> tuple[pa.Array, Any]:
        if pa.types.is_fixed_size_list(kind):
            wrong = np.zeros(len(values), bool)
            made = []
            for row, value in enumerate(values):
                try:
                    made.append(pa.array([value], kind))
                except (pa.ArrowException, TypeError, ValueError):
                    wrong[row] = True
                    made.append(pa.nulls(1, kind))
            return (pa.concat_arrays(made) if made else pa.array([], kind)), wrong
        return text.parse(
            pa.array([_written(value) for value in values], pa.string()),
            kind,
            text.TextFormat(".", self.set["timestamp_format"]),
        )

    def locate(self, piece: Piece, rows: list[int]) -> list[tuple[int, str]]:
        first = self.first_line(piece)
        found = dict(enumerate(scan.records(piece.raw, self.dialect, skip_blank=True)))
        return [
            (first + found[row][2], bytes(piece.raw[found[row][0] : found[row][1]]).decode(errors="backslashreplace"))
            for row in rows
        ]


def _written(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return value.written if isinstance(value, _Fraction) else json.dumps(value)


def _like_time(values: list[str | None]) -> bool:
    return all(value is None or (len(value) >= 8 and any(mark in value for mark in "-/:.")) for value in values)


def _is_regular(value: list[Any]) -> bool:
    try:
        return bool(np.asarray(value).dtype.kind in "if")
    except ValueError:
        return False
