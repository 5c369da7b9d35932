"""The files' arrays behind a vaex dataset, found down its tree (renamed, sliced, concatenated, merged)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vaxseq.expressions.values import buffer_of, is_text
from vaxseq.frame.arrays import ArrayColumn
from vaxseq.frame.columns import ArrowColumn, Column, DictionaryColumn, NumberColumn, RangeColumn, SlicedColumn
from vaxseq.frame.direct_reads import exceeds_memory, mappings, outgrows_cache
from vaxseq.frame.mapped import Bitmaps, FixedWidth, Layout
from vaxseq.frame.remote import RemoteColumn, RemoteDataset
from vaxseq.frame.vaex_internals import (
    Concatenated,
    Dropped,
    Merged,
    Renamed,
    RowNumbers,
    Sliced,
    children,
    stored_column,
)


def raw_pieces(dataset: Any, name: str) -> list[Any]:
    """The arrays that hold column ``name``, in row order: ndarrays, Arrow arrays or vaex's lazy columns."""
    if isinstance(dataset, Renamed):
        return raw_pieces(dataset.original, dataset.reverse.get(name, name))
    if isinstance(dataset, Dropped):
        return raw_pieces(dataset.original, name)
    if isinstance(dataset, Merged):
        return raw_pieces(dataset.left if name in dataset.left else dataset.right, name)
    if isinstance(dataset, Concatenated):
        parts = [
            raw_pieces(one, name) for one in dataset.datasets if all(name in d for d in dataset.datasets) and len(one)
        ]
        if parts:
            return [piece for pieces in parts for piece in pieces]
    if isinstance(dataset, Sliced):
        return _cut(raw_pieces(dataset.original, name), dataset.start, dataset.end)
    column = stored_column(dataset, name)
    if isinstance(column, ArrayColumn):
        column = column.lists
    if isinstance(column, pa.ChunkedArray):
        return [chunk for chunk in column.chunks if len(chunk)] or [pa.array([], column.type)]
    return [column]


def dataset_files(dataset: Any) -> list[str]:
    """The files of a dataset, each once."""
    found: dict[str, None] = {}
    stack = [dataset]
    while stack:
        one = stack.pop()
        path = getattr(one, "path", None)
        if isinstance(path, str) and Path(path).is_file():
            found[path] = None
        stack += children(one)
    return list(found)


def _is_remote(dataset: Any) -> bool:
    return isinstance(dataset, RemoteDataset) or any(map(_is_remote, children(dataset)))


def _cut(pieces: list[Any], start: int, stop: int) -> list[Any]:
    kept, low = [], 0
    for piece in pieces:
        high = low + len(piece)
        if high > start and low < stop:
            a, b = max(start - low, 0), min(stop, high) - low
            if (a, b) != (0, len(piece)):
                counted = isinstance(piece, RowNumbers | RemoteColumn)
                piece = piece.trim(a, b) if counted else piece[a:b]
            kept.append(piece)
        low = high
    return kept or [pieces[0][0:0]]


