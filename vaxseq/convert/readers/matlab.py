"""MATLAB files: version 7.3, which is HDF5, and the versions before it through SciPy.

MATLAB counts a matrix's rows along its first dimension and writes it column by column; HDF5 names its dimensions the
other way round. Source: https://www.mathworks.com/help/matlab/import_export/mat-file-versions.html
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vaxseq.convert import storage
from vaxseq.convert.readers.arrays import arrow_type, to_arrow
from vaxseq.convert.readers.base import Source
from vaxseq.convert.readers.named_arrays import ArraysReader, StoredArray, refused
from vaxseq.dataset.hdf5_probe import check_files
from vaxseq.dataset.notice import Notice
from vaxseq.errors import MissingExtraError, SchemaError, SourceError, SourceNotFoundError

_DEPTH = 8
_MARK = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class Matrix:
    """An array as MATLAB sees it; ``block(axis, start, stop)`` gives a part of it along one dimension."""

    path: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    block: Callable[[int, int, int], npt.NDArray[Any]]

    def long_axes(self) -> list[int]:
        """The dimensions that have more than one entry."""
        return [axis for axis, size in enumerate(self.shape) if size != 1]


class MatlabReader(ArraysReader):
    """Variables and fields of structs; a vector is a column whichever way it lies."""

    name = "matlab"
    suffixes = (".mat",)
    options = {"rows": None, "allow_external": False}
    separator = "."

    def find(self) -> list[StoredArray]:
        path = self.source.path or ""
        remote = storage.is_url(path)
        if not remote and not os.path.exists(path):
            raise SourceNotFoundError(f"{self.where}: no such file. Check the path.")
        self._turned: list[str] = []
        file = storage.open_bytes(path)
        if _is_hdf5(file):
            self._file = h5py.File(file, "r")
            found = list(_in_hdf5(self._file, (), 0))
        else:
            with file:
                found = list(self._in_old(file))
        return self._laid_out(found)

    @classmethod
    def check(cls, sources: Sequence[Source], options: Mapping[str, Any]) -> None:
        """Damage can make the HDF5 library loop for ever, so another process tries first."""
        paths = [one.path for one in sources if one.path is not None and not storage.is_url(one.path)]
        new = []
        for path in paths:
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    new += [path] if _is_hdf5(file) else []
        check_files(new, allow_external=options.get("allow_external") is True)

    @property
    def notices(self) -> list[Notice]:
        turned = [Notice(name, "its rows lie along another dimension than the first") for name in self._turned]
        return [*super().notices, *turned]

    def _in_old(self, file: Any) -> Iterator[Matrix | StoredArray]:
        try:
            from scipy.io import loadmat
        except ImportError as error:
            raise MissingExtraError(
                f"{self.where}: a MATLAB file before version 7.3 needs scipy. pip install 'vaxseq[matlab]'"
            ) from error
        try:
            held = loadmat(file, mat_dtype=True)
        except Exception as error:  # SciPy lets whatever the damaged bytes lead to come through
            raise SourceError(
                f"{self.where}: can't read the MATLAB file: {type(error).__name__}: {error}. It is damaged or of "
                "another kind."
            ) from error
        for name, value in held.items():
            if not name.startswith("__"):
                yield from _in_memory(value, (name,))

    def _laid_out(self, found: list[Matrix | StoredArray]) -> list[StoredArray]:
        """Each array with its rows along the dimension that has the length of the vectors."""
        vectors = [max(one.shape) for one in found if isinstance(one, Matrix) and len(one.long_axes()) == 1]
        vectors += [one.rows for one in found if isinstance(one, StoredArray) and one.reason is None and one.rows > 1]
        firsts = [one.shape[0] for one in found if isinstance(one, Matrix) and len(one.long_axes()) > 1]
        length = Counter(vectors or firsts or [1]).most_common(1)[0][0]
        columns = []
        for one in found:
            if isinstance(one, StoredArray):
                columns.append(one)
                continue
            axes = one.long_axes()
            fitting = [axis for axis in axes if one.shape[axis] == length]
            axis = axes[0] if len(axes) == 1 else fitting[0] if fitting else 0
            if len(axes) > 1 and axis != 0:
                self._turned.append(self.separator.join(one.path))
            columns.append(_column(one, axis if axes else 0, self.where))
        return columns


def _is_hdf5(file: Any) -> bool:
    """Whether the format's mark stands at the start, or after MATLAB's own header."""
    found = False
    for offset in (0, 512, 1024, 2048):
        file.seek(offset)
        found = found or file.read(len(_MARK)) == _MARK
    file.seek(0)
    return found


def _column(one: Matrix, axis: int, where: str) -> StoredArray:
    shape = tuple(size for place, size in enumerate(one.shape) if place != axis and size != 1)
    at = f"{where}: {'.'.join(one.path)!r}"
    try:
        kind = arrow_type(one.dtype, shape, at)
    except SchemaError as error:
        return refused(one.path, one.shape[axis], str(error).removeprefix(f"{at}: "))

    def read(start: int, stop: int) -> pa.Array:
        block = np.moveaxis(one.block(axis, start, stop), axis, 0)
        return to_arrow(np.ascontiguousarray(block).reshape(stop - start, *shape).astype(one.dtype), None, at)

    return StoredArray(one.path, one.shape[axis], kind, read, int(np.prod(shape, dtype=np.int64)) * one.dtype.itemsize)


def _in_hdf5(group: h5py.Group, path: tuple[str, ...], depth: int) -> Iterator[Matrix | StoredArray]:
    for name, one in group.items():
        here = (*path, name)
        if name.startswith("#"):  # where cells and objects are kept
            continue
        kind = one.attrs.get("MATLAB_class", b"")
        kind = kind.decode() if isinstance(kind, bytes) else str(kind)
        if isinstance(one, h5py.Group):
            if "MATLAB_sparse" in one.attrs:
                yield refused(here, int(one.attrs["MATLAB_sparse"]), "a sparse matrix can't be converted; save full(x)")
            elif depth < _DEPTH:
                yield from _in_hdf5(one, here, depth + 1)
        elif "MATLAB_empty" in one.attrs or not one.shape:
            continue
        elif kind == "char":
            yield _texts(here, _characters(one[()]))
        elif h5py.check_ref_dtype(one.dtype) is not None:
            yield _cells(here, [_referred(group.file, ref) for ref in np.ravel(one[()])])
        else:
            dtype = np.dtype(bool) if kind == "logical" else one.dtype
            yield Matrix(here, tuple(one.shape[::-1]), dtype, partial(_hdf5_block, one))


def _hdf5_block(dataset: h5py.Dataset, axis: int, start: int, stop: int) -> npt.NDArray[Any]:
    place = dataset.ndim - 1 - axis
    found: npt.NDArray[Any] = dataset[tuple(slice(start, stop) if one == place else slice(None)
                                            for one in range(dataset.ndim))]  # fmt: skip
    return found.T


def _characters(codes: npt.NDArray[Any]) -> list[str]:
    """Rows of a character matrix, which HDF5 holds column by column."""
    rows = codes.reshape(codes.shape[0], -1).T
    return [row.astype("<u2").tobytes().decode("utf-16-le", "replace").rstrip("\0 ") for row in rows]


def _referred(file: h5py.File, reference: Any) -> Any:
    """What a cell holds: a text, a number, or None for anything else."""
    one = file[reference] if reference else None
    if not isinstance(one, h5py.Dataset):
        return None
    kind = one.attrs.get("MATLAB_class", b"")
    if kind in (b"char", "char"):
        return "" if "MATLAB_empty" in one.attrs else _characters(one[()])[0]
    return one[()].ravel()[0].item() if one.size == 1 and one.dtype.kind in "biuf" else None


def _in_memory(value: Any, path: tuple[str, ...]) -> Iterator[Matrix | StoredArray]:
    if not isinstance(value, np.ndarray):
        rows = int(value.shape[0]) if hasattr(value, "shape") and value.shape else 1
        yield refused(path, rows, f"a {type(value).__name__} can't be converted; save its columns as full matrices")
    elif value.dtype.names is not None:
        for name in value.dtype.names:
            inner = value[name]
            if inner.size == 1:
                yield from _in_memory(inner.ravel()[0], (*path, name))
            else:
                yield _cells((*path, name), [_held(one) for one in inner.ravel()])
    elif value.dtype.kind == "O":
        yield _cells(path, [_held(one) for one in value.ravel()])
    elif value.dtype.kind == "U":
        yield _texts(path, [str(one).rstrip() for one in value.ravel()])
    elif value.size:
        yield Matrix(path, value.shape, value.dtype, partial(_memory_block, value))


def _memory_block(value: npt.NDArray[Any], axis: int, start: int, stop: int) -> npt.NDArray[Any]:
    return value[tuple(slice(start, stop) if one == axis else slice(None) for one in range(value.ndim))]


def _held(one: Any) -> Any:
    if isinstance(one, np.ndarray) and one.dtype.kind == "U":
        return str(one.ravel()[0]) if one.size else ""
    return one.ravel()[0].item() if isinstance(one, np.ndarray) and one.size == 1 and one.dtype.kind in "biuf" else None


def _cells(path: tuple[str, ...], values: list[Any]) -> StoredArray:
    if values and all(isinstance(value, str) for value in values):
        return _texts(path, values)
    if values and all(isinstance(value, bool | int | float) for value in values):
        numbers = np.array(values)
        return StoredArray(path, len(values), arrow_type(numbers.dtype, (), "cell"),
                      lambda start, stop: to_arrow(numbers[start:stop], None, "cell"))  # fmt: skip
    return refused(path, len(values), "cells that hold neither texts nor single numbers can't be converted")


def _texts(path: tuple[str, ...], words: list[str]) -> StoredArray:
    return StoredArray(path, len(words), pa.string(), lambda start, stop: pa.array(words[start:stop], pa.string()), 32)
