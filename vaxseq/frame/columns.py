"""Physical columns as pieces of memory-mapped arrays: contiguous reads without a copy, gathers by row id."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vaxseq.expressions.values import Mask, Value, from_raw, masked

Ids = npt.NDArray[np.int64]


class Layout:
    """Where the pieces of a column begin; columns of one table share one Layout."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self.starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
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
        first = int(np.searchsorted(self.starts, start, side="right")) - 1
        found = []
        for piece in range(max(first, 0), self.pieces):
            low, high = int(self.starts[piece]), int(self.starts[piece + 1])
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


class Column(Protocol):
    """A physical column: blocks of it as Values, and as the raw arrays that vaex itself would see."""

    def read(self, start: int, stop: int) -> Value: ...

    def gather(self, located: Located) -> Value: ...

    def raw(self, start: int, stop: int) -> Any: ...

    def raw_gather(self, located: Located) -> Any: ...


class Fixed:
    """Fixed-width NumPy pieces of shape (rows, ...)."""

    def __init__(self, pieces: list[npt.NDArray[Any]], layout: Layout) -> None:
        self.pieces, self.layout = pieces, layout
        self.dtype, self.shape = pieces[0].dtype, pieces[0].shape[1:]
        self._view, self._shift = _one_view(pieces, layout) if len(pieces) > 1 and not self.shape else (None, None)

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        if len(self.pieces) == 1:
            return self.pieces[0][start:stop]
        parts = [self.pieces[piece][low:high] for piece, low, high in self.layout.spans(start, stop)]
        if not parts:
            return np.empty((0, *self.shape), self.dtype)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def gather(self, located: Located) -> npt.NDArray[Any]:
        if isinstance(located, LocatedRuns) and located.length > 1:
            runs = self._runs(located)
            if runs is not None:
                return runs
        # mode="clip" spares np.take a second buffer; ids are checked where they are made
        if len(self.pieces) == 1:
            return np.take(self.pieces[0], located.ids, axis=0, mode="clip")
        if self._view is not None and self._shift is not None:
            return np.take(self._view, located.ids + self._shift[located.pieces(self.layout)], mode="clip")
        out = np.empty((len(located.ids), *self.shape), self.dtype)
        for piece, rows, places in by_piece(located, self.layout):
            out[places] = np.take(self.pieces[piece], rows, axis=0, mode="clip")
        return out

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


def copy_runs(array: npt.NDArray[Any], starts: Ids, length: int) -> npt.NDArray[Any]:
    """Rows start, ..., start + length - 1 of a contiguous array for each start, end to end; each run one copy."""
    row_bytes = array.dtype.itemsize * int(np.prod(array.shape[1:], dtype=np.int64))
    run = np.dtype((np.void, row_bytes * length))
    places = np.ndarray((len(array) - length + 1,), run, array.reshape(-1).view(np.uint8).data, strides=(row_bytes,))
    # np.take would first lay all the overlapping runs out in memory
    return places[starts].view(array.dtype).reshape(-1, *array.shape[1:])


class Bits:
    """Arrow bitmaps, one a piece: an address and a bit offset, or None for all ones."""

    def __init__(self, bitmaps: list[tuple[pa.Buffer, int] | None], layout: Layout) -> None:
        self._bitmaps, self.layout = bitmaps, layout
        self._all_ones = np.array([bitmap is None for bitmap in bitmaps])
        bytes_of = [np.frombuffer(b[0], np.uint8) if b else np.full(1, 255, np.uint8) for b in bitmaps]
        self._bytes, self._held = bytes_of, bitmaps
        self._base, shift = _address_span(bytes_of)
        offsets = np.array([b[1] if b else 0 for b in bitmaps], dtype=np.int64)
        self._shift = shift * 8 + offsets - layout.starts[:-1]

    def read(self, start: int, stop: int) -> Mask:
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


