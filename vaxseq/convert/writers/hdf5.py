"""Contiguous HDF5 in vaex's layout, so that vaex and NumPy memory-map it.

/table/columns/<name>/data, with `mask` (True: missing) beside it; text as `data` (bytes) and `indices` (offsets) with
`null_bitmap`; a dictionary as groups `indices` and `dictionary`. Source: vaex/hdf5/dataset.py of vaex-hdf5 0.15.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.convert.type_promotion import is_text
from vaxseq.convert.writers.base import Tables, Writer
from vaxseq.convert.writers.behind import WriteBehind
from vaxseq.dataset.checksums import StretchChecksums, seal_file
from vaxseq.dataset.hdf5_probe import trust
from vaxseq.dataset.schema import array_shape, type_name
from vaxseq.errors import SchemaError


class Hdf5Writer(Writer):
    """Numbers, text, instants and durations, missing values of each, arrays of numbers."""

    name = "hdf5"
    suffixes = (".hdf5", ".h5")

    @classmethod
    def kind(cls, kind: pa.DataType, column: str) -> pa.DataType:
        if pa.types.is_null(kind):
            return pa.float64()
        if pa.types.is_timestamp(kind):
            return pa.timestamp(kind.unit)
        if pa.types.is_date(kind):
            return pa.timestamp("s")
        if pa.types.is_time(kind):
            return pa.duration(kind.unit)
        if pa.types.is_float16(kind):
            return pa.float32()
        if pa.types.is_decimal(kind):
            if kind.scale == 0 and kind.precision <= 18:
                return pa.int64()
            if kind.precision <= 15:
                return pa.float64()  # 15 digits survive the way through a float64
            raise SchemaError(
                f"column {column!r}: HDF5 can't hold {type_name(kind)} exactly; got {kind.precision} digits, "
                "expected up to 15. "
                f"Choose an .arrow target, or declare the column as text or float64 in schema=."
            )
        shape, inner = array_shape(kind)
        if shape and pa.types.is_float16(inner):
            for size in reversed(shape):
                inner = pa.list_(pa.float32() if not pa.types.is_fixed_size_list(inner) else inner, size)
            return inner
        return kind

    @classmethod
    def write(cls, path: Path, schema: pa.Schema, tables: Tables, rows: int, metadata: Mapping[str, str]) -> None:
        missing, text_bytes = _measure(schema, tables)
        commas = any("," in name for name in schema.names)
        with h5py.File(path, "w", libver=("earliest", "v110")) as file, WriteBehind(path) as behind:
            for key, value in metadata.items():
                file.attrs[key] = value
            file.create_group("table").attrs["type"] = "table"
            columns = _in_order(file["table"], "columns") if commas else file.create_group("table/columns")
            order = []
            parts: list[_Column] = []
            for number, field in enumerate(schema):
                plain = field.name.replace("_", "a").isalnum() and field.name.isascii()
                group_name = field.name if plain else f"column_{number}"
                while group_name in columns or (not plain and group_name in schema.names):
                    group_name += "_"
                encoded = pa.types.is_dictionary(field.type) and not missing[field.name] and plain and rows
                make = _Encoded if encoded else _Text if is_text(field.type) else _Numbers
                group = columns.create_group(group_name)
                if not plain:  # HDF5 and vaex give '/' and '.' meanings of their own
                    group.attrs["alias"] = field.name
                parts.append(make(group, field, rows, bool(missing[field.name]), text_bytes.get(field.name, 0)))
                order.append(field.name)
            if not commas:
                columns.attrs["column_order"] = ",".join(order)
            for table in tables():
                for part in parts:
                    part.add(table[part.name])
                behind.grew(table.nbytes)
            for part in parts:
                part.finish()
            sums = {number: one for part in parts for number, one in part.checksums()}
        seal_file(path, sums)
        trust(path)


def _measure(schema: pa.Schema, tables: Tables) -> tuple[dict[str, int], dict[str, int]]:
    """Missing values (elements, in an array column) and bytes of text by column."""
    missing = dict.fromkeys(schema.names, 0)
    sizes: dict[str, int] = {}
    text = {field.name for field in schema if is_text(field.type)}
    for table in tables():
        for name in schema.names:
            column = table[name]
            missing[name] += column.null_count + sum(_inner_nulls(chunk) for chunk in column.chunks)
            if name in text:
                sizes[name] = sizes.get(name, 0) + int(pc.sum(pc.binary_length(_plain(column))).as_py() or 0)
    return missing, sizes


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column


def _inner_nulls(array: pa.Array) -> int:
    if not pa.types.is_fixed_size_list(array.type):
        return 0
    width = array.type.list_size
    inner = array.values.slice(array.offset * width, len(array) * width)
    return int(inner.null_count) + _inner_nulls(inner)


def _in_order(parent: h5py.Group, name: str) -> h5py.Group:
    """A group whose members keep the order in which they are made: vaex splits its own list of names at commas."""
    how = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
    how.set_link_creation_order(h5py.h5p.CRT_ORDER_TRACKED | h5py.h5p.CRT_ORDER_INDEXED)
    how.set_obj_track_times(False)  # the same rows make the same bytes
    h5py.h5g.create(parent.id, name.encode(), gcpl=how)
    return parent[name]


class _Dataset:
    """A contiguous dataset that is filled from the front, and hashed while its values are in the cache."""

    def __init__(self, group: h5py.Group, name: str, shape: tuple[int, ...], dtype: Any) -> None:
        made = group.create_dataset(name, shape, dtype, track_times=False)
        self.attrs, self._made, self._filled = made.attrs, made, 0
        if made.size:  # a contiguous dataset has no place in the file before a value is written
            first = (0,) * len(shape)
            made[first] = made[first]
        self._sums = StretchChecksums(made.id.get_offset() or 0)

    def append(self, values: npt.NDArray[Any]) -> None:
        """The next values along the first axis."""
        values = np.ascontiguousarray(values, self._made.dtype)
        if values.size:
            self._made[self._filled : self._filled + len(values)] = values
            self._filled += len(values)
            self._sums.add(values.view(np.uint8).data)

    def checksums(self) -> dict[int, int]:
        return self._sums.chunks()


class _Column:
    """One column's datasets."""

    def __init__(self, group: h5py.Group, field: pa.Field, rows: int, missing: bool, text_bytes: int) -> None:
        self.group, self.name, self.type, self.rows = group, field.name, field.type, rows
        self._datasets: list[_Dataset] = []
        self.make(missing, text_bytes)

    def make(self, missing: bool, text_bytes: int) -> None:
        raise NotImplementedError

    def add(self, column: pa.ChunkedArray) -> None:
        for chunk in column.chunks:
            if len(chunk):
                self.put(chunk)

    def put(self, chunk: pa.Array) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        return

    def checksums(self) -> Iterator[tuple[int, int]]:
        """The hash of each chunk of the file that only one of its datasets fills."""
        for one in self._datasets:
            yield from one.checksums().items()

    def dataset(self, name: str, shape: tuple[int, ...], dtype: Any) -> _Dataset:
        self._datasets.append(_Dataset(self.group, name, shape, dtype))
        return self._datasets[-1]


