"""Pieces of memory-mapped arrays as one column: where each row is, reads without a copy, gathers in one go."""

from __future__ import annotations

import ctypes
from bisect import bisect_right
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vaxseq.expressions.values import Mask
from vaxseq.frame.buffers import BufferPool
from vaxseq.frame.direct_reads import SLACK_BYTES, FileRows, Mapping
from vaxseq.frame.fetched import Fetched, Wanted
from vaxseq.frame.pages import aligned_bytes

Ids = npt.NDArray[np.int64]

_SCRATCH_BYTES, _SCRATCH_ROOM = 25 << 20, 3  # of what a column reads at once; read-ahead threads and their user

_COPIED_BYTES = 512 << 10  # of runs at once
_RUN_BYTES = 8 << 10  # runs of so many bytes are read one by one; rows of shorter ones are gathered together


class Layout:
    """Where the pieces of a column begin; columns of one table share one Layout.

    ``mapped`` has the mappings behind a table that is larger than memory, whose rows are read from their files:
    ``past_cache``, if the page cache can't hold them either.
    """

    def __init__(self, lengths: Sequence[int], mapped: list[Mapping] | None = None, past_cache: bool = False) -> None:
        self.mapped, self.past_cache = mapped, past_cache
        self.starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
        self._starts: list[int] = self.starts.tolist()  # NumPy would let go of the interpreter for each of a few spans
        self.pieces = len(lengths)
        first = lengths[0] if lengths else 0
        even = all(length == first for length in lengths[:-1]) and (self.pieces < 2 or lengths[-1] <= first)
        self._even_rows = first if even and first else None

    def locate(self, ids: Ids) -> Ids:
        """The piece that holds each row id."""
        if self._even_rows is not None:
            return ids // self._even_rows
        return np.searchsorted(self.starts, ids, side="right") - 1

    def spans(self, start: int, stop: int) -> list[tuple[int, int, int]]:
        """(piece, first row inside it, end row inside it) of the pieces that cover rows start to stop."""
        first = bisect_right(self._starts, start) - 1
        found = []
        for piece in range(max(first, 0), self.pieces):
            low, high = self._starts[piece], self._starts[piece + 1]
            if low >= stop:
                break
            if high > start and high > low:
                found.append((piece, max(start - low, 0), min(stop, high) - low))
        return found


class Located:
    """Row ids with the piece of each, worked out once per Layout and shared by all its columns."""

    def __init__(self, ids: Ids) -> None:
        self.ids = ids
        self._pieces: dict[int, Ids] = {}

    def pieces(self, layout: Layout) -> Ids:
        found = self._pieces.get(id(layout))
        if found is None:
            found = self._pieces[id(layout)] = layout.locate(self.ids)
        return found


class LocatedRuns(Located):
    """Row ids of runs of ``length`` rows each, one after the other, that a column may copy whole."""

    def __init__(self, starts: Ids, length: int) -> None:
        super().__init__((starts[:, None] + np.arange(length)).reshape(-1))
        self.starts, self.length = starts, length


