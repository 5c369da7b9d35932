"""Text with a header: which lines come before it, what it names, where the first row begins."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import takewhile
from typing import Any

import numpy as np

from vaxseq.convert.layouts.blanks import WHITESPACE, parted_by_blanks, surely_parted
from vaxseq.convert.layouts.blocks import tables
from vaxseq.convert.layouts.delimiter import sniff, told
from vaxseq.convert.layouts.diagnosis import diagnose, different
from vaxseq.convert.layouts.footer import last_lines
from vaxseq.convert.layouts.head import Record, is_rule, is_value, read_head, skipped
from vaxseq.convert.layouts.layout_issue import LayoutIssue
from vaxseq.convert.layouts.preamble import are_sure, names_in
from vaxseq.convert.readers import scan
from vaxseq.convert.readers.base import bad_option
from vaxseq.convert.readers.delimited import TextReader
from vaxseq.dataset.notice import Notice
from vaxseq.dataset.table_columns import repeated_names
from vaxseq.errors import SchemaError, SourceError, VaxseqError

_LOOK, _RECORDS, _MORE = 1 << 16, 120, 400  # bytes and records that a look at the layout takes
_MOST_FOOTER = 50  # lines
_HEADER = frozenset(("header", "header_rows", "units_rows", "names"))  # who gives one says how the header stands
_JSON = re.compile(rb"\s*\[?\s*\{\s*\"[^\"\n]*\"\s*:")


class HeaderReader(TextReader):
    """Delimited text as far as the first row."""

    options = {
        **TextReader.options, "delimiter": None, "header": True, "quote": '"', "escape": None, "skip_rows": 0,
        "header_rows": 1, "units_rows": 0, "names": None, "comment": None,
    }  # fmt: skip

    def __init__(self, source: Any, options: Mapping[str, Any]) -> None:
        super().__init__(source, options)
        for key in ("delimiter", "quote", "escape"):
            if (key, self.set[key]) == ("delimiter", WHITESPACE):
                continue
            if self.set[key] is not None and (not isinstance(self.set[key], str) or len(self.set[key].encode()) != 1):
                raise bad_option(self.where, key, self.set[key], "one ASCII character, or 'whitespace' as a delimiter")
        if not isinstance(self.set["header"], bool | list | tuple):
            raise bad_option(self.where, "header", self.set["header"], "True, False or a list of names")
        for key, least in (("skip_rows", 0), ("header_rows", 1), ("units_rows", 0)):
            if isinstance(self.set[key], bool) or not isinstance(self.set[key], int) or self.set[key] < least:
                raise bad_option(self.where, key, self.set[key], f"a whole number from {least}")
        for key in ("names", "comment"):
            kinds = (list, tuple) if key == "names" else str
            if self.set[key] is not None and (not isinstance(self.set[key], kinds) or not self.set[key]):
                raise bad_option(self.where, key, self.set[key], "a list of names" if key == "names" else "text")
        quote, escape = self.set["quote"], self.set["escape"]
        self._given = frozenset(key for key, value in options.items() if value is not None)
        self._bytes_of_marks = (ord(quote) if quote else None, ord(escape) if escape else None)
        self._header: bytes | None = None
        if self.source.is_guess:
            said = "the suffix is no format's, and the text a table; read so, as with format='csv'"
            self.notices.append(Notice(None, said, (), {}, lossless=True))
        try:
            self._names, self._units, self.body_start, self.body_line = self._laid_out(self._head())
        except _PartedByBlanksError as parted:
            taken = {"delimiter": WHITESPACE}
            try:
                HeaderReader.__init__(self, source, {**options, **taken})
            except VaxseqError as error:
                error.options = {**taken, **error.options} if error.options else {}
                raise
            self.notices = [
                replace(one, options={**taken, **one.options}) if one.options else one for one in self.notices
            ]
            self.notices.append(Notice(None, f"{parted}; read so, as with delimiter='whitespace'", (), {}, True))

    def _laid_out(self, head: bytes) -> tuple[tuple[str, ...], dict[str, str], int, int]:
        """Sets the dialect; column names and units, and the offset and line number of the first record after them."""
        if not self._given & (_HEADER | {"delimiter"}) and _is_json(head):
            raise SourceError(
                f"{self.where}: the text is JSON, not a table. Pass format='jsonl'; or header=, where it is one.",
                options={"format": "jsonl"},
            )
        mark, first = told(head) if self.set["delimiter"] is None else (None, 0)
        rest = head[first:]
        for _ in range(self.set["skip_rows"]):
            rest = rest.partition(b"\n")[2]
        given = "\t" if self.set["delimiter"] == WHITESPACE else self.set["delimiter"] or mark
        sniffed = given or sniff(rest or head, self.source.path or "", self.set["quote"])
        self.dialect = scan.Dialect(ord(sniffed), *self._bytes_of_marks)
        return self._read_header(head, first)

    def names(self) -> tuple[str, ...]:
        return self._names

    def _read_header(self, head: bytes, first: int) -> tuple[tuple[str, ...], dict[str, str], int, int]:
        """The same of a known dialect."""
        records = self._first_records(head, first)
        at = self._before(records, head)
        remarks = self._below_header(records[at:], head)
        found = read_head(
            records[at:], header=self.set["header"], header_rows=self.set["header_rows"],
            units_rows=self.set["units_rows"], names=self.set["names"],
        )  # fmt: skip
        ends = bool(records) and not self._is_cut(head) and not head[records[-1].stop :].strip()
        kept = [records[at], *records[at + 1 + remarks :]] if remarks else records[at:]
        odd = diagnose(kept, whole=ends, one="header" in self._given) if self._by_itself else None
        if odd is not None and odd.options == {"header": False} and at:  # comments above may have the names
            names = names_in(records[at - 1], records[at].width)
            more = {"names": names} if names is not None else {}
            certain = odd.certain and (
                names is None or are_sure(records[at - 1], names, by_blanks=self.set["delimiter"] == WHITESPACE)
            )
            odd = replace(odd, options={"skip_rows": records[at].line, **odd.options, **more}, certain=certain)
        one = self.set["delimiter"] is None and len(found.names) == 1 and (odd is None or not odd.stops)
        if one and (width := parted_by_blanks(head)):
            said = f"one column, but blanks part nearly every line into {width} fields"
            if self._by_itself and self.set["skip_rows"] == 0 and surely_parted(head, width):
                raise _PartedByBlanksError(f"blanks part every line into {width} fields")
            if self._by_itself and any(one.width > 1 for one in records[at:]):
                raise SchemaError(
                    f"{self.where}: {said}. Pass delimiter='whitespace'.", options={"delimiter": WHITESPACE}
                )
            self.notices.append(Notice(None, said, (), {"delimiter": WHITESPACE}, lossless=True))
            if odd is not None:
                self._tell(odd)
        elif odd is not None and odd.certain and not self._given & (_HEADER | odd.options.keys()):
            if "delimiter" in odd.options:  # the text is to be opened anew for that
                raise _PartedByBlanksError("blanks part every line alike")
            self._take(odd)
            return self._laid_out(head)
        elif odd is not None and (odd.stops or not self._given & odd.options.keys() & _HEADER):
            self._tell(self._ended(odd, head))
        named = at < len(records) and found.header is records[at] and self.set["comment"] is None
        if named and (bare := found.names[0].removeprefix("#").strip()) and (at > 0 or found.names[0][:2] == "# "):
            units = {bare if name == found.names[0] else name: unit for name, unit in found.units.items()}
            found = replace(found, names=(bare, *found.names[1:]), units=units)  # a header among comments
        self._check_names(found.names, records)
        left = [one for one in records[:at] if one.line >= self.set["skip_rows"] and one.stop > one.start]
        self._note_left_out(left, records[at:], head)
        if found.header is not None:
            self._header = head[found.header.start : found.header.stop]
        taken = [one for one in records[at:] if one.stop > one.start][: found.before]
        start = records[at].start if at < len(records) else len(head)
        if remarks:
            taken = records[at : at + 1 + remarks]
            told = f"the remarks and rules below the header were left out: lines {records[at + 1].line + 1} to "
            self.notices.append(Notice(None, f"{told}{taken[-1].line + 1}", (), {}, lossless=True))
        if taken:
            start = self._after(head, taken[-1].stop)
        return found.names, found.units, start, head[:start].count(b"\n")

    def _below_header(self, records: list[Record], head: bytes) -> int:
        """How many records right below the header are remarks: they begin with # and have another width."""
        if not self._by_itself or self.set["comment"] is not None or len(records) < 3 or records[0].width < 2:
            return 0
        width = records[0].width
        found = [
            *takewhile(
                lambda one: (head[one.start : one.start + 1] == b"#" and one.width != width) or is_rule(one.fields),
                records[1:],
            )
        ]
        rest = records[1 + len(found) :]
        return len(found) if rest and all(one.width in (0, width) for one in rest) else 0

    @property
    def _by_itself(self) -> bool:
        """Whether nobody said how the header stands."""
        return all(
            self.set[key] == default
            for key, default in (("header", True), ("header_rows", 1), ("units_rows", 0), ("names", None))
        )

    def _first_records(self, head: bytes, first: int) -> list[Record]:
        """The first records, as many as a look at the layout needs; of lines as long as the look, more of them."""
        look = _LOOK
        while True:
            found, whole = self._looked(head, first, look)
            if whole or len(found) > 2:
                return found if whole else found[:-1]  # the last one may be cut
            look *= 4

    def _looked(self, head: bytes, first: int, look: int) -> tuple[list[Record], bool]:
        """Records of the first bytes, and whether they are all whole."""
        data = np.frombuffer(head, np.uint8)[first : first + look]
        lines = head[:first].count(b"\n")
        found: list[Record] = []
        remarks = 0
        for start, stop, line in scan.records(data, self.dialect, skip_blank=False):
            start, stop = start + first, stop + first
            fields = self._fields(head[start:stop]) if stop > start else []
            found.append(Record(start, stop, line + lines, fields))
            remarks += head[start : start + 1] == b"#"
            if len(found) > (most := self.set["skip_rows"] + remarks + _RECORDS):
                width = found[-1].width
                if width > 1 and all(one.width == width for one in found[-_RECORDS // 2 :]):
                    return found, True
                if len(found) > most + _MORE:  # lines that tell about the file go on for long
                    return found, True
        return found, first + look >= len(head)

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
        lines = last_lines(self.tail(_LOOK), rows)
        found = [[*csv.reader([line.decode(errors="replace")], **self._python_dialect())] for line in lines]
        return [dict(zip(self._names, cells[0], strict=False)) for cells in found if cells]

    def remedy(self, raw: str) -> dict[str, Any]:
        if self.set["skip_footer"]:
            return {}
        head = self._head()
        if not self._is_cut(head) and (next_one := self._next_table(head, raw)) is not None:
            return {"skip_footer": _filled_lines(head[next_one:])}
        lines = last_lines(self.tail(_LOOK), _MOST_FOOTER)
        footer = [*takewhile(lambda line: len(self._fields(line)) != len(self._names), lines)]
        among = raw.strip() in {line.decode(errors="replace").strip() for line in footer}
        return {"skip_footer": len(footer)} if among and len(footer) < len(lines) else {}

    def _next_table(self, head: bytes, raw: str) -> int | None:
        """Where what stands between the first table and another begins, if this line is of it."""
        data = np.frombuffer(head, np.uint8)[self.body_start :]
        spans = [*scan.records(data, self.dialect, skip_blank=True)]
        filled = [Record(start, stop, line, self._fields(bytes(data[start:stop]))) for start, stop, line in spans]
        if len(found := tables(filled)) < 2:
            return None
        among = filled[found[0].stop : found[1].start]
        lines = {bytes(data[one.start : one.stop]).decode(errors="replace").strip() for one in among}
        return self.body_start + among[0].start if raw.strip() in lines else None

    def _note_left_out(self, left: list[Record], rest: list[Record], head: bytes) -> None:
        """Notes lines above the header that begin with # and may be rows, being as wide."""
        if self.set["comment"] is not None or not rest:
            return
        width = rest[0].width
        alike = [one for one in left if one.width == width and (width > 1 or head[one.start + 1] not in b" #\r\n")]
        if alike:
            said = "lines above the header that begin with # and are as wide as the rows were left out"
            lines = tuple(f"line {one.line + 1}" for one in alike)
            self.notices.append(Notice(None, f"{said}; header=False takes them for rows", lines, {}, lossless=False))

    def _check_names(self, names: tuple[str, ...], records: list[Record]) -> None:
        mark = self.set["comment"] or "#"
        remarks = [one for one in records[self.set["skip_rows"] :] if one.width and one.fields[0].startswith(mark)]
        if not names and remarks:
            told = "header=False" if self.set["comment"] is None else "another comment="
            raise SourceError(
                f"{self.where}: all lines begin with {mark}, as comments do; got no header line. "
                f"Pass {told} if they are rows.",
                options={"header": False}
                if self.set["comment"] is None and len({one.width for one in remarks}) == 1
                else {},
            )
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
        if double := repeated_names(names):
            raise SchemaError(
                f"{self.where}: line 1: column names must differ; got {double} twice. Pass names=[...] of new names.",
                options={"names": different(names)},
            )

    def _take(self, odd: LayoutIssue) -> None:
        """Sets the options that leave no doubt, and notes it, with the option that undoes it."""
        keys = "units_rows", "header_rows", "header", "skip_rows"
        undone = next((key for key in keys if key in odd.options), "header")
        self.set |= odd.options
        shown = ", ".join(f"{key}={value!r}" for key, value in odd.options.items())
        shown += ", the lines above it left out" if "skip_rows" in odd.options else ""
        said = f"{odd.message}; read so, as with {shown}; {undone}={self.options[undone]!r} has it not so"
        self.notices.append(Notice(None, said, tuple(f"line {line}" for line in odd.lines), {}, lossless=True))

    def _ended(self, odd: LayoutIssue, head: bytes) -> LayoutIssue:
        """The oddity of several tables with the option that leaves out what stands below one."""
        if odd.ends is None:
            return odd
        if self._is_cut(head):
            return replace(odd, message=f"{odd.message}, once the file ends before line {odd.ends.line + 1}")
        below = _filled_lines(head[odd.ends.start :]) + self.set["skip_footer"]
        return replace(odd, options={**odd.options, "skip_footer": below})

    def _tell(self, odd: LayoutIssue) -> None:
        """Stops at what can't be read, and notes what can."""
        options = odd.options
        if odd.stops:
            shown = ", ".join(f"{key}={value!r}" for key, value in options.items())
            line = f"line {odd.lines[0]}"
            at = "" if odd.message.startswith(f"{line} ") else f"{line}: "  # what begins with its line says it once
            options = options if odd.sure else {}  # what loses a row is taken by nobody but who reads it
            remedy = f" Pass {shown}." if shown else ""
            raise SchemaError(f"{self.where}: {at}{odd.message}.{remedy}", options=options, lossless=not odd.asks)
        self.notices.append(
            Notice(
                None,
                odd.message,
                tuple(f"line {line}" for line in odd.lines),
                options,
                lossless=odd.sure and not odd.asks,
            )
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


def _filled_lines(content: bytes) -> int:
    return sum(bool(line.strip()) for line in content.splitlines())


def _is_json(head: bytes) -> bool:
    """Whether the first line is JSON, or begins an array or object that goes on."""
    if not _JSON.match(head):
        return False
    first, end, _ = head.lstrip().partition(b"\n")
    line = first.strip().decode(errors="replace")
    closed = line.rstrip(", ") + ("]" if line[0] == "[" else "}")
    return not end or line[-1] in "{[" or any(map(_parses, (line, closed)))


def _parses(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


class _PartedByBlanksError(Exception):
    """The fields of the text are parted by blanks, which it must be opened for."""