class NumberColumn:
    """Numbers and times, of NumPy or Arrow pieces, with nulls as Arrow bitmaps or NumPy masks."""

    def __init__(self, data: Fixed | Bits, valid: Bits | None, mask: Fixed | None, arrow: pa.DataType | None) -> None:
        self._data, self._valid, self._mask, self._arrow = data, valid, mask, arrow
        self._as_it_is = isinstance(data, Fixed) and data.dtype != np.float16

    def read(self, start: int, stop: int) -> Value:
        missing = None
        if self._valid is not None:
            missing = ~self._valid.read(start, stop)
        elif self._mask is not None:
            missing = self._mask.read(start, stop)
        data = self._data.read(start, stop)
        if missing is None:
            return Value(data) if self._as_it_is else from_raw(data)
        return masked(data, missing)

    def gather(self, located: Located) -> Value:
        missing = None
        if self._valid is not None:
            missing = ~self._valid.gather(located)
        elif self._mask is not None:
            missing = self._mask.gather(located)
        data = self._data.gather(located)
        if missing is None:
            return Value(data) if self._as_it_is else from_raw(data)
        return masked(data, missing)

    def raw(self, start: int, stop: int) -> Any:
        valid = None if self._valid is None else self._valid.read(start, stop)
        mask = None if self._mask is None else self._mask.read(start, stop)
        return self._as_stored(self._data.read(start, stop), valid, mask)

    def raw_gather(self, located: Located) -> Any:
        valid = None if self._valid is None else self._valid.gather(located)
        mask = None if self._mask is None else self._mask.gather(located)
        return self._as_stored(self._data.gather(located), valid, mask)

    def _as_stored(self, data: npt.NDArray[Any], valid: Mask | None, mask: Mask | None) -> Any:
        if mask is not None:
            return np.ma.array(data, mask=mask)
        if self._arrow is None or data.ndim > 1:
            return data
        return pa.array(data, mask=None if valid is None else ~valid, from_pandas=False).cast(self._arrow)


class DictionaryColumn:
    """Arrow dictionary codes; every piece's codes are led to one common dictionary."""

    def __init__(
        self, codes: Fixed, valid: Bits | None, maps: list[npt.NDArray[np.int32]] | None, words: pa.Array
    ) -> None:
        self._codes, self._valid, self._words = codes, valid, words
        self._flat = None if maps is None else np.concatenate([*maps, np.zeros(1, np.int32)])
        if maps is not None:
            self._flat_starts = np.concatenate([[0], np.cumsum([len(one) for one in maps])])[:-1].astype(np.int64)

    def read(self, start: int, stop: int) -> Value:
        return Value(self.raw(start, stop))

    def gather(self, located: Located) -> Value:
        return Value(self.raw_gather(located))

    def raw(self, start: int, stop: int) -> Any:
        codes = self._codes.read(start, stop)
        valid = None if self._valid is None else self._valid.read(start, stop)
        if self._flat is not None:
            pieces = self._codes.layout.locate(np.arange(start, start + len(codes), dtype=np.int64))
            codes = self._mapped(codes, pieces)
        return self._array(codes, valid)

    def raw_gather(self, located: Located) -> Any:
        codes = self._codes.gather(located)
        valid = None if self._valid is None else self._valid.gather(located)
        if self._flat is not None:
            codes = self._mapped(codes, located.pieces(self._codes.layout))
        return self._array(codes, valid)

    def _mapped(self, codes: npt.NDArray[Any], pieces: Ids) -> npt.NDArray[np.int32]:
        assert self._flat is not None
        return np.take(self._flat, codes.astype(np.int64) + self._flat_starts[pieces], mode="clip")

    def _array(self, codes: npt.NDArray[Any], valid: Mask | None) -> pa.DictionaryArray:
        indices = pa.array(codes, mask=None if valid is None else ~valid)
        return pa.DictionaryArray.from_arrays(indices, self._words, safe=False)


class ArrowColumn:
    """Any other Arrow column (text, dates, decimals, lists), by slices and takes of its chunks."""

    def __init__(self, pieces: list[pa.Array], layout: Layout) -> None:
        self._pieces, self._layout = pieces, layout

    def read(self, start: int, stop: int) -> Value:
        return from_raw(self.raw(start, stop))

    def gather(self, located: Located) -> Value:
        return from_raw(self.raw_gather(located))

    def raw(self, start: int, stop: int) -> Any:
        parts = [self._pieces[piece].slice(low, high - low) for piece, low, high in self._layout.spans(start, stop)]
        return _one_array(parts, self._pieces[0].type)

    def raw_gather(self, located: Located) -> Any:
        parts, places = [], []
        for piece, rows, place in by_piece(located, self._layout):
            parts.append(self._pieces[piece].take(pa.array(rows)))
            places.append(place)
        if len(parts) < 2:
            return _one_array(parts, self._pieces[0].type)
        order = np.empty(len(located.ids), dtype=np.int64)
        order[np.concatenate(places)] = np.arange(len(order))
        return _one_array(parts, self._pieces[0].type).take(pa.array(order))


