"""Delimited text: CSV, TSV and their kin, compressed or not."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from vaxseq.convert import text
from vaxseq.convert.lattice import CATEGORY, EXACT_INTEGER, cast_exactly, is_text, join
from vaxseq.convert.layouts.body import Spans, spans_of, without_quotes
from vaxseq.convert.layouts.delimiter import sniff, told
from vaxseq.convert.layouts.diagnosis import Oddity, diagnose, different
from vaxseq.convert.layouts.footer import last_lines
from vaxseq.convert.layouts.head import Record, is_value, read_head, skipped
from vaxseq.convert.readers import scan
from vaxseq.convert.readers.base import BadRow, Parsed, Piece, Request, bad_option
from vaxseq.convert.readers.delimited import TextReader
from vaxseq.convert.readers.worded import Worded
from vaxseq.dataset.notice import Notice
from vaxseq.dataset.schema import type_name
from vaxseq.errors import SchemaError, SourceError

_BLOCK = 1 << 20
_LOOK, _RECORDS = 1 << 16, 60  # bytes and records that a look at the layout takes
_COLUMN = re.compile(r"In CSV column #(\d+)")


class CsvReader(TextReader):
    """Records of fields. One of the wrong width is a bad row; a cell that doesn't fit its column widens the column."""

    name = "csv"
    suffixes = (".csv", ".tsv", ".tab", ".txt", ".psv")
    options = {
        **TextReader.options, "delimiter": None, "header": True, "quote": '"', "escape": None, "skip_rows": 0,
        "header_rows": 1, "units_rows": 0, "names": None, "comment": None, "skip_footer": 0,
    }  # fmt: skip

    def __init__(self, source: Any, options: Mapping[str, Any]) -> None:
        super().__init__(source, options)
        for key in ("delimiter", "quote", "escape"):
            if self.set[key] is not None and (not isinstance(self.set[key], str) or len(self.set[key].encode()) != 1):
                raise bad_option(self.where, key, self.set[key], "one ASCII character")
        if not isinstance(self.set["header"], bool | list | tuple):
            raise bad_option(self.where, "header", self.set["header"], "True, False or a list of names")
        for key, least in (("skip_rows", 0), ("header_rows", 1), ("units_rows", 0), ("skip_footer", 0)):
            if isinstance(self.set[key], bool) or not isinstance(self.set[key], int) or self.set[key] < least:
                raise bad_option(self.where, key, self.set[key], f"a whole number from {least}")
        for key in ("names", "comment"):
            kinds = (list, tuple) if key == "names" else str
            if self.set[key] is not None and (not isinstance(self.set[key], kinds) or not self.set[key]):
                raise bad_option(self.where, key, self.set[key], "a list of names" if key == "names" else "text")
        quote, escape = self.set["quote"], self.set["escape"]
        byte = (ord(quote) if quote else None, ord(escape) if escape else None)
        head = self._head()
        mark, first = told(head) if self.set["delimiter"] is None else (None, 0)
        rest = head[first:]
        for _ in range(self.set["skip_rows"]):
            rest = rest.partition(b"\n")[2]
        given = self.set["delimiter"] or mark
        self.dialect = scan.Dialect(ord(given or sniff(rest or head, self.source.path or "", quote)), *byte)
        self._seen: tuple[Piece, scan.Dialect] | None = None
        self._spans: tuple[Piece, Spans | None] | None = None
        self._header: bytes | None = None
        self._names, self._units, self.body_start, self.body_line = self._read_header(head, first)
        self._number_marks = text.number_marks(self.nulls)
        self._worded = self._words()

    def _words(self) -> dict[str, Worded]:
        """Columns whose form or marks were named."""
        return {name: worded for name in self._names if (worded := self.worded(name)) is not None}

    def names(self) -> tuple[str, ...]:
        return self._names

    def column_units(self) -> dict[str, str]:
        cells = (
            self._read(self.sample(), self._names, dict.fromkeys(self._names, pa.string()), []) if self._worded else {}
        )
        found = {name: one.unit(cells[name].combine_chunks()) for name, one in self._worded.items()}
        return {**self._units, **{name: unit for name, unit in found.items() if unit is not None}}

    def _read_header(self, head: bytes, first: int) -> tuple[tuple[str, ...], dict[str, str], int, int]:
        """Column names and units, and the offset and line number of the first record after them."""
        records = self._first_records(head, first)
        at = self._before(records, head)
        found = read_head(
            records[at:], header=self.set["header"], header_rows=self.set["header_rows"],
            units_rows=self.set["units_rows"], names=self.set["names"],
        )  # fmt: skip
        if self._by_itself and (odd := diagnose(records[at:])) is not None:
            self._tell(odd)
        self._check_names(found.names)
        if found.header is not None:
            self._header = head[found.header.start : found.header.stop]
        seen = [one for one in records[at:] if one.stop > one.start]
        if found.before < len(seen):
            start = seen[found.before].start
            return found.names, found.units, start, head[:start].count(b"\n")
        if seen:
            start = self._after(head, seen[-1].stop)
            return found.names, found.units, start, head[:start].count(b"\n")
        return found.names, found.units, len(head), head.count(b"\n")

    @property
    def _by_itself(self) -> bool:
        """Whether nobody said how the header stands."""
        return all(
            self.set[key] == default
            for key, default in (("header", True), ("header_rows", 1), ("units_rows", 0), ("names", None))
        )

    def _first_records(self, head: bytes, first: int) -> list[Record]:
        """The first records, as many as a look at the layout needs."""
        data = np.frombuffer(head, np.uint8)[first : first + _LOOK]
        whole = len(data) < _LOOK or first + _LOOK >= len(head)
        lines = head[:first].count(b"\n")
        found = []
        for start, stop, line in scan.records(data, self.dialect, skip_blank=False):
            start, stop = start + first, stop + first
            fields = self._fields(head[start:stop]) if stop > start else []
            found.append(Record(start, stop, line + lines, fields))
            if len(found) > self.set["skip_rows"] + _RECORDS:
                return found
        return found if whole or len(found) < 2 else found[:-1]

    def _before(self, records: list[Record], head: bytes) -> int:
        """How many records stand before the header: skipped ones and comments."""

        def line(one: Record) -> str:
            return head[one.start : one.stop].decode(errors="replace")

        comment = self.set["comment"]
        at = skipped(records, self.set["skip_rows"], comment, line)
        if comment is None and self.set["header"] is True:
            after = skipped(records, self.set["skip_rows"], "#", line)
            last = next((one for one in reversed(records[at:after]) if one.width), None)
            named = last is not None and after < len(records) and last.width == records[after].width > 1
            if last is not None and not (named and any(map(is_value, records[after].fields))):
                return after
            if last is not None and sum(one.width > 0 for one in records[at:after]) > 1:
                return records.index(last)  # the last of the comments has the names
        return at

    def last_rows(self, rows: int) -> list[dict[str, str]]:
        lines = last_lines(self.tail(_LOOK), rows) if self.splittable else []
        found = [[*csv.reader([line.decode(errors="replace")], **self._python_dialect())] for line in lines]
        return [dict(zip(self._names, cells[0], strict=False)) for cells in found if cells]

    def _check_names(self, names: tuple[str, ...]) -> None:
        if not names:
            raise SourceError(
                f"{self.where}: the file is empty; got no header line. Pass header=[...] with the column names."
            )
        if nul := [name for name in names if "\0" in name]:
            raise SchemaError(
                f"{self.where}: column name {nul[0]!r} has a NUL character, which no file of columns can hold. "
                "Pass names=[...] of new names.",
                options={"names": [name.replace("\0", "") for name in names]},
            )
        if double := sorted({name for name in names if names.count(name) > 1}):
            raise SchemaError(
                f"{self.where}: line 1: column names must differ; got {double} twice. Pass names=[...] of new names.",
                options={"names": different(names)},
            )

    def _tell(self, odd: Oddity) -> None:
        """Stops at what can't be read, and notes what can."""
        options = odd.options
        if odd.stops:
            shown = ", ".join(f"{key}={value!r}" for key, value in options.items())
            raise SchemaError(f"{self.where}: line {odd.lines[0]}: {odd.message}. Pass {shown}.", options=options)
        self.notices.append(
            Notice(None, odd.message, tuple(f"line {line}" for line in odd.lines), options, lossless=odd.sure)
        )

    def _after(self, head: bytes, stop: int) -> int:
        while stop < len(head) and head[stop] in b"\r\n":
            stop += 1
            if head[stop - 1] == 10:
                break
        return stop

    def _fields(self, record: bytes) -> list[str]:
        try:
            line = record.decode()
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{self.where}: the header isn't UTF-8: {error}. Pass encoding=, for example 'cp1252'.",
                options={"encoding": "cp1252"},
            ) from error
        try:
            return next(csv.reader([line.replace("\r", " ")], **self._python_dialect()), [])
        except csv.Error as error:
            raise SourceError(
                f"{self.where}: can't read the header line: {error}. Pass header=[...] and skip_rows=1."
            ) from error

    def _python_dialect(self) -> dict[str, Any]:
        quote = self.set["quote"]
        return {
            "delimiter": chr(self.dialect.delimiter), "escapechar": self.set["escape"], "quotechar": quote or None,
            "quoting": csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        }  # fmt: skip

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
        return self._worded[name].kind(cells, where) if name in self._worded else text.infer(cells, self.format, where)

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
                if name in request.declared or name in self._worded or is_text(types[name]):
                    loose.add(name)
                else:
                    types[name] = self._promoted(piece, name, types[name])
                continue
            promoted = self._strict(piece, table, types, request.declared)
            over = {
                name for name in request.declared - loose - set(self._worded) if self._overflows(piece, table, name)
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
        if name in self._worded:
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
            if types[name].equals(asked[name]) and name not in self._worded:
                if self._number_marks and (pa.types.is_integer(types[name]) or pa.types.is_floating(types[name])):
                    table = table.set_column(table.column_names.index(name), name, self._unmarked(table[name]))
                continue
            cells = table[name].combine_chunks()
            words, wrong = text.parse(cells, pa.string(), self.format)
            if name in self._worded:
                where = f"{self.where}: column {name!r}"
                values, misfit = self._worded[name].read(words, types[name], where, declared=name in declared)
            else:
                values, misfit = text.parse(words, types[name], self.format)
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
                        strings_can_be_null=True, quoted_strings_can_be_null=False, true_values=list(text.TRUE_TOKENS),
                        false_values=list(text.FALSE_TOKENS), decimal_point=self.set["decimal"],
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
        wider = join(known, seen)
        return CATEGORY if wider is None or wider.equals(known) or is_text(wider) else wider

    def _strict(
        self, piece: Piece, table: pa.Table, types: Mapping[str, pa.DataType], declared: frozenset[str]
    ) -> dict[str, pa.DataType]:
        """Columns taken for numbers although their text says more: codes, and integers that would round."""
        numbers = [
            name
            for name in table.column_names
            if name not in declared and types[name] in (pa.int64(), pa.float64()) and name not in self._worded
        ]
        found: dict[str, pa.DataType] = {}
        if numbers and (codes := scan.count_codes(piece.raw, self._dialect_of(piece))):
            known = sum(text.count_codes(table[name]) for name in table.column_names if is_text(table[name].type))
            if len(table.column_names) < len(self._names) or known != codes:
                found |= {name: CATEGORY for name in numbers if text.holds_codes(self._cells(piece, name))}
        for name in numbers:
            if types[name] == pa.float64() and name not in found:
                bounds = pc.min_max(table[name]).as_py()
                if max(abs(bounds["min"] or 0), abs(bounds["max"] or 0)) >= EXACT_INTEGER:
                    seen = text.infer(self._cells(piece, name), self.format, f"{self.where}: column {name!r}")
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
        return text.overflows(self._cells(piece, name), table[name].combine_chunks())

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