class FixedWidth:
    """Fixed-width NumPy pieces of shape (rows, ...)."""

    def __init__(self, pieces: list[npt.NDArray[Any]], layout: Layout) -> None:
        self.pieces, self.layout = pieces, layout
        self.dtype, self.shape = pieces[0].dtype, pieces[0].shape[1:]
        self._view, self._shift = _one_view(pieces, layout) if len(pieces) > 1 and not self.shape else (None, None)
        self._files = None if layout.mapped is None else _files(pieces, layout.mapped, layout.past_cache)
        self._scratch: BufferPool | None = None

    def hint(self, start: int, stop: int) -> None:
        """Rows that will be read: where they aren't mapped, the kernel begins."""
        for piece, low, high in self.layout.spans(start, stop) if self._files else ():
            self._files[piece].hint(low, high)  # type: ignore[index]

    def wanted(self, start: int, stop: int) -> list[Wanted]:
        """What a file has to give for rows ``start`` to ``stop``; nothing where they are mapped."""
        if not self._files:
            return []
        spans = self.layout.spans(start, stop)
        return [Wanted(id(self), start, stop, self._files[piece], low, high) for piece, low, high in spans]

    def read(self, start: int, stop: int, fetched: Fetched | None = None) -> npt.NDArray[Any]:
        """Rows ``start`` to ``stop``, from what was ``fetched`` if they are among it."""
        parts = None if fetched is None else fetched.of(id(self), start, stop)
        if parts is not None:
            whole = self._scratch_for(sum(map(len, parts))) if len(parts) > 1 else None
            return self._rows(parts[0] if whole is None else np.concatenate(parts, out=whole))
        if self._files:
            return self._fetched(self._files, start, stop)
        if len(self.pieces) == 1:
            return self.pieces[0][start:stop]
        views = [self.pieces[piece][low:high] for piece, low, high in self.layout.spans(start, stop)]
        if not views:
            return np.empty((0, *self.shape), self.dtype)
        return views[0] if len(views) == 1 else np.concatenate(views)

    def gather(self, located: Located) -> npt.NDArray[Any]:
        if self._files and isinstance(located, LocatedRuns) and located.length * self._files[0].row_bytes >= _RUN_BYTES:
            return self._fetched_runs(self._files, located.starts, located.length)
        if self._files:
            out = np.empty((len(located.ids), *self.shape), self.dtype)
            for piece, rows, places in by_piece(located, self.layout):
                part = np.empty((len(rows), *self.shape), self.dtype)
                self._files[piece].gather(rows, part)
                out[places] = part
            return out
        if isinstance(located, LocatedRuns) and located.length > 1:
            runs = self._runs(located)
            if runs is not None:
                return runs
        if len(self.pieces) == 1 and not self.pieces[0].flags.c_contiguous:
            return self.pieces[0][located.ids]  # np.take would first copy all of a strided array
        # mode="clip" spares np.take a second buffer; ids are checked where they are made
        if len(self.pieces) == 1:
            return np.take(self.pieces[0], located.ids, axis=0, mode="clip")
        if self._view is not None and self._shift is not None:
            return np.take(self._view, located.ids + self._shift[located.pieces(self.layout)], mode="clip")
        out = np.empty((len(located.ids), *self.shape), self.dtype)
        for piece, rows, places in by_piece(located, self.layout):
            out[places] = np.take(self.pieces[piece], rows, axis=0, mode="clip")
        return out

    def _fetched(self, files: list[FileRows], start: int, stop: int) -> npt.NDArray[Any]:
        spans = self.layout.spans(start, stop)
        if len(spans) == 1:
            [(piece, low, high)] = spans
            size = (high - low) * files[piece].row_bytes
            return self._rows(files[piece].fetch(low, high, self._scratch_for(size + SLACK_BYTES)))
        return self._fetched_spans(files, spans, stop - start)

    def _fetched_runs(self, files: list[FileRows], starts: Ids, length: int) -> npt.NDArray[Any]:
        spans = [span for start in starts.tolist() for span in self.layout.spans(start, start + length)]
        return self._fetched_spans(files, spans, len(starts) * length)

    def _fetched_spans(self, files: list[FileRows], spans: list[tuple[int, int, int]], rows: int) -> npt.NDArray[Any]:
        content, at = self._scratch_for(rows * files[0].row_bytes), 0
        for _, some in groupby(spans, lambda span: files[span[0]].path):  # each file opened once
            parts = list(some)
            extents = [files[piece].extent(low, high) for piece, low, high in parts]
            size = sum(high - low for low, high in extents)
            files[parts[0][0]].read_extents(extents, content[at : at + size])
            at += size
        return self._rows(content)

    def _rows(self, content: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        return content.view(self.dtype).reshape(-1, *self.shape)

    def _scratch_for(self, size: int) -> npt.NDArray[np.uint8]:
        """Memory of so many bytes. New pages would push those of the file out where memory is short."""
        if size > _SCRATCH_BYTES:
            return np.empty(size, np.uint8)
        scratch = self._scratch
        if scratch is None or size > scratch.rows:
            scratch = self._scratch = BufferPool(_bytes, size, _SCRATCH_ROOM)
        return scratch.arrays(size)[0]

    def _runs(self, located: LocatedRuns) -> npt.NDArray[Any] | None:
        """Runs copied whole; those that lie across two pieces row by row. None where the memory isn't contiguous."""
        starts, length = located.starts, located.length
        if len(self.pieces) == 1:
            whole = self.pieces[0]
            if not whole.flags.c_contiguous:
                return None
            return copy_runs(whole, starts, length)
        if self._view is None or self._shift is None:
            return None
        first, last = self.layout.locate(starts), self.layout.locate(starts + length - 1)
        inside = first == last
        if inside.all():
            return copy_runs(self._view, starts + self._shift[first], length)
        out = np.empty((len(starts), length), self.dtype)
        out[inside] = copy_runs(self._view, (starts + self._shift[first])[inside], length).reshape(-1, length)
        across = Located((starts[~inside][:, None] + np.arange(length)).reshape(-1))
        out[~inside] = self.gather(across).reshape(-1, length)
        return out.reshape(-1)


def copy_runs(
    array: npt.NDArray[Any], starts: Ids, length: int, out: npt.NDArray[Any] | None = None
) -> npt.NDArray[Any]:
    """Rows start, ..., start + length - 1 of a contiguous array for each start, end to end; each run one copy."""
    if out is None:
        out = np.empty((len(starts) * length, *array.shape[1:]), array.dtype)
    row_bytes = array.dtype.itemsize * int(np.prod(array.shape[1:], dtype=np.int64))
    if not row_bytes or not len(out):
        return out
    run = np.dtype((np.void, row_bytes * length))
    runs = np.ndarray((len(array) - length + 1,), run, array.reshape(-1).view(np.uint8).data, strides=(row_bytes,))
    items = out.reshape(-1).view(np.uint8).view(run)
    # np.take would first lay all the overlapping runs out in memory; what an index finds is a copy that caches hold
    some = max(1, _COPIED_BYTES // run.itemsize)
    for low in range(0, len(starts), some):
        items[low : low + some] = runs[starts[low : low + some]]
    return out


class Bitmaps:
    """Arrow bitmaps, one a piece: an address and a bit offset, or None for all ones."""

    def __init__(self, bitmaps: list[tuple[pa.Buffer, int] | None], layout: Layout) -> None:
        self._bitmaps, self.layout = bitmaps, layout
        self._all_ones = np.array([bitmap is None for bitmap in bitmaps])
        bytes_of = [np.frombuffer(b[0], np.uint8) if b else np.full(1, 255, np.uint8) for b in bitmaps]
        self._bytes, self._held = bytes_of, bitmaps
        self._base, shift = _address_span(bytes_of)
        offsets = np.array([b[1] if b else 0 for b in bitmaps], dtype=np.int64)
        self._shift = shift * 8 + offsets - layout.starts[:-1]

    def read(self, start: int, stop: int, fetched: Fetched | None = None) -> Mask:
        parts = []
        for piece, low, high in self.layout.spans(start, stop):
            bitmap = self._bitmaps[piece]
            if bitmap is None:
                parts.append(np.ones(high - low, dtype=bool))
                continue
            low, high = low + bitmap[1], high + bitmap[1]
            bits = np.unpackbits(self._bytes[piece][low // 8 : (high + 7) // 8], bitorder="little")
            parts.append(bits[low % 8 : low % 8 + high - low].view(bool))
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, dtype=bool), *parts])

    def gather(self, located: Located) -> Mask:
        pieces = located.pieces(self.layout)
        if self._all_ones.any():
            ones = self._all_ones[pieces]
            out = np.ones(len(located.ids), dtype=bool)
            place = np.flatnonzero(~ones)
            out[place] = self._test(located.ids[place], pieces[place])
            return out
        return self._test(located.ids, pieces)

    def _test(self, ids: Ids, pieces: Ids) -> Mask:
        bit = ids + self._shift[pieces]
        return (np.take(self._base, bit >> 3, mode="clip") >> (bit & 7).astype(np.uint8) & 1).view(bool)


def by_piece(located: Located, layout: Layout) -> list[tuple[int, Ids, Ids]]:
    """(piece, row ids inside it, their places in the request) for each piece that holds some of the ids."""
    pieces = located.pieces(layout)
    if len(pieces) and (pieces == pieces[0]).all():
        piece = int(pieces[0])
        return [(piece, located.ids - layout.starts[piece], np.arange(len(pieces)))]
    order = np.argsort(pieces, kind="stable")
    ordered = pieces[order]
    cuts = np.flatnonzero(np.diff(ordered)) + 1
    groups = np.split(order, cuts) if len(order) else []
    return [(int(pieces[g[0]]), located.ids[g] - layout.starts[pieces[g[0]]], g) for g in groups]


def _bytes(size: int) -> list[npt.NDArray[Any]]:
    return [aligned_bytes(size)]


def _files(pieces: list[npt.NDArray[Any]], mapped: list[Mapping], past_cache: bool) -> list[FileRows] | None:
    """The places of the pieces in their files; None if one isn't mapped, or isn't contiguous."""
    found = [FileRows.behind(one, mapped, past_cache) for one in pieces if one.flags.c_contiguous and one.nbytes]
    files = [one for one in found if one is not None]
    return files if len(files) == len(pieces) else None


def _one_view(pieces: list[npt.NDArray[Any]], layout: Layout) -> tuple[npt.NDArray[Any] | None, Ids | None]:
    """One flat array over all pieces, and what to add to a row id of each: a gather is then one np.take.

    The view spans the gaps between the pieces, too; indexes are only ever made inside a piece.
    """
    if not all(piece.flags.c_contiguous for piece in pieces):
        return None, None
    base, shift = _address_span(pieces)
    size = pieces[0].dtype.itemsize
    if (shift % size).any():
        return None, None
    flat = base[: len(base) // size * size].view(pieces[0].dtype)
    return flat, shift // size - layout.starts[:-1]


def _address_span(pieces: list[npt.NDArray[Any]]) -> tuple[npt.NDArray[np.uint8], Ids]:
    """The bytes from the lowest piece to the end of the highest, and where in them each piece begins."""
    addresses = np.array([piece.__array_interface__["data"][0] for piece in pieces], dtype=np.int64)
    filled = [i for i, piece in enumerate(pieces) if piece.nbytes]
    if not filled:
        return np.zeros(1, np.uint8), np.zeros(len(pieces), np.int64)
    low = int(addresses[filled].min())
    high = int(max(addresses[i] + pieces[i].nbytes for i in filled))
    addresses[[i for i, piece in enumerate(pieces) if not piece.nbytes]] = low
    return np.frombuffer(memoryview((ctypes.c_char * (high - low)).from_address(low)), np.uint8), addresses - low
