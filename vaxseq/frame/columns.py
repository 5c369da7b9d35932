"""Physical columns as pieces of memory-mapped arrays: contiguous reads without a copy, gathers by row id."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vaxseq.expressions.values import Mask, Value, from_raw, masked
from vaxseq.frame.fetched import Fetched, Wanted
from vaxseq.frame.mapped import Bitmaps, FixedWidth, Ids, Layout, Located, by_piece


class Column(Protocol):
    """A physical column: blocks of it as Values, and as the raw arrays that vaex itself would see.

    ``hint`` says that rows will be read; ``wanted``, what is to be fetched for them together with other columns'.
    """

    def hint(self, start: int, stop: int) -> None: ...

    def wanted(self, start: int, stop: int) -> list[Wanted]: ...

    def read(self, start: int, stop: int, fetched: Fetched | None = None) -> Value: ...

    def gather(self, located: Located) -> Value: ...

    def raw(self, start: int, stop: int, fetched: Fetched | None = None) -> Any: ...

    def raw_gather(self, located: Located) -> Any: ...


class NumberColumn:
    """Numbers and times, of NumPy or Arrow pieces, with nulls as Arrow bitmaps or NumPy masks."""

    def __init__(
        self, data: FixedWidth | Bitmaps, valid: Bitmaps | None, mask: FixedWidth | None, arrow: pa.DataType | None
    ) -> None:
        self._data, self._valid, self._mask, self._arrow = data, valid, mask, arrow
        self._as_it_is = isinstance(data, FixedWidth) and data.dtype != np.float16

    def hint(self, start: int, stop: int) -> None:
        if isinstance(self._data, FixedWidth):
            self._data.hint(start, stop)

    def wanted(self, start: int, stop: int) -> list[Wanted]:
        parts = [part for part in (self._data, self._mask) if isinstance(part, FixedWidth)]
        return [one for part in parts for one in part.wanted(start, stop)]

    def read(self, start: int, stop: int, fetched: Fetched | None = None) -> Value:
        missing = None
        if self._valid is not None:
            missing = ~self._valid.read(start, stop)
        elif self._mask is not None:
            missing = self._mask.read(start, stop, fetched)
        data = self._data.read(start, stop, fetched)
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

    def raw(self, start: int, stop: int, fetched: Fetched | None = None) -> Any:
        valid = None if self._valid is None else self._valid.read(start, stop)
        mask = None if self._mask is None else self._mask.read(start, stop, fetched)
        return self._as_stored(self._data.read(start, stop, fetched), valid, mask)

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
        self, codes: FixedWidth, valid: Bitmaps | None, maps: list[npt.NDArray[np.int32]] | None, words: pa.Array
    ) -> None:
        self._codes, self._valid, self._words = codes, valid, words
        self._flat = None if maps is None else np.concatenate([*maps, np.zeros(1, np.int32)])
        if maps is not None:
            self._flat_starts = np.concatenate([[0], np.cumsum([len(one) for one in maps])])[:-1].astype(np.int64)

    def hint(self, start: int, stop: int) -> None:
        self._codes.hint(start, stop)

    def wanted(self, start: int, stop: int) -> list[Wanted]:
        return self._codes.wanted(start, stop)

    def read(self, start: int, stop: int, fetched: Fetched | None = None) -> Value:
        return Value(self.raw(start, stop, fetched))

    def gather(self, located: Located) -> Value:
        return Value(self.raw_gather(located))

    def raw(self, start: int, stop: int, fetched: Fetched | None = None) -> Any:
        codes = self._codes.read(start, stop, fetched)
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

    def hint(self, start: int, stop: int) -> None:
        """Its rows stay mapped."""

    def wanted(self, start: int, stop: int) -> list[Wanted]:
        return []

    def read(self, start: int, stop: int, fetched: Fetched | None = None) -> Value:
        return from_raw(self.raw(start, stop))

    def gather(self, located: Located) -> Value:
        return from_raw(self.raw_gather(located))

    def raw(self, start: int, stop: int, fetched: Fetched | None = None) -> Any:
        parts = [self._pieces[piece].slice(low, high - low) for piece, low, high in self._layout.spans(start, stop)]
        return one_array(parts, self._pieces[0].type)

    def raw_gather(self, located: Located) -> Any:
        parts, places = [], []
        for piece, rows, place in by_piece(located, self._layout):
            parts.append(self._pieces[piece].take(pa.array(rows)))
            places.append(place)
        if len(parts) < 2:
            return one_array(parts, self._pieces[0].type)
        order = np.empty(len(located.ids), dtype=np.int64)
        order[np.concatenate(places)] = np.arange(len(order))
        return one_array(parts, self._pieces[0].type).take(pa.array(order))


class RangeColumn:
    """A counted column: row i holds start + i * step."""

    def __init__(self, start: float, step: float, dtype: np.dtype[Any]) -> None:
        self._start, self._step, self._dtype = start, step, dtype

    def hint(self, start: int, stop: int) -> None:
        """Its rows stay mapped."""

    def wanted(self, start: int, stop: int) -> list[Wanted]:
        return []

    def read(self, start: int, stop: int, fetched: Fetched | None = None) -> Value:
        return Value(self.raw(start, stop))

    def gather(self, located: Located) -> Value:
        return Value(self.raw_gather(located))

    def raw(self, start: int, stop: int, fetched: Fetched | None = None) -> Any:
        return self._at(np.arange(start, stop))

    def raw_gather(self, located: Located) -> Any:
        return self._at(located.ids)

    def _at(self, ids: Ids) -> npt.NDArray[Any]:
        return (self._start + ids * self._step).astype(self._dtype)


class SlicedColumn:
    """Whatever else vaex can slice (its lazy columns); a gather reads slice by slice."""

    def __init__(self, column: Any) -> None:
        self._column = column

    def hint(self, start: int, stop: int) -> None:
        """Its rows stay mapped."""

    def wanted(self, start: int, stop: int) -> list[Wanted]:
        return []

    def read(self, start: int, stop: int, fetched: Fetched | None = None) -> Value:
        return from_raw(_plain(self.raw(start, stop)))

    def gather(self, located: Located) -> Value:
        return from_raw(_plain(self.raw_gather(located)))

    def raw(self, start: int, stop: int, fetched: Fetched | None = None) -> Any:
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


def one_array(parts: list[pa.Array], kind: pa.DataType) -> pa.Array:
    """Arrays of one type end to end."""
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
        return one_array(chunks, chunks[0].type)
    return np.ma.concatenate(parts) if any(np.ma.isMaskedArray(p) for p in parts) else np.concatenate(parts)