class ColumnMaker:
    """Makes the Columns of one dataset; columns of equal piece lengths share a Layout."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        size = sum(Path(path).stat().st_size for path in dataset_files(dataset))
        large = exceeds_memory(size)
        self.past_cache = large and outgrows_cache(size)
        self.remote = _is_remote(dataset)
        self.on_disk = large and not self.remote
        self.large = large or self.remote
        self._mapped = mappings() if large else None
        self._layouts: dict[tuple[int, ...], Layout] = {}

    def column(self, name: str) -> Column:
        """The Column that reads physical column ``name``."""
        pieces = raw_pieces(self._dataset, name)
        layout = self._layout(tuple(len(piece) for piece in pieces))
        if all(isinstance(piece, np.ndarray) for piece in pieces):
            same = len({(piece.dtype, piece.shape[1:]) for piece in pieces}) == 1
            if same and pieces[0].dtype.kind in "biufMm" and pieces[0].dtype.isnative:
                return _numpy_column(pieces, layout)
        elif all(isinstance(piece, pa.Array) for piece in pieces):
            if all(piece.type == pieces[0].type for piece in pieces):
                return _arrow_column(pieces, layout)
        if len(pieces) == 1:
            if isinstance(pieces[0], RemoteColumn):
                return pieces[0]
            if isinstance(pieces[0], RowNumbers):
                return RangeColumn(pieces[0].start, pieces[0].step, pieces[0].dtype)
            return SlicedColumn(pieces[0])
        return SlicedColumn(self._dataset[name])

    def _layout(self, lengths: tuple[int, ...]) -> Layout:
        if lengths not in self._layouts:
            self._layouts[lengths] = Layout(lengths, self._mapped, self.past_cache)
        return self._layouts[lengths]


def _numpy_column(pieces: list[Any], layout: Layout) -> Column:
    mask = None
    if any(isinstance(piece, np.ma.MaskedArray) for piece in pieces):
        if pieces[0].ndim > 1:
            return SlicedColumn(pieces[0]) if len(pieces) == 1 else _masked_rows(pieces)
        mask = FixedWidth([np.ma.getmaskarray(piece) for piece in pieces], layout)
    return NumberColumn(FixedWidth([np.ma.getdata(piece) for piece in pieces], layout), None, mask, None)


def _masked_rows(pieces: list[Any]) -> Column:
    return SlicedColumn(np.ma.concatenate(pieces))


def _arrow_column(pieces: list[pa.Array], layout: Layout) -> Column:
    kind = pieces[0].type
    if pa.types.is_dictionary(kind) and is_text(kind.value_type):
        return _dictionary_column(pieces, layout)
    if pa.types.is_boolean(kind):
        values = Bitmaps([(piece.buffers()[1], piece.offset) for piece in pieces], layout)
        return NumberColumn(values, _validity(pieces, layout), None, kind)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return NumberColumn(FixedWidth([buffer_of(p) for p in pieces], layout), _validity(pieces, layout), None, kind)
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        code = f"{'M' if pa.types.is_timestamp(kind) else 'm'}8[{kind.unit}]"
        data = FixedWidth([buffer_of(piece.view(pa.int64())).view(code) for piece in pieces], layout)
        return NumberColumn(data, _validity(pieces, layout), None, kind)
    if pa.types.is_fixed_size_list(kind) and all(p.null_count == 0 and _solid(p) for p in pieces):
        arrays = [p.values.slice(p.offset * kind.list_size, len(p) * kind.list_size) for p in pieces]
        return NumberColumn(
            FixedWidth([buffer_of(a).reshape(-1, kind.list_size) for a in arrays], layout), None, None, None
        )
    return ArrowColumn(pieces, layout)


def _solid(piece: pa.Array) -> bool:
    kind = piece.type.value_type
    return bool((pa.types.is_integer(kind) or pa.types.is_floating(kind)) and piece.values.null_count == 0)


def _dictionary_column(pieces: list[pa.DictionaryArray], layout: Layout) -> Column:
    words, maps = pieces[0].dictionary, None
    if any(not piece.dictionary.equals(words) for piece in pieces[1:]):
        text = pa.large_string()
        words = pa.chunked_array([piece.dictionary.cast(text) for piece in pieces]).unique()
        words = words.combine_chunks() if isinstance(words, pa.ChunkedArray) else words
        place = {word: code for code, word in enumerate(words.to_pylist())}
        maps = [np.array([place[w] for w in piece.dictionary.to_pylist()], np.int32) for piece in pieces]
    codes = [piece.indices for piece in pieces]
    return DictionaryColumn(FixedWidth([buffer_of(c) for c in codes], layout), _validity(codes, layout), maps, words)


def _validity(pieces: list[pa.Array], layout: Layout) -> Bitmaps | None:
    if all(piece.buffers()[0] is None or piece.null_count == 0 for piece in pieces):
        return None
    return Bitmaps([(p.buffers()[0], p.offset) if p.buffers()[0] is not None else None for p in pieces], layout)
