"""JSON lines: one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.convert import type_inference
from vaxseq.convert.forms.detection import Subject
from vaxseq.convert.readers import scan
from vaxseq.convert.readers.base import BadRow, Parsed, Piece, Request, bad_option
from vaxseq.convert.readers.delimited import TextReader
from vaxseq.convert.readers.json_elements import Elements, is_lines
from vaxseq.convert.readers.json_fast import Texts, paths_of, read_fast
from vaxseq.convert.readers.json_rows import FIXED, ListColumns, flat, is_flat, parents_only
from vaxseq.convert.readers.nesting import LENGTH, RAGGED, check_distinct, checked_lists
from vaxseq.convert.readers.scan import not_utf8
from vaxseq.convert.type_promotion import CATEGORY, common_type, is_text
from vaxseq.dataset.schema import type_name
from vaxseq.errors import SchemaError, SourceError


class _Fraction(float):
    """A number with a point or an exponent, and how it was written."""

    def __new__(cls, written: str) -> Self:
        made = super().__new__(cls, written)
        made.written = written
        return made

    written: str


_decode = json.JSONDecoder(parse_float=_Fraction).decode


class JsonLinesReader(TextReader):
    """Keys are columns. A value that doesn't fit its column widens it; a line that is no object is a bad row.

    What an object holds has the name ``p.x``; lists become array columns or text, as in every nested source. An array
    of objects, and objects over several lines, are read from their start.
    """

    name = "jsonl"
    suffixes = (".jsonl", ".ndjson", ".json", ".geojsonl")
    options = {
        "encoding": None, "timestamp_format": (), "fields": None, "null_values": None, "decimal": ".", "forms": None,
        "lists": None, "records": None,
    }  # fmt: skip
    kinds_of_forms = ("times",)  # what is a number or a bool is written as one in JSON
    dialect = scan.Dialect(44, None)  # a newline within a JSON string is escaped, so every newline ends a record
    body_start = body_line = 0

    def __init__(self, source: Any, options: Mapping[str, Any]) -> None:
        super().__init__(source, options)
        path = self.set["records"]
        if path is not None and (not isinstance(path, str) or not path):
            raise bad_option(self.where, "records", path, "the path to an array of objects, such as 'data.rows'")
        self._path = tuple(path.split(".")) if path else ()
        self._elements = False
        head = self._head()
        unbroken = self._is_cut(head) and b"\n" not in head  # one object that holds all rows, or a very long line
        self._elements = bool(self._path) or unbroken or not is_lines(head)
        if self._elements:
            self.splittable = False
        self._lists = ListColumns(self.where, checked_lists(self.where, self.set["lists"]))
        self._paths: dict[str, tuple[str, ...] | None] = {}
        rows, _ = self._rows(self.sample(), learn=True)
        self._first: list[tuple[int, dict[str, Any]]] | None = rows  # the look at types needs them once more
        self._refuse_envelope(rows)
        keys = dict.fromkeys(key for _, row in rows for key in row)
        parts = [row for _, row in rows]
        hidden = parents_only(parts, keys)
        keys_or_fields = [name for name in (self.set["fields"] or keys) if name not in hidden]
        self._unreadable: dict[str, str] = {}
        for name in keys_or_fields:
            values = [self._cell(row, name) for row in parts]
            if any(type(value) is list for value in values) and self._lists.learn(name, values) is None:
                self._unreadable[name] = "its lists hold more than numbers of a common shape, or texts"
        self._own = tuple(keys_or_fields)
        self._names = tuple(self._lists.companions(keys_or_fields))
        check_distinct(list(self._names), self.where)
        if not self._names:
            raise SourceError(
                f"{self.where}: no JSON object in the first lines. Check that there is one object a line."
            )

    def _refuse_envelope(self, rows: list[tuple[int, dict[str, Any]]]) -> None:
        """One object around a list of objects is a portal's answer, not a row."""
        if len(rows) != 1 or self._path:
            return
        found = {path: value for path, value in self._lists_in(rows[0][0]) if len(value) > 1}
        if path := max(found, key=lambda one: len(found[one]), default=None):
            raise SourceError(
                f"{self.where}: one object with a list of {len(found[path])} objects at {path!r}, expected one object "
                f"a row. Pass records={path!r}.",
                options={"records": path},
            )

    def _lists_in(self, number: int) -> list[tuple[str, list[Any]]]:
        found: list[tuple[str, list[Any]]] = []

        def visit(value: Any, path: str) -> None:
            if isinstance(value, dict):
                for key, one in value.items():
                    visit(one, f"{path}.{key}" if path else key)
            elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
                found.append((path, value))

        piece = self.sample()
        for at, (start, stop, _) in enumerate(scan.records(piece.raw, self.dialect, skip_blank=True)):
            if at == number:
                visit(json.loads(bytes(piece.raw[start:stop])), "")
        return found

    def text_chunks(self) -> Iterator[bytes]:
        chunks = super().text_chunks()
        return Elements(chunks, self.where, self._path).blocks() if self._elements else chunks

    def _head(self) -> bytes:
        head = super()._head()
        if self._elements and b"\n" not in head:  # an element longer than a look
            return next(self.text_chunks(), b"")
        return head

    def names(self) -> tuple[str, ...]:
        return self._names

    def unreadable(self) -> Mapping[str, str]:
        return self._unreadable

    def subject(self, name: str) -> Subject:
        return Subject(name, (), ".", "", self.kinds_of_forms, words=False)

    def schema(self) -> pa.Schema:
        found = super().schema()
        self._first = None
        return found

    def infer(self, piece: Piece) -> dict[str, pa.DataType]:
        rows = self._first if self._first is not None else self._rows(piece)[0]
        found: dict[str, pa.DataType] = {}
        for name in self._names:
            skip = name in self._unreadable or (self.chosen is not None and name not in self.chosen)
            found[name] = pa.null() if skip else self._kind(self._values(rows, name), name)
        return found

    def _values(self, rows: list[tuple[int, dict[str, Any]]], name: str) -> list[Any]:
        if name in self._own:
            return [self._cell(row, name) for _, row in rows]
        own = name.removesuffix(LENGTH)  # of a list
        cells = (self._cell(row, own) for _, row in rows)
        return [None if cell is None else len(cell) if type(cell) is list else 1 for cell in cells]

    def _cell(self, row: dict[str, Any], name: str) -> Any:
        """The value; an empty list of objects is one for each of their keys."""
        value = row.get(name)
        if value is None and "." in name and name not in row:
            parent = name.rpartition(".")[0]
            while parent:
                if row.get(parent) == []:
                    return []
                parent = parent.rpartition(".")[0]
        return value

    def parse(self, piece: Piece, request: Request) -> Parsed:
        types = dict(request.types)
        only = set(request.columns) < set(self._names)
        table = read_fast(
            piece.raw, request.columns, types, self._paths, self._lists, self._texts(request), only=only
        )  # fmt: skip
        if table is not None and not_utf8(np.asarray(piece.raw)) is None:
            return Parsed(table)
        rows, bad = self._rows(piece)
        if not only:
            self._refuse_new_keys(piece, rows)
        ordinals = np.asarray([row for row, _ in rows], np.int64)
        keep = np.ones(len(rows), bool)
        columns = {}
        for name in request.columns:
            values = self._values(rows, name)
            if name not in request.declared:
                types[name] = self._wider(values, types[name], name)
            texts = all(value is None or isinstance(value, str) for value in values)
            parser = self.cell_parser(name) if texts else None
            if parser is not None:
                demanded, cells = name in request.declared, pa.array(values, pa.string())
                columns[name], wrong = parser.read(cells, request.types[name], name, declared=demanded)
            else:
                columns[name], wrong = self._column(values, types[name], name)
            for row in np.flatnonzero(wrong).tolist():
                bad.append(BadRow(int(ordinals[row]), name, _written(values[row]), f"not a {type_name(types[name])}"))
            keep &= ~wrong
        table = pa.table(columns)
        if not keep.all():
            table, ordinals = table.filter(pa.array(keep)), ordinals[keep]
        return Parsed(table, bad, ordinals)

    def _texts(self, request: Request) -> Texts:
        """How columns of times, and those whose form or marks were named, are read from a piece's texts."""
        return {
            name: partial(self._of_text, name, request.types[name], name in request.declared)
            for name in request.columns
            if name not in self._lists.forms
            and (self.cell_parser(name) is not None or pa.types.is_timestamp(kind := request.types[name])
                 or pa.types.is_date(kind))
        }  # fmt: skip

    def _of_text(self, name: str, kind: pa.DataType, declared: bool, cells: pa.Array) -> pa.Array | None:
        """The values, or None where some cell isn't one, or asks for a wider type."""
        if (parser := self.cell_parser(name)) is not None:
            values, wrong = parser.read(cells, kind, name, declared=declared)
            return None if wrong.any() else values
        if not declared and not self._all_in(cells.drop_null(), kind, name):
            return None
        values, wrong = type_inference.parse(cells, kind, type_inference.TextFormat(".", self.set["timestamp_format"]))
        return None if wrong.any() else values

    def _all_in(self, cells: pa.Array, kind: pa.DataType, name: str) -> bool:
        """Whether these texts alone would be taken for ``kind``, or for times that it holds."""
        like = pc.and_(pc.greater_equal(pc.utf8_length(cells), 8), pc.match_substring_regex(cells, "[-/:.]"))
        return bool(pc.all(like).as_py()) and common_type(kind, type_inference.infer(cells, self.format, name)) == kind

    def _wider(self, values: list[Any], kind: pa.DataType, name: str) -> pa.DataType:
        if is_text(kind) or (pa.types.is_fixed_size_list(kind) and self._lists.forms.get(name, FIXED) == FIXED):
            return kind  # another length than in the lists before is a bad row
        wider = common_type(kind, self._kind(values, name), grow=True)
        return CATEGORY if wider is None or is_text(wider) else wider

    def _rows(self, piece: Piece, *, learn: bool = False) -> tuple[list[tuple[int, dict[str, Any]]], list[BadRow]]:
        rows: list[tuple[int, dict[str, Any]]] = []
        bad: list[BadRow] = []
        for number, (start, stop, _) in enumerate(scan.records(piece.raw, self.dialect, skip_blank=True)):
            raw = bytes(piece.raw[start:stop])
            if not raw.strip():
                continue
            try:
                row = _decode(raw.decode())
                if b"\\ud" in raw or b"\\uD" in raw:
                    json.dumps(row, ensure_ascii=False).encode()  # half of a pair is no character
                if isinstance(row, dict):
                    if learn:
                        self._paths |= paths_of(row)
                    row = row if is_flat(row) else flat(row)
            except (ValueError, RecursionError) as error:
                bad.append(BadRow(number, None, None, f"not JSON: {error}"))
                continue
            if isinstance(row, dict):
                rows.append((number, row))
            else:
                bad.append(BadRow(number, None, None, f"a JSON {type(row).__name__}, expected an object"))
        return rows, bad

    def _refuse_new_keys(self, piece: Piece, rows: list[tuple[int, dict[str, Any]]]) -> None:
        known = set(self._own)
        for number, row in rows:
            for key in row:
                if key in known or (row[key] in (None, []) and any(one.startswith(key + ".") for one in known)):
                    continue
                line = self.locate(piece, [number])[0][0]
                raise SchemaError(
                    f"{self.where}: line {line}: key {key!r} isn't in the first lines. "
                    f"Name all keys with fields=[...], those before and this one.",
                    options={"fields": [*self._own, *(one for one in row if one not in known)]},
                )

    def _kind(self, values: list[Any], name: str) -> pa.DataType:
        form = self._lists.forms.get(name)
        if form is not None and form not in (FIXED, RAGGED):
            return CATEGORY
        kinds = {type(value) for value in values if value is not None}
        if not kinds:
            return pa.null()
        if kinds == {list} or form is not None:
            if form is None and (form := self._lists.learn(name, values)) is None:
                raise SchemaError(
                    f"{self.where}: column {name!r}: its lists hold more than numbers of a common shape, or texts. "
                    "Leave it out with columns=."
                )
            return self._lists.kind(name, values) if form in (FIXED, RAGGED) else CATEGORY
        if kinds == {bool}:
            return pa.bool_()
        if kinds <= {int, _Fraction, float}:
            words = pa.array([_written(value) for value in values], pa.string())
            kind = type_inference.infer(words, type_inference.TextFormat(), f"{self.where}: column {name!r}")
            return CATEGORY if is_text(kind) else pa.float64() if kind == pa.int64() and kinds != {int} else kind
        if kinds == {str} and (parser := self.cell_parser(name)) is not None:
            return parser.kind(pa.array(values, pa.string()), name)
        if kinds == {str}:
            kind = (
                type_inference.infer(pa.array(values, pa.string()), self.format, name)
                if _like_time(values)
                else pa.string()
            )
            return kind if pa.types.is_timestamp(kind) or pa.types.is_date(kind) else CATEGORY
        if kinds & {list, dict}:
            raise SchemaError(
                f"{self.where}: column {name!r}: lists beside values that are none can't be converted. Leave it out "
                "with columns=."
            )
        return CATEGORY

    def _column(self, values: list[Any], kind: pa.DataType, name: str) -> tuple[pa.Array, Any]:
        form = self._lists.forms.get(name)
        if pa.types.is_fixed_size_list(kind):
            return self._lists.arrays(values, kind, equal=form in (None, FIXED))
        if form is not None and form not in (FIXED, RAGGED):
            values = self._lists.joined(name, values)
        return type_inference.parse(
            pa.array([_written(value) for value in values], pa.string()),
            kind,
            type_inference.TextFormat(".", self.set["timestamp_format"]),
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
