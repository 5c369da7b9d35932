"""Looking at the bytes of delimited text: where records end, and integers that are codes (``00123``)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Bytes = npt.NDArray[np.uint8]
_TILE = 1 << 16  # comparisons of a tile stay in the cache
_TAB, _NEWLINE, _RETURN, _SPACE, _PLUS, _MINUS, _ZERO = 9, 10, 13, 32, 43, 45, 48
_START = np.full(2, _NEWLINE, np.uint8)  # stands before the first byte


@dataclass(frozen=True, slots=True)
class Dialect:
    """The bytes that give delimited text its structure."""

    delimiter: int
    quote: int | None
    escape: int | None = None


def next_boundary(data: Bytes, start: int, target: int, dialect: Dialect) -> int:
    """The first end of a record at or after ``target``; ``start`` is the start of a record. -1: none in ``data``."""
    width = _TILE
    while target < len(data):
        stop = min(target + width, len(data))
        newlines = np.flatnonzero(data[target:stop] == _NEWLINE) + target
        if newlines.size:
            before = np.searchsorted(toggles(data, start, stop, dialect), newlines)
            outside = newlines[before % 2 == 0]
            if outside.size:
                return int(outside[0]) + 1
        if stop == len(data):
            return -1
        width *= 2  # toggles are counted from the start each time, so the window doubles
    return -1


def toggles(data: Bytes, start: int, stop: int, dialect: Dialect) -> npt.NDArray[np.int64]:
    """Positions of the quotes that open or close a quoted field, in ``[start, stop)``.

    A quote in the middle of an unquoted field is text. An escaped quote toggles twice or not at all.
    """
    if dialect.quote is None or not holds(data[start:stop], bytes([dialect.quote])):
        return np.empty(0, np.int64)
    tiles = [np.flatnonzero(data[at : min(at + _TILE, stop)] == dialect.quote) + at for at in range(start, stop, _TILE)]
    quotes = np.concatenate(tiles)
    if dialect.escape is not None:
        return _walk(data, quotes, dialect)
    opening = quotes[::2]
    before = data[np.maximum(opening - 1, 0)]
    fine = (
        (before == dialect.delimiter)
        | (before == _NEWLINE)
        | (before == _RETURN)
        | (before == dialect.quote)
        | (opening == 0)
    )
    return quotes if fine.all() else _walk(data, quotes, dialect)


def _walk(data: Bytes, quotes: npt.NDArray[np.int64], dialect: Dialect) -> npt.NDArray[np.int64]:
    """The exact reading, quote by quote, for text with stray or escaped quotes."""
    kept = []
    skip, inside = -1, False
    starts = (dialect.delimiter, _NEWLINE, _RETURN)
    for at in quotes.tolist():
        if at == skip:
            continue
        if inside:
            if dialect.escape is not None and at and data[at - 1] == dialect.escape:
                continue
            if at + 1 < len(data) and data[at + 1] == dialect.quote:
                skip = at + 1
                continue
            inside = False
            kept.append(at)
        elif at == 0 or data[at - 1] in starts:
            inside = True
            kept.append(at)
    return np.asarray(kept, np.int64)


def records(data: Bytes, dialect: Dialect, skip_blank: bool) -> Iterator[tuple[int, int, int]]:
    """(start, stop, line) of each record, the line counted from 0; without its line end."""
    newlines = np.flatnonzero(data == _NEWLINE)
    quotes = toggles(data, 0, len(data), dialect)
    returns = np.flatnonzero(data == _RETURN)
    alone = returns[data[np.minimum(returns + 1, len(data) - 1)] != _NEWLINE]  # the parser ends a record there too
    breaks = np.sort(np.concatenate([newlines, alone])) if alone.size else newlines
    ends = breaks[np.searchsorted(quotes, breaks) % 2 == 0]
    lines = np.searchsorted(newlines, ends)
    if len(data) and (ends.size == 0 or ends[-1] != len(data) - 1):
        ends = np.append(ends, len(data))
        lines = np.append(lines, newlines.size)
    start = line = 0
    for end, last in zip(ends.tolist(), lines.tolist(), strict=True):
        whole = end < len(data) and data[end] == _NEWLINE
        stop = end - 1 if whole and end > start and data[end - 1] == _RETURN else end
        if stop > start or not skip_blank:
            yield start, stop, line
        start, line = end + 1, last + int(whole)


def count_codes(data: Bytes, dialect: Dialect) -> int:
    """How many whole fields are integers with leading zeros or hexadecimal: ``00123``, ``-07``, ``0x1F``."""
    buffers = tuple(np.empty(_TILE + 3, bool) for _ in range(3))
    return sum(_codes_in(data, at, dialect, buffers) for at in range(0, len(data), _TILE))


def holds(data: Bytes, letter: bytes) -> bool:
    """Whether the letter occurs; stops where it does."""
    view = data.data
    return any(letter in bytes(view[at : at + _TILE]) for at in range(0, len(view), _TILE))


def not_utf8(data: Bytes) -> int | None:
    """The place of the first byte that isn't UTF-8."""
    ends = pa.py_buffer(np.array([0, len(data)], np.int64))
    text = pa.Array.from_buffers(pa.large_string(), 1, [None, ends, pa.py_buffer(data)])
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        try:
            data.tobytes().decode()
        except UnicodeDecodeError as error:
            return error.start
    return None