class RangeColumn:
    """A counted column: row i holds start + i * step."""

    def __init__(self, start: float, step: float, dtype: np.dtype[Any]) -> None:
        self._start, self._step, self._dtype = start, step, dtype

    def read(self, start: int, stop: int) -> Value:
        return Value(self.raw(start, stop))

    def gather(self, located: Located) -> Value:
        return Value(self.raw_gather(located))

    def raw(self, start: int, stop: int) -> Any:
        return self._at(np.arange(start, stop))

    def raw_gather(self, located: Located) -> Any:
        return self._at(located.ids)

    def _at(self, ids: Ids) -> npt.NDArray[Any]:
        return (self._start + ids * self._step).astype(self._dtype)


class SlicedColumn:
    """Whatever else vaex can slice (its lazy columns); a gather reads slice by slice."""

    def __init__(self, column: Any) -> None:
        self._column = column

    def read(self, start: int, stop: int) -> Value:
        return from_raw(_plain(self.raw(start, stop)))

    def gather(self, located: Located) -> Value:
        return from_raw(_plain(self.raw_gather(located)))

    def raw(self, start: int, stop: int) -> Any:
        if start == stop:  # vaex reads an end of 0 as "to the end", so an empty range is cut from a row
            return _plain(self._column[0:1])[0:0] if len(self._column) else _plain(self._column[0:0])
        return _plain(self._column[start:stop])

    def raw_gather(self, located: Located) -> Any:
        if len(located.ids) == 0:
            return self.raw(0, 0)
        order = np.argsort(located.ids, kind="stable")
        ordered = located.ids[order]
        blocks = np.flatnonzero(np.diff(ordered // 65_536)) + 1
        parts: list[Value] = []
        for ids in np.split(ordered, blocks):
            low = int(ids[0])
            parts.append(_take(self.raw(low, int(ids[-1]) + 1), ids - low))
        back = np.empty(len(order), dtype=np.int64)
        back[order] = np.arange(len(order))
        whole = parts[0] if len(parts) == 1 else _concatenate(parts)
        return _take(whole, back)


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


def _one_array(parts: list[pa.Array], kind: pa.DataType) -> pa.Array:
    if not parts:
        if isinstance(kind, pa.BaseExtensionType):  # pa.array makes no empty tensors
            return pa.ExtensionArray.from_storage(kind, pa.array([], kind.storage_type))
        return pa.array([], kind)
    if len(parts) == 1:
        return parts[0]
    if pa.types.is_dictionary(kind):
        return pa.chunked_array(parts).unify_dictionaries().combine_chunks()
    try:
        return pa.concat_arrays(parts)
    except pa.ArrowInvalid:  # more than 2 GB of text in one block
        return pa.concat_arrays([part.cast(pa.large_string()) for part in parts])


def _plain(block: Any) -> Any:
    if isinstance(block, (np.ndarray, pa.Array, pa.ChunkedArray)):
        return block
    if hasattr(block, "to_arrow"):
        return block.to_arrow()
    if hasattr(block, "__arrow_array__"):
        return pa.array(block)
    return np.asarray(block.to_numpy() if hasattr(block, "to_numpy") else block)


def _take(block: Any, ids: Ids) -> Any:
    return block.take(pa.array(ids)) if isinstance(block, (pa.Array, pa.ChunkedArray)) else block[ids]


def _concatenate(parts: list[Any]) -> Any:
    if isinstance(parts[0], (pa.Array, pa.ChunkedArray)):
        chunks = [c for part in parts for c in (part.chunks if isinstance(part, pa.ChunkedArray) else [part])]
        return _one_array(chunks, chunks[0].type)
    return np.ma.concatenate(parts) if any(np.ma.isMaskedArray(p) for p in parts) else np.concatenate(parts)