class _Numbers(_Column):
    def make(self, missing: bool, text_bytes: int) -> None:
        shape, kind = array_shape(self.type)
        instant = pa.types.is_timestamp(kind) or pa.types.is_duration(kind)
        dtype = np.dtype(np.int64) if instant else np.dtype(kind.to_pandas_dtype())
        self.data = self.dataset("data", (self.rows, *shape), dtype)
        if instant:
            self.data.attrs["dtype"] = f"{'datetime64' if pa.types.is_timestamp(kind) else 'timedelta64'}[{kind.unit}]"
        self.mask = self.dataset("mask", (self.rows, *shape), bool) if missing else None

    def put(self, chunk: pa.Array) -> None:
        values, absent = _flat(chunk)
        shape = (len(chunk), *array_shape(self.type)[0])
        self.data.append(values.reshape(shape))
        if self.mask is not None:
            self.mask.append(absent.reshape(shape))


def _flat(array: pa.Array) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """All elements in C order (0 under a missing one), and which are missing."""
    if pa.types.is_fixed_size_list(array.type):
        width = array.type.list_size
        values, absent = _flat(array.values.slice(array.offset * width, len(array) * width))
        if array.null_count:
            absent = absent | np.repeat(np.asarray(array.is_null()), len(values) // len(array))
            values = np.where(absent, values.dtype.type(0), values)
        return values, absent
    absent = np.asarray(array.is_null(), dtype=bool) if array.null_count else np.zeros(len(array), bool)
    if pa.types.is_timestamp(array.type) or pa.types.is_duration(array.type):
        array = array.view(pa.int64())
    if array.null_count:
        array = array.fill_null(False if pa.types.is_boolean(array.type) else 0)
    return np.asarray(array.to_numpy(zero_copy_only=False)), absent


class _Text(_Column):
    def make(self, missing: bool, text_bytes: int) -> None:
        self.data = self.dataset("data", (max(text_bytes, 1),), "S1")
        self.data.attrs["dtype"] = "str"
        self.offsets = self.dataset("indices", (self.rows + 1,), "i4" if text_bytes < 2**31 else "i8")
        self.offsets.append(np.zeros(1))
        self.at = self.end = 0  # rows, bytes
        self.bits = np.zeros(self.rows, bool) if missing else None

    def put(self, chunk: pa.Array) -> None:
        words = chunk.cast(pa.large_string())
        raw = np.frombuffer(words.buffers()[1], np.int64, len(words) + 1, words.offset * 8)
        first, last = int(raw[0]), int(raw[-1])
        if words.buffers()[2] is not None and last > first:
            self.data.append(np.frombuffer(words.buffers()[2], "S1", last - first, first))
        self.offsets.append(raw[1:] - first + self.end)
        self.end += last - first
        if self.bits is not None:
            self.bits[self.at : self.at + len(words)] = np.asarray(words.is_valid(), dtype=bool)
        self.at += len(words)

    def finish(self) -> None:
        if self.bits is not None:  # one bit a row, least significant first, as in Arrow
            packed = np.packbits(self.bits, bitorder="little")
            self.dataset("null_bitmap", packed.shape, "u1").append(packed)


class _Encoded(_Column):
    def make(self, missing: bool, text_bytes: int) -> None:
        self.group.attrs["type"] = "dictionary_encoded"
        indices = self.group.create_group("indices")
        self.codes = _Numbers(indices, pa.field("indices", pa.int32()), self.rows, False, 0)
        self._datasets = self.codes._datasets
        self.words: pa.Array = pa.array([], pa.string())

    def put(self, chunk: pa.Array) -> None:
        self.codes.add(pa.chunked_array([chunk.indices]))
        self.words = chunk.dictionary

    def finish(self) -> None:
        size = int(pc.sum(pc.binary_length(self.words)).as_py() or 0)
        words = _Text(
            self.group.create_group("dictionary"), pa.field("dictionary", pa.string()), len(self.words), False, size
        )
        words.add(pa.chunked_array([self.words]))
        words.finish()
