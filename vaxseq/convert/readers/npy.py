"""NumPy files: .npy (one array, or a record array's fields) and .npz (arrays of equal length)."""

from __future__ import annotations

import os
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vaxseq.convert import storage
from vaxseq.convert.readers.arrays import arrow_type, to_arrow
from vaxseq.convert.readers.named_arrays import ArraysReader, StoredArray, refused
from vaxseq.dataset.reads import fill
from vaxseq.errors import SchemaError, SourceError, SourceNotFoundError

_DAMAGE = (OSError, ValueError, EOFError, KeyError, SyntaxError, MemoryError, OverflowError, NotImplementedError,
           TypeError, RuntimeError, tokenize.TokenError, zipfile.BadZipFile, zlib.error)  # fmt: skip


class NpyReader(ArraysReader):
    """The rows of an .npy file are read where they lie; the arrays of an .npz from their start, a block at a time."""

    name = "npy"
    suffixes = (".npy", ".npz")

    def find(self) -> list[StoredArray]:
        path = self.source.path or ""
        if storage.is_url(path):
            raise SourceError(
                f"{self.where}: a NumPy file is read at any place of it, so it can't be a URL. Copy it here first."
            )
        if not os.path.exists(path):
            raise SourceNotFoundError(f"{self.where}: no such file. Check the path.")
        try:
            if zipfile.is_zipfile(path):
                self._archive = zipfile.ZipFile(path)
                return [one for name in self._archive.namelist() for one in self._member(name)]
            array = np.load(path, mmap_mode="r", allow_pickle=False)  # checks the header; no row is read through it
            rows = _Rows(path, array)
            if array.dtype.names is None:
                return [self._stored("data", array.dtype, array.shape, rows)]
            return [
                self._stored(name, inner.base, (*array.shape, *inner.shape), partial(_field, rows, name))
                for name, inner in ((name, array.dtype[name]) for name in array.dtype.names)
            ]
        except _DAMAGE as error:
            if isinstance(error, SourceError | SchemaError):
                raise
            raise SourceError(
                f"{self.where}: can't read the NumPy file: {error}. It is damaged, or holds Python objects."
            ) from error

    def _member(self, member: str) -> Iterator[StoredArray]:
        with self._archive.open(member) as file:
            version = np.lib.format.read_magic(file)
            reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, columns_first, dtype = reader(file)
            offset = file.tell()
        name = member.removesuffix(".npy")
        if dtype.hasobject:
            yield refused((name,), int(shape[0]) if shape else 0, "Python objects, which aren't unpickled")
            return
        stream = _Member(self._archive, member, offset, shape, dtype, columns_first=columns_first)
        if dtype.names is None:
            yield self._stored(name, dtype, shape, stream.rows)
        else:
            for field in dtype.names:
                inner = dtype[field]
                yield self._stored(
                    f"{name}.{field}", inner.base, (*shape, *inner.shape), partial(_field, stream.rows, field)
                )

    def _stored(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...], rows: Any) -> StoredArray:
        where = f"{self.where}: {name!r}"
        if not shape:
            return refused((name,), 0, "a single value, no rows")
        base, inner = dtype.base, (*shape[1:], *dtype.shape)
        try:
            kind = arrow_type(base, inner, where)
        except SchemaError as error:
            return refused((name,), int(shape[0]), str(error).removeprefix(f"{where}: "))

        def read(start: int, stop: int) -> pa.Array:
            return to_arrow(rows(start, stop), None, where)

        return StoredArray((name,), int(shape[0]), kind, read, int(np.prod(inner, dtype=np.int64)) * base.itemsize)


def _field(rows: Any, name: str, start: int, stop: int) -> npt.NDArray[Any]:
    found: npt.NDArray[Any] = rows(start, stop)[name]
    return found


class _Rows:
    """Rows of an array in a file: read, because a map ends the process by a signal where the file is cut short."""

    def __init__(self, path: str, array: Any) -> None:
        self._path, self._dtype, self._shape = path, array.dtype, array.shape
        self._columns_first = array.flags.f_contiguous and not array.flags.c_contiguous
        self._offset = array.offset
        self._last: tuple[int, int, npt.NDArray[Any]] | None = None  # the fields of a record ask for the same rows

    def __call__(self, start: int, stop: int) -> npt.NDArray[Any]:
        if self._last is None or self._last[:2] != (start, stop):
            self._last = (start, stop, self._read(start, stop))
        return self._last[2]

    def _read(self, start: int, stop: int) -> npt.NDArray[Any]:
        width = int(np.prod(self._shape[1:], dtype=np.int64))
        with open(self._path, "rb", buffering=0) as file:
            if not self._columns_first:
                return self._run(file, start * width, (stop - start) * width).reshape(stop - start, *self._shape[1:])
            columns = [self._run(file, number * self._shape[0] + start, stop - start) for number in range(width)]
        return np.stack(columns, axis=1).reshape(stop - start, *self._shape[1:], order="F")

    def _run(self, file: Any, first: int, count: int) -> npt.NDArray[Any]:
        """Elements that lie side by side."""
        raw = np.empty(count * self._dtype.itemsize, np.uint8)
        if fill(file.fileno(), raw.data, self._offset + first * self._dtype.itemsize) < len(raw):
            raise EOFError(f"it ends before element {first + count:,}; it was cut short while it was read")
        return raw.view(self._dtype)


class _Member:
    """One array of an archive; going on where the last block ended costs nothing, going back begins anew."""

    def __init__(
        self, archive: zipfile.ZipFile, member: str, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any], *,
        columns_first: bool,
    ) -> None:  # fmt: skip
        self._archive, self._member, self._offset = archive, member, offset
        self._shape, self._dtype = shape, dtype
        self._whole: npt.NDArray[Any] | None = None
        self._columns_first = columns_first and len(shape) > 1
        self._file: Any = None

    def rows(self, start: int, stop: int) -> npt.NDArray[Any]:
        if self._columns_first:  # its rows lie everywhere
            if self._whole is None:
                with self._archive.open(self._member) as file:
                    self._whole = np.lib.format.read_array(file, allow_pickle=False)
            return self._whole[start:stop]
        size = int(np.prod(self._shape[1:], dtype=np.int64)) * self._dtype.itemsize
        if self._file is None:
            self._file = self._archive.open(self._member)
        self._file.seek(self._offset + start * size)
        raw = self._file.read((stop - start) * size)
        if len(raw) < (stop - start) * size:
            raise EOFError(f"{self._member!r} is cut off")
        return np.frombuffer(raw, self._dtype).reshape(stop - start, *self._shape[1:])
