"""Lines among the rows that are none: comments, the header again, a line whose quote is never closed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from vaxseq.convert.readers import scan
from vaxseq.convert.readers.scan import Bytes, Dialect

Kind = Literal["rows", "comment", "header", "quote"]
_NEWLINE = 10
_REASONS = {"header": "the header again", "quote": "the quote that opens here isn't closed"}
_MOST_QUOTES = 1000  # lines set aside in one piece; more of them, and the quotes mean something else


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a piece: rows, or one line that is none."""

    start: int
    stop: int
    kind: Kind


class Spans:
    """A piece as its rows and the lines among them that are none."""

    def __init__(self, data: Bytes, spans: list[Span], dialect: Dialect, *, skip_blank: bool) -> None:
        self._data, self.spans, self._dialect, self._skip_blank = data, spans, dialect, skip_blank

    def rows(self) -> Bytes:
        """The bytes of the rows alone."""
        parts = [self._data[one.start : one.stop] for one in self.spans if one.kind == "rows"]
        return np.concatenate(parts) if parts else self._data[:0]

    def records(self) -> Iterator[tuple[int, int, int, str | None]]:
        """(start, stop, line, why it is no row) of each record, comments left out."""
        line = 0
        for one in self.spans:
            part = self._data[one.start : one.stop]
            if one.kind == "rows":
                for start, stop, at in scan.records(part, self._dialect, self._skip_blank):
                    yield one.start + start, one.start + stop, line + at, None
            elif one.kind != "comment":
                yield one.start, one.start + len(bytes(part).rstrip(b"\r\n")), line, _REASONS[one.kind]
            line += int(np.count_nonzero(part == _NEWLINE))


def spans_of(
    data: Bytes, dialect: Dialect, *, comment: bytes | None, header: bytes | None, at_end: bool
) -> list[Span] | None:
    """The piece's parts; None where all of it is rows.

    ``dialect`` has no quote where the piece has none. ``at_end``: the source ends with this piece.
    """
    lines: list[tuple[int, int, Kind]] = []
    if comment is not None:
        lines += [(start, _line_end(data, start), "comment") for start in _starting_with(data, comment, dialect)]
    if header is not None:
        lines += [(start, _line_end(data, start), "header") for start in _equal_to(data, header)]
    if dialect.quote is not None:
        lines += [(start, stop, "quote") for start, stop in _unclosed(data, dialect, at_end=at_end)]
    if not lines:
        return None
    spans: list[Span] = []
    at = 0
    for start, stop, kind in sorted(lines):
        if start < at:
            continue
        if start > at:
            spans.append(Span(at, start, "rows"))
        spans.append(Span(start, stop, kind))
        at = stop
    if at < len(data):
        spans.append(Span(at, len(data), "rows"))
    return spans


def _line_end(data: Bytes, start: int) -> int:
    width = 1 << 12
    while start < len(data):
        found = np.flatnonzero(data[start : start + width] == _NEWLINE)
        if found.size:
            return start + int(found[0]) + 1
        start += width
    return len(data)


def _starting_with(data: Bytes, mark: bytes, dialect: Dialect) -> list[int]:
    """Starts of lines that begin with the mark and are no part of a quoted field."""
    places = np.flatnonzero(data == mark[0])
    places = places[(places == 0) | (data[np.maximum(places - 1, 0)] == _NEWLINE)]
    if places.size and dialect.quote is not None:
        places = places[np.searchsorted(scan.toggles(data, 0, len(data), dialect), places) % 2 == 0]
    return [int(at) for at in places if bytes(data[at : at + len(mark)]) == mark]


def _equal_to(data: Bytes, line: bytes) -> list[int]:
    """Starts of lines that are this one."""
    content = data.tobytes()
    found = []
    at = content.find(line)
    while at >= 0:
        stop = at + len(line)
        if (at == 0 or content[at - 1] == _NEWLINE) and (stop == len(content) or content[stop] in b"\r\n"):
            found.append(at)
        at = content.find(line, stop)
    return found


def _unclosed(data: Bytes, dialect: Dialect, *, at_end: bool) -> Iterator[tuple[int, int]]:
    """Lines that open a quote which is never closed, or closed lines below where no field ends."""
    start = 0
    for _ in range(_MOST_QUOTES):
        part = data[start:]
        opener = first_unclosed(part, dialect, at_end=at_end)
        if opener is None:
            return
        before = np.flatnonzero(part[:opener] == _NEWLINE)
        first = start + (int(before[-1]) + 1 if before.size else 0)
        stop = _line_end(data, first)
        yield first, stop
        start = stop


def first_unclosed(data: Bytes, dialect: Dialect, *, at_end: bool) -> int | None:
    """The first quote that is never closed, or closed on a line below where no field ends."""
    toggles = scan.toggles(data, 0, len(data), dialect)
    openers, closers = toggles[::2], toggles[1::2]
    after = data[np.minimum(closers + 1, len(data) - 1)]
    fine = (closers + 1 >= len(data)) | np.isin(after, [dialect.delimiter, _NEWLINE, 13, 32, 9, dialect.quote or 0])
    odd = np.flatnonzero(~fine)
    if odd.size:
        newlines = np.flatnonzero(data == _NEWLINE)
        within = np.searchsorted(newlines, openers[odd]) != np.searchsorted(newlines, closers[odd])
        if within.any():  # on one line it is a quote within a field, which the parser takes
            return int(openers[odd[within][0]])
    if len(openers) > len(closers) and at_end:
        return int(openers[-1])
    return None


def without_quotes(dialect: Dialect) -> Dialect:
    """The dialect of text that has no quotes."""
    return replace(dialect, quote=None)
