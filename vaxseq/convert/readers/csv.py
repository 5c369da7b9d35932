"""Delimited text: CSV, TSV and their kin, compressed or not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from vaxseq.convert import type_inference
from vaxseq.convert.layouts.body import Spans, spans_of, without_quotes
from vaxseq.convert.ranges import bounds_of
from vaxseq.convert.readers import scan
from vaxseq.convert.readers.base import BadRow, Parsed, Piece, Request
from vaxseq.convert.readers.cell_parser import CellParser
from vaxseq.convert.readers.header_reader import HeaderReader
from vaxseq.convert.type_promotion import CATEGORY, EXACT_INTEGER, cast_exactly, common_type, is_text
from vaxseq.dataset.schema import type_name
from vaxseq.errors import SourceError

_BLOCK = 1 << 20
_COLUMN = re.compile(r"In CSV column #(\d+)")


class CsvReader(HeaderReader):
    """Records of fields. One of the wrong width is a bad row; a cell that doesn't fit its column widens the column."""

    name = "csv"
    suffixes = (".csv", ".tsv", ".tab", ".txt", ".psv", ".dat", ".asc", ".prn", ".epw")

    def __init__(self, source: Any, options: Mapping[str, Any]) -> None:
        super().__init__(source, options)
        self._seen: tuple[Piece, scan.Dialect] | None = None
        self._spans: tuple[Piece, Spans | None] | None = None
        self._number_marks = type_inference.number_marks(self.nulls)
        self._parsers = self._words()

    def _words(self) -> dict[str, CellParser]:
        """Columns whose form or marks were named."""
        return {name: parser for name in self._names if (parser := self.cell_parser(name)) is not None}

    def column_units(self) -> dict[str, str]:
        cells = (
            self._read(self.sample(), self._names, dict.fromkeys(self._names, pa.string()), []) if self._parsers else {}
        )
        found = {name: one.unit(cells[name].combine_chunks()) for name, one in self._parsers.items()}
        return {**self._units, **{name: unit for name, unit in found.items() if unit is not None}}

    def infer(self, piece: Piece) -> dict[str, pa.DataType]:
        if (spans := self._spans_of(piece, headers=True)) is not None:
            piece = Piece(spans.rows(), piece.start, piece.first_line)
        try:
            table = self._read(piece, self._names, dict.fromkeys(self._names, pa.string()), [])
            cells = {name: table[name].combine_chunks() for name in self._names}
        except pa.ArrowInvalid:  # a cell somewhere isn't UTF-8
            cells = {name: self._cells(piece, name) for name in self._names}
        return {name: self._category(self._inferred(name, cells[name])) for name in self._names}

    def _inferred(self, name: str, cells: pa.Array) -> pa.DataType:
        where = f"{self.where}: column {name!r}"
        return (
            self._parsers[name].kind(cells, where)
            if name in self._parsers
            else type_inference.infer(cells, self.format, where)
        )

    def _category(self, kind: pa.DataType) -> pa.DataType:
        return CATEGORY if pa.types.is_string(kind) else kind  # tried first; a column of many values gives it up

    def parse(self, piece: Piece, request: Request) -> Parsed:
        spans = self._spans_of(piece, headers=False)
        if spans is None:
            try:
                parsed = self._parse(piece, request, suspicious=True)
            except _HeaderAgainError:
                spans = self._spans_of(piece, headers=True)
            else:
                texts = all(is_text(kind) for kind in parsed.table.schema.types)
                if not texts or (spans := self._spans_of(piece, headers=True)) is None:
                    return parsed
        else:
            spans = self._spans_of(piece, headers=True)
        assert spans is not None
        return self._among(spans, piece, request)

    def _among(self, spans: Spans, piece: Piece, request: Request) -> Parsed:
        """The rows between lines that are none; those are bad rows, except comments."""
        records = list(spans.records())
        rows = np.array([number for number, one in enumerate(records) if one[3] is None], np.int64)
        parsed = self._parse(Piece(spans.rows(), piece.start, piece.first_line), request)
        bad = [replace(one, row=int(rows[one.row])) for one in parsed.bad]
        bad += [BadRow(number, None, None, one[3]) for number, one in enumerate(records) if one[3] is not None]
        return Parsed(parsed.table, bad, rows[parsed.ordinals()])

    def _spans_of(self, piece: Piece, *, headers: bool) -> Spans | None:
        """The piece's lines that are no rows, looked for once; the header again only where something hints at it."""
        if self._spans is None or self._spans[0] is not piece or headers:
            comment = self.set["comment"]
            found = spans_of(
                piece.raw, self._dialect_of(piece), comment=comment.encode() if comment else None,
                header=self._header if headers else None, at_end=self._is_last(piece),
            )  # fmt: skip
            blank = len(self._names) > 1
            spans = None if found is None else Spans(piece.raw, found, self._dialect_of(piece), skip_blank=blank)
            self._spans = piece, spans
        return self._spans[1]

    def _parse(self, piece: Piece, request: Request, *, suspicious: bool = False) -> Parsed:
        types = dict(request.types)
        loose: set[str] = set()  # demanded types that some cell doesn't fit: these columns are read cell by cell
        invalid: list[tuple[int, str]] = []
        while True:
            invalid.clear()
            asked = {name: self._asked(name, types[name], loose) for name in request.columns}
            try:
                table = self._read(piece, request.columns, asked, invalid)
            except pa.ArrowInvalid as error:
                name = self._blamed(error, piece)
                if suspicious and self._spans_of(piece, headers=True) is not None:
                    raise _HeaderAgainError from error
                if name in request.declared or name in self._parsers or is_text(types[name]):
                    loose.add(name)
                else:
                    types[name] = self._promoted(piece, name, types[name])
                continue
            promoted = self._strict(piece, table, types, request.declared)
            over = {
                name for name in request.declared - loose - set(self._parsers) if self._overflows(piece, table, name)
            }
            loose |= over
            if not promoted and not over:
                break
            types.update(promoted)
        bad = [BadRow(row, None, None, reason) for row, reason in invalid]
        return self._with_loose(table, types, asked, request.declared, bad, invalid)

    def _asked(self, name: str, kind: pa.DataType, loose: set[str]) -> pa.DataType:
        """The type that the parser makes of the column; bytes and text are read cell by cell after it."""
        if name in loose or not _direct(kind):
            return pa.binary()
        if name in self._parsers:
            return pa.string()
        lenient = self.set["timestamp_format"] and pa.types.is_timestamp(kind)  # of days that a month doesn't have
        return pa.string() if lenient else kind

    def _with_loose(
        self,
        table: pa.Table,
        types: Mapping[str, pa.DataType],
        asked: Mapping[str, pa.DataType],
        declared: frozenset[str],
        bad: list[BadRow],
        invalid: Any,
    ) -> Parsed:
        rows = table.num_rows
        ordinals = None
        if invalid:
            ordinals = np.delete(np.arange(rows + len(invalid)), [row for row, _ in invalid])
        keep = np.ones(rows, bool)
        for name in table.column_names:
            if types[name].equals(asked[name]) and name not in self._parsers:
                if self._number_marks and (pa.types.is_integer(types[name]) or pa.types.is_floating(types[name])):
                    table = table.set_column(table.column_names.index(name), name, self._unmarked(table[name]))
                continue
            cells = table[name].combine_chunks()
            words, wrong = type_inference.parse(cells, pa.string(), self.format)
            if name in self._parsers:
                where = f"{self.where}: column {name!r}"
                values, misfit = self._parsers[name].read(words, types[name], where, declared=name in declared)
            else:
                values, misfit = type_inference.parse(words, types[name], self.format)
            for row in np.flatnonzero(wrong | misfit).tolist():
                reason = "the text isn't UTF-8" if wrong[row] else f"not a {type_name(types[name])}"
                value = cells[row].as_py()
                value = value.decode(errors="backslashreplace") if isinstance(value, bytes) else value
                bad.append(BadRow(row if ordinals is None else int(ordinals[row]), name, value, reason))
            keep &= ~(wrong | misfit)
            table = table.set_column(table.column_names.index(name), name, values)
        if not keep.all():
            ordinals = (np.arange(rows) if ordinals is None else ordinals)[keep]
            table = table.filter(pa.array(keep))
        return Parsed(table, bad, ordinals)

    def _unmarked(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """Numbers without those that stand for a missing value, however they were written."""
        marked = pc.is_in(column.cast(pa.float64(), safe=False), pa.array(self._number_marks))
        return pc.if_else(marked, pa.scalar(None, column.type), column) if pc.any(marked).as_py() else column

    def _read(
        self, piece: Piece, columns: Any, types: Mapping[str, pa.DataType], invalid: list[tuple[int, str]]
    ) -> pa.Table:
        """One pass of the parser; rows of the wrong width go to ``invalid``."""
        if len(piece.raw) == 0:
            return pa.table({name: pa.array([], types[name]) for name in columns})

        if piece.raw.max() > 127:  # pyarrow can't hand on a misfit row that isn't UTF-8, so it would be lost uncounted
            if (at := scan.not_utf8(piece.raw)) is not None:
                raise SourceError(
                    f"{self.where}: the text isn't UTF-8 at byte {piece.start + at}. "
                    f"Pass encoding=, for example 'cp1252', or repair the file.",
                    options={"encoding": "cp1252"},
                )

        def skip(row: pacsv.InvalidRow) -> str:
            invalid.append((row.number - 1, f"got {row.actual_columns} fields, expected {row.expected_columns}"))
            return "skip"

        quoted = self.set["quote"] or False
        long_lines = self._dialect_of(piece).quote is not None  # a quoted field may hold line ends
        formats = [*self.set["timestamp_format"], pacsv.ISO8601] if self.set["timestamp_format"] else None
        block = _BLOCK
        while True:
            try:
                return pacsv.read_csv(
                    pa.BufferReader(pa.py_buffer(piece.raw)),
                    pacsv.ReadOptions(use_threads=False, block_size=block, column_names=list(self._names)),
                    pacsv.ParseOptions(
                        delimiter=chr(self.dialect.delimiter), quote_char=quoted, double_quote=bool(quoted),
                        escape_char=self.set["escape"] or False, newlines_in_values=long_lines,
                        ignore_empty_lines=len(self._names) > 1, invalid_row_handler=skip,
                    ),
                    pacsv.ConvertOptions(
                        column_types=dict(types), include_columns=list(columns), null_values=list(self.nulls),
                        strings_can_be_null=True, quoted_strings_can_be_null=False,
                        true_values=list(type_inference.TRUE_TOKENS),
                        false_values=list(type_inference.FALSE_TOKENS), decimal_point=self.set["decimal"],
                        timestamp_parsers=formats,
                        auto_dict_max_cardinality=1 << 20,
                    ),
                )  # fmt: skip
            except pa.ArrowInvalid as error:
                if "block" not in str(error) or block > len(piece.raw):
                    raise
                block *= 8
                invalid.clear()

    def _dialect_of(self, piece: Piece) -> scan.Dialect:
        """The dialect, without quotes where the piece has none; they are looked for once."""
        if self._seen is None or self._seen[0] is not piece:
            quote = self.dialect.quote
            quoted = quote is not None and scan.holds(piece.raw, bytes([quote]))
            self._seen = piece, self.dialect if quoted else without_quotes(self.dialect)
        return self._seen[1]

    def _blamed(self, error: pa.ArrowInvalid, piece: Piece) -> str:
        found = _COLUMN.search(str(error))
        if not found:
            raise SourceError(
                f"{self.where}: can't parse the text: {error}. Check delimiter=, quote= and encoding=."
            ) from error
        return self._names[int(found[1])]

    def _cells(self, piece: Piece, name: str) -> pa.Array:
        try:
            return self._read(piece, [name], {name: pa.string()}, [])[name].combine_chunks()
        except pa.ArrowInvalid:  # not UTF-8 somewhere: a text column then, whose bad cells are bad rows
            return pa.array(["not text"])

    def _promoted(self, piece: Piece, name: str, known: pa.DataType) -> pa.DataType:
        """The type above ``known`` that this piece's cells ask for."""
        seen = self._inferred(name, self._cells(piece, name))
        wider = common_type(known, seen)
        return CATEGORY if wider is None or wider.equals(known) or is_text(wider) else wider

    def _strict(
        self, piece: Piece, table: pa.Table, types: Mapping[str, pa.DataType], declared: frozenset[str]
    ) -> dict[str, pa.DataType]:
        """Columns taken for numbers although their text says more: codes, and integers that would round."""
        numbers = [
            name
            for name in table.column_names
            if name not in declared and types[name] in (pa.int64(), pa.float64()) and name not in self._parsers
        ]
        found: dict[str, pa.DataType] = {}
        if numbers and (codes := scan.count_codes(piece.raw, self._dialect_of(piece))):
            known = sum(
                type_inference.count_codes(table[name]) for name in table.column_names if is_text(table[name].type)
            )
            if len(table.column_names) < len(self._names) or known != codes:
                found |= {name: CATEGORY for name in numbers if type_inference.holds_codes(self._cells(piece, name))}
        for name in numbers:
            if types[name] == pa.float64() and name not in found:
                if (bounds := bounds_of(table[name])) is not None and max(map(abs, bounds)) >= EXACT_INTEGER:
                    seen = type_inference.infer(self._cells(piece, name), self.format, f"{self.where}: column {name!r}")
                    if is_text(seen):
                        found[name] = CATEGORY
                    elif pa.types.is_integer(seen):
                        cells = pc.utf8_trim_whitespace(self._cells(piece, name)).cast(seen)
                        cast_exactly(pa.chunked_array([cells]), types[name], f"{self.where}: column {name!r}")
        return found

    def _overflows(self, piece: Piece, table: pa.Table, name: str) -> bool:
        """Whether the parser made infinity of a number."""
        if not pa.types.is_floating(table[name].type) or not pc.any(pc.is_inf(table[name])).as_py():
            return False
        return type_inference.overflows(self._cells(piece, name), table[name].combine_chunks())

    def locate(self, piece: Piece, rows: list[int]) -> list[tuple[int, str]]:
        found = {}
        wanted = set(rows)
        spans = self._spans_of(piece, headers=True)
        blank = len(self._names) > 1
        records = (one[:3] for one in spans.records()) if spans else scan.records(piece.raw, self.dialect, blank)
        for row, (start, stop, line) in enumerate(records):
            if row in wanted:
                found[row] = (line, bytes(piece.raw[start:stop]).decode(errors="backslashreplace"))
        first = self.first_line(piece)
        return [(first + found[row][0], found[row][1]) for row in rows]


def _direct(kind: pa.DataType) -> bool:
    """Whether the CSV parser makes this type itself."""
    return not (pa.types.is_duration(kind) or pa.types.is_float16(kind) or pa.types.is_fixed_size_list(kind))


class _HeaderAgainError(Exception):
    """The header stands among the rows."""