def _codes_in(data: Bytes, at: int, dialect: Dialect, buffers: tuple[Any, ...]) -> int:
    """Codes whose zero lies in the tile at ``at``. Few passes over the tile leave few candidates."""
    stop = min(at + _TILE, len(data) - 1)
    if stop <= at:
        return 0
    around = data[at - 2 : stop + 1] if at else np.concatenate([_START, data[: stop + 1]])
    before, after = around[1:-2], around[3:]
    # up to the minus lie line ends, tab, space, quote and comma, and little else
    low = np.less_equal(around, _MINUS, out=buffers[0][: len(around)])
    for one in (dialect.delimiter, dialect.quote):
        if one is not None and one > _MINUS:
            low |= around == one
    found, flag = (buffer[: stop - at] for buffer in buffers[1:])
    np.logical_and(low[:-3], low[1:-2], out=found)  # a sign or a space at the start of a field
    for byte in (dialect.delimiter, dialect.quote):
        if byte is not None:
            np.logical_or(found, np.equal(before, byte, out=flag), out=found)
    np.logical_or(found, np.less_equal(before, _RETURN, out=flag), out=found)
    np.logical_and(found, np.equal(around[2:-1], _ZERO, out=flag), out=found)
    np.logical_and(found, np.greater_equal(after, _ZERO, out=flag), out=found)  # a digit or x, and few others
    candidates = np.flatnonzero(found)
    return _whole_fields(data, candidates + at, dialect) if candidates.size else 0


def _whole_fields(data: Bytes, zeros: npt.NDArray[np.int64], dialect: Dialect) -> int:
    """Of the candidates, those whose field is nothing but the code, with blanks around it."""
    edge, blank = np.zeros(256, bool), np.zeros(256, bool)
    edge[[dialect.delimiter, _NEWLINE, _RETURN, *([dialect.quote] if dialect.quote is not None else [])]] = True
    blank[[_SPACE, _TAB]] = True
    blank &= ~edge
    before = zeros - 1
    before -= (before >= 0) & np.isin(data[np.maximum(before, 0)], (_PLUS, _MINUS))
    while (more := (before >= 0) & blank[data[np.maximum(before, 0)]]).any():
        before = before - more
    zeros = zeros[(before < 0) | edge[data[np.maximum(before, 0)]]]
    edge |= blank
    at = zeros + 1
    hexadecimal = (data[at] | 32) == 120
    found = int(np.count_nonzero(hexadecimal))
    at = at[~hexadecimal]
    at = at[(data[at] - _ZERO) < 10]
    while at.size:
        here = data[np.minimum(at, len(data) - 1)]
        done = (at >= len(data)) | edge[here]
        found += int(np.count_nonzero(done))
        at = at[~done & ((here - _ZERO) < 10)] + 1
    return found
