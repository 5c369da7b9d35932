"""What text readers share: byte ranges cut at the ends of records, as memory maps or out of a stream."""

from __future__ import annotations

import codecs
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vaxseq.convert import archives, storage, type_inference
from vaxseq.convert.forms import forms
from vaxseq.convert.forms.detection import Subject
from vaxseq.convert.forms.marks import WORDS_IN_CASES
from vaxseq.convert.layouts import encoding
from vaxseq.convert.layouts.blanks import WHITESPACE, tabbed
from vaxseq.convert.layouts.body import first_unclosed
from vaxseq.convert.layouts.footer import footer_start, without_footer
from vaxseq.convert.readers import scan, streams
from vaxseq.convert.readers.base import Piece, Reader, Unit, bad_option
from vaxseq.convert.readers.cell_parser import CellParser
from vaxseq.dataset.notice import Notice
from vaxseq.errors import SourceError, did_you_mean

_WESTERN = {encoding.CERTAIN_WESTERN: "cp1252"}
_SAMPLE = 1 << 20
_FOOTER = 1 << 16
_SMALLEST, _LARGEST, _ROWS = 16 << 20, 64 << 20, 1 << 17
_BEYOND = 1 << 16  # of a unit's aim, where a record's end is looked for first


class TextReader(Reader):
    """Text in records that end with a newline; one unit if it must be fetched, decompressed or transcoded."""

    is_text = True
    options = {"encoding": None, "null_values": None, "decimal": ".", "timestamp_format": (), "forms": None,
               "skip_footer": 0}  # fmt: skip
    kinds_of_forms: tuple[str, ...] = ("times", "numbers", "true and false")
    dialect: scan.Dialect
    body_start: int
    body_line: int

    def __init__(self, source: Any, options: Mapping[str, Any]) -> None:
        super().__init__(source, options)
        self.notices: list[Notice] = []
        footer = self.set.get("skip_footer", 0)
        if isinstance(footer, bool) or not isinstance(footer, int) or footer < 0:
            raise bad_option(self.where, "skip_footer", footer, "a whole number from 0")
        if self.set["decimal"] not in (".", ","):
            raise bad_option(self.where, "decimal", self.set["decimal"], "'.' or ','")
        given = self.set["timestamp_format"]
        self.set["timestamp_format"] = (given,) if isinstance(given, str) else tuple(given)
        self.nulls, self.marks = type_inference.null_tokens(self.set["null_values"])
        self.format = type_inference.TextFormat(self.set["decimal"], self.set["timestamp_format"], self.nulls)
        self.forms: dict[str, str] = _checked_forms(self.where, self.set["forms"])
        assert self.source.path is not None
        if self.set["encoding"] is None:
            self._detect_encoding()
        try:
            plain = streams.is_utf8(self.set["encoding"])
        except (LookupError, TypeError) as error:
            raise bad_option(
                self.where, "encoding", self.set["encoding"], "an encoding's name, like 'latin-1'"
            ) from error
        packed = streams.is_compressed(self.source.path) or archives.parts(self.source.path) is not None
        self._is_plain_file = not packed and not storage.is_url(self.source.path)
        self._old_ends = self._is_plain_file and plain and _has_old_ends(self.source.path)
        as_it_is = plain and self.set.get("delimiter") != WHITESPACE and not self._old_ends
        self.splittable = as_it_is and self._is_plain_file
        self._file = streams.FileBytes(self.source.path) if self.splittable else None
        self._held = (0, np.empty(0, np.uint8))
        self._mark = 3 if self._part(0, 3) == b"\xef\xbb\xbf" else 0
        if self._file is not None and footer:
            last = self.tail(_FOOTER)
            self._file.end_at(len(self._file) - len(last) + footer_start(last, footer))
        self._end = 0 if self._file is None else len(self._file)
        self._last_piece: Piece | None = None
        self._known_line = (0, 0)

    def _detect_encoding(self) -> None:
        """Takes the encoding from the first bytes where they leave no doubt."""
        assert self.source.path is not None
        head = streams.first_bytes(self.source.path, _SAMPLE)
        found = encoding.detect(head)
        if found is None:
            shown = head[max((at := next(i for i, byte in enumerate(head) if byte > 127)) - 20, 0) : at + 20]
            raise SourceError(
                f"{self.where}: the text isn't UTF-8, and its encoding can't be told for sure; got {shown!r}, which "
                f"cp1252 reads as {shown.decode('cp1252', 'replace')!r}. Pass encoding='cp1252' or the right one.",
                options={"encoding": "cp1252"},
            )
        self.set["encoding"] = found
        if found != "utf-8":
            known = "cp1252" if found == encoding.CERTAIN_WESTERN else found
            self.notices.append(Notice(None, f"the text was read as {known}, not UTF-8", (), {}, lossless=True))

    def subject(self, name: str) -> Subject:
        """What a second look at the column has to know."""
        nulls = (*self.nulls, *self.marks.get(name, ()))
        delimiter = chr(self.dialect.delimiter)
        return Subject(name, nulls, self.set["decimal"], delimiter, self.kinds_of_forms, self._knows_words)

    @property
    def _knows_words(self) -> bool:
        """Whether words like None are missing values: nobody listed those that are."""
        return self.set["null_values"] is None or isinstance(self.set["null_values"], Mapping)

    def named_kind(self, name: str, cells: pa.Array) -> pa.DataType | None:
        """The type of cells whose form or marks were named; None where they weren't."""
        parser = self.cell_parser(name)
        return None if parser is None else parser.kind(cells, f"{self.where}: column {name!r}")

    def named_values(self, name: str, cells: pa.Array, kind: pa.DataType) -> pa.Array:
        """Such cells as values."""
        parser = self.cell_parser(name)
        assert parser is not None
        return parser.read(cells, kind, f"{self.where}: column {name!r}", declared=False)[0]

    def cell_parser(self, name: str) -> CellParser | None:
        """How the column is read where its form or its marks of missing values were named."""
        if name not in self.forms and name not in self.marks:
            return None
        nulls = (*self.nulls, *self.marks.get(name, ()))
        return CellParser(self.forms.get(name), nulls, self.format, WORDS_IN_CASES if self._knows_words else ())

    def glimpses(self, size: int) -> Iterator[Piece]:
        """Whole lines from the middle and from the end; none of a source that must be read from its start."""
        for start in (self._end // 2, self._end - size) if self.splittable else ():
            if start > 0:
                part = self._bytes(start, start + size)
                lines = np.flatnonzero(part == 10)
                if lines.size > 1:
                    stop = len(part) if start + size >= self._end else int(lines[-1]) + 1
                    yield Piece(part[int(lines[0]) + 1 : stop], start + int(lines[0]) + 1)

    def column_units(self) -> dict[str, str]:
        """Units of columns, where the source tells them."""
        return {}

    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Column names in order."""

    @abstractmethod
    def infer(self, piece: Piece) -> dict[str, pa.DataType]:
        """The smallest types of this piece's cells."""

    def schema(self) -> pa.Schema:
        types = self.infer(self.sample())
        return pa.schema([(name, types[name]) for name in self.names()])

    def schema_names(self) -> tuple[str, ...]:
        return self.names()

    def text_chunks(self) -> Iterator[bytes]:
        """The text from its start, as UTF-8."""
        chunks = streams.chunks(self.source.path or "", self.set["encoding"])
        footer = int(self.set.get("skip_footer", 0))
        if self._old_ends:
            chunks = (chunk.replace(b"\r", b"\n") for chunk in chunks)
        if self.set.get("delimiter") == WHITESPACE:
            chunks = tabbed(chunks)
        return without_footer(chunks, footer) if footer else chunks

    def tail(self, size: int) -> bytes:
        """The last bytes of a file that can be read anywhere, or whose characters are bytes; none of another."""
        if self._file is not None:
            return self._part(max(len(self._file) - size, 0), len(self._file))
        name = codecs.lookup(self.set["encoding"]).name
        if self._is_plain_file and name.startswith(("cp125", "iso8859", encoding.CERTAIN_WESTERN)):
            with open(self.source.path or "", "rb") as file:
                file.seek(max(file.seek(0, 2) - size, 0))
                content = file.read()
            footer = self.set.get("skip_footer", 0)
            return content[: footer_start(content, footer)].decode(_WESTERN.get(name, name), "replace").encode()
        return b""

    def last_rows(self, rows: int) -> list[dict[str, str]]:
        """Cells of the last rows, the last one first, where they can be told without reading the whole."""
        return []

    def _bytes(self, start: int, stop: int) -> npt.NDArray[np.uint8]:
        """Bytes of a file that can be read anywhere; none of another."""
        low, held = self._held
        if low <= start and stop <= low + len(held):
            return held[start - low : stop - low]
        return np.empty(0, np.uint8) if self._file is None else self._file[start:stop]

    def _part(self, start: int, stop: int) -> bytes:
        return self._bytes(start, stop).tobytes()

    def _head(self) -> bytes:
        """The first megabyte."""
        if self.splittable:
            return self._part(self._mark, self._mark + _SAMPLE)
        return next(self.text_chunks(), b"")[:_SAMPLE]

    def _is_cut(self, head: bytes) -> bool:
        """Whether the source goes on after its first megabyte."""
        return len(head) >= _SAMPLE

    def sample(self) -> Piece:
        """The first whole records."""
        head = np.frombuffer(self._head(), np.uint8)[self.body_start :]
        cut = 0
        if len(head) + self.body_start < _SAMPLE // 2:  # the whole file, or a stream's first small chunk
            cut = len(head)
        else:
            cut = scan.next_boundary(head, 0, len(head) // 2, self.dialect)
            cut = len(head) if cut < 0 else cut
        if not self.splittable and cut == len(head) and len(head):
            last = scan.next_boundary(head, 0, 0, self.dialect)
            cut = len(head) if last < 0 else cut
        return Piece(head[:cut], 0, self.body_line + 1)

    def _unit_bytes(self) -> int:
        """A unit makes a record batch of some 100,000 rows."""
        piece = self.sample()
        lines = int(np.count_nonzero(piece.raw == 10)) or 1
        return int(min(max(_ROWS * len(piece.raw) // lines, _SMALLEST), _LARGEST))

    def units(self, index: int) -> Iterator[Unit]:
        if not self.splittable:
            yield Unit(index, 0, -1)
            return
        size = self._unit_bytes()
        start = self._mark + self.body_start
        while start < self._end:
            target = min(start + size, self._end)
            beyond = min(_BEYOND, _LARGEST << 2)
            while True:
                seen = min(target + beyond, self._end)
                self._held = (start, self._bytes(start, seen))  # the unit's pieces are read next, as a rule
                stop = scan.next_boundary(self._held[1], 0, target - start, self.dialect)
                if stop >= 0 or seen == self._end:
                    break
                if beyond >= _LARGEST << 2:
                    raise self._endless(start, seen)
                beyond = min(beyond << 3, _LARGEST << 2)
            stop = self._end if stop < 0 else start + stop
            yield Unit(index, start, stop)
            start = stop

    def _is_last(self, piece: Piece) -> bool:
        """Whether the source ends with the piece; of a stream, and of a sample, only the parser's caller knows."""
        if not self.splittable:
            return piece is self._last_piece
        return piece.start + len(piece.raw) >= self._end and piece.start >= self._mark + self.body_start

    def _endless(self, start: int, stop: int) -> SourceError:
        """The error for a record that doesn't end between these bytes: with the line that opens its quote."""
        part = self._bytes(start, stop)
        opener = first_unclosed(part, self.dialect, at_end=True)
        line = self.first_line(Piece(part, start + (opener or 0)))
        return SourceError(
            f"{self.where}: line {line}: the quote that opens here isn't closed within {_LARGEST << 2:,} bytes. "
            "Repair the line, or pass quote=None if quotes are text.",
            options={"quote": None},
        )

    def pieces(self, unit: Unit, skip: int = 0) -> Iterator[Piece]:
        if self.splittable:
            if not skip:
                yield Piece(self._bytes(unit.start, unit.stop), unit.start)
            return
        for number, piece in enumerate(self._streamed()):
            if number >= skip:
                yield piece

    def _streamed(self) -> Iterator[Piece]:
        size = self._unit_bytes()
        held: list[bytes] = []
        length, offset, line = 0, self.body_start, self.body_line + 1
        drop = self.body_start
        for chunk in self.text_chunks():
            if drop:
                chunk, drop = chunk[drop:], max(drop - len(chunk), 0)
            held.append(chunk)
            length += len(chunk)
            if length >= size:
                data = np.frombuffer(b"".join(held), np.uint8)
                cut = scan.next_boundary(data, 0, size - 1, self.dialect)
                if cut > 0:
                    yield Piece(data[:cut], offset, line)
                    line += int(np.count_nonzero(data[:cut] == 10))
                    offset += cut
                    held = [data[cut:].tobytes()]
                    length = len(held[0])
                elif length > _LARGEST << 2:
                    raise SourceError(
                        f"{self.where}: a quote isn't closed after line {line}. Repair the file or pass quote=None."
                    )
        if length:
            self._last_piece = Piece(np.frombuffer(b"".join(held), np.uint8), offset, line)
            yield self._last_piece

    def first_line(self, piece: Piece) -> int:
        """The number, from 1, of the piece's first line in the file."""
        if piece.first_line is not None:
            return piece.first_line
        at, lines = self._known_line if self._known_line[0] <= piece.start else (0, 0)
        for start in range(at, piece.start, 1 << 20):
            lines += int(np.count_nonzero(self._bytes(start, min(start + (1 << 20), piece.start)) == 10))
        self._known_line = (piece.start, lines)
        return lines + 1


def _has_old_ends(path: str) -> bool:
    """Whether lines end as they did on a Mac once: with a carriage return alone."""
    head = streams.first_bytes(path, _FOOTER)
    return b"\r" in head[:-1] and b"\n" not in head


def _checked_forms(where: str, given: Any) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise bad_option(where, "forms", given, "a mapping of columns to forms", f"Forms: {', '.join(forms())}.")
    for column, name in given.items():
        if name not in forms():
            raise bad_option(where, "forms", {column: name}, "a known form", did_you_mean(str(name), forms()).strip())
    return {str(column): str(name) for column, name in given.items()}
