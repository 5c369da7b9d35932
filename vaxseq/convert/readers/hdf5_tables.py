"""HDF5 datasets as columns: plain arrays, compound ones field by field, pandas' and PyTables' tables."""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vaxseq.convert.readers.arrays import to_arrow
from vaxseq.convert.readers.conventions import Convention, convention
from vaxseq.convert.readers.named_arrays import StoredArray, refused
from vaxseq.errors import SchemaError

_TIME = "time of PyTables"
_DIMENSION = "This is a netCDF dimension but not a netCDF variable"  # what netCDF-4 writes for a mere length
Rows = Callable[[int, int], npt.NDArray[Any]]


def columns_of(dataset: h5py.Dataset, path: tuple[str, ...], where: str) -> Iterator[StoredArray]:
    """The columns of one dataset."""
    if not dataset.shape or str(_plain(dataset.attrs.get("NAME", ""))).startswith(_DIMENSION):
        return
    rows = int(dataset.shape[0])
    try:
        dtype = dtype_of(dataset)
    except TypeError as error:
        yield refused(path, rows, f"{error}")
        return
    if dtype.names is None:
        yield _column(path, rows, dtype, dataset.shape[1:], partial(_rows_of, dataset), _attributes(dataset), where)
    elif len(dataset.shape) > 1:
        yield refused(path, rows, f"records in an array of shape {dataset.shape}")
    else:
        reader = _Records(dataset, dtype)
        yield from _fields(path, rows, dtype, reader, dict(_attributes(dataset)), where)


def _fields(
    path: tuple[str, ...], rows: int, dtype: np.dtype[Any], reader: _Records, attributes: dict[str, Any], where: str,
    inside: tuple[str, ...] = (),
) -> Iterator[StoredArray]:  # fmt: skip
    for name in dtype.names or ():
        kind, shape = dtype[name].base, dtype[name].shape
        here = (*inside, name)
        if kind.names is not None and not shape:
            yield from _fields(path, rows, kind, reader, attributes, where, here)
            continue
        read = partial(reader.field, here)
        if _plain(attributes.get(f"{name}_meta")) == "category":
            yield refused((*path, *here), rows, "pandas keeps its categories apart; write the frame with to_parquet()")
            continue
        blocks = block_names(attributes.get(f"{name}_kind")) if len(here) == 1 else None
        if blocks is not None and kind.kind == "S":
            read = partial(_without_nan, read)
        if blocks is not None and len(shape) == 1 and len(blocks) == shape[0]:  # pandas: columns of one type as a block
            for place, title in enumerate(blocks):
                told = {"dtype": _plain(attributes.get(f"{name}_dtype"))}
                yield _column((*path, title), rows, kind, (), partial(_nth, read, place), told, where)
            continue
        title = str(blocks[0]) if blocks is not None and len(blocks) == 1 and not shape else ".".join(here)
        named = str(_plain(attributes.get(f"{name}_{'dtype' if blocks is not None else 'kind'}")) or "")
        told = {"dtype": named} if named.startswith("datetime64") else {}
        yield _column((*path, title), rows, kind, shape, read, told, where)


def _column(
    path: tuple[str, ...], rows: int, dtype: np.dtype[Any], shape: tuple[int, ...], read: Rows,
    attributes: dict[str, Any], where: str,
) -> StoredArray:  # fmt: skip
    at = f"{where}: {'/'.join(path)!r}"
    named = str(_plain(attributes.get("dtype")) or "")
    if named.startswith(("datetime64", "timedelta64")) and dtype.itemsize == 8:
        dtype = np.dtype(named)
        read = partial(_viewed, read, dtype)
    told = dict(dtype.metadata or {})
    if (time := told.get(_TIME)) is not None and not shape:
        dtype, read = np.dtype(f"M8[{time}]"), partial(_moments, read, time)
    if (words := h5py.check_enum_dtype(dtype)) is not None and dtype != np.dtype(bool):
        return _words_of_enum(path, rows, shape, read, words)
    if h5py.check_ref_dtype(dtype) is not None:
        return refused(path, rows, "references to other objects can't be converted")
    if h5py.check_string_dtype(dtype) is None and h5py.check_vlen_dtype(dtype) is not None:
        return refused(path, rows, "arrays of any length can't be converted")
    if dtype.kind == "V":
        return refused(path, rows, f"{dtype} can't be converted")
    if dtype == np.dtype("S1") and len(shape) == 1 and shape[0] > 1:  # netCDF's characters
        dtype, read, shape = np.dtype(f"S{shape[0]}"), partial(_joined, read), ()
    said = convention(attributes, dtype) if dtype.kind in "iuf" else Convention()
    try:
        kind = said.kind(dtype, shape, at)
    except SchemaError as error:
        return refused(path, rows, str(error).removeprefix(f"{at}: "))
    size = int(np.prod(shape, dtype=np.int64)) * (dtype.itemsize if dtype.kind != "O" else 32)
    return StoredArray(path, rows, kind, partial(_values, read, said, at), size, said.unit)


def _values(read: Rows, said: Convention, where: str, start: int, stop: int) -> pa.Array:
    array = read(start, stop)
    return to_arrow(array, None, where) if said.plain else said.values(array, where)


def _rows_of(dataset: h5py.Dataset, start: int, stop: int) -> npt.NDArray[Any]:
    text = h5py.check_string_dtype(dataset.dtype)
    found: npt.NDArray[Any]
    found = dataset.asstr()[start:stop] if text is not None and text.length is None else dataset[start:stop]
    return found


def _viewed(read: Rows, dtype: np.dtype[Any], start: int, stop: int) -> npt.NDArray[Any]:
    return np.ascontiguousarray(read(start, stop)).view(dtype)


def _nth(read: Rows, place: int, start: int, stop: int) -> npt.NDArray[Any]:
    return read(start, stop)[:, place]


def _without_nan(read: Rows, start: int, stop: int) -> npt.NDArray[Any]:
    """pandas writes a missing text as nan, and reads it so."""
    array = read(start, stop)
    return np.where(array == b"nan", np.array(None, object), array.astype(object))


def _joined(read: Rows, start: int, stop: int) -> npt.NDArray[Any]:
    array = np.ascontiguousarray(read(start, stop))
    return array.view(f"S{array.shape[1]}").ravel()


def _words_of_enum(
    path: tuple[str, ...], rows: int, shape: tuple[int, ...], read: Rows, words: dict[str, int]
) -> StoredArray:
    if shape:
        return refused(path, rows, "arrays of an enumeration can't be converted")
    texts = pa.array(list(words), pa.string())
    known = np.array(list(words.values()))

    def values(start: int, stop: int) -> pa.Array:
        array = read(start, stop)
        order = np.argsort(known)
        places = np.searchsorted(known, array, sorter=order).clip(max=len(known) - 1)
        codes = order[places]
        return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32(), mask=known[codes] != array), texts)

    return StoredArray(path, rows, pa.dictionary(pa.int32(), pa.string()), values, 4)


class _Records:
    """Fields of a compound dataset; the last block that was read stays, for its other fields."""

    def __init__(self, dataset: h5py.Dataset, dtype: np.dtype[Any]) -> None:
        self._dataset, self._dtype = dataset, dtype
        self._held: tuple[int, int, npt.NDArray[Any]] | None = None

    def field(self, names: tuple[str, ...], start: int, stop: int) -> npt.NDArray[Any]:
        if self._held is None or self._held[:2] != (start, stop):
            self._held = start, stop, self._block(start, stop)
        found = self._held[2]
        for name in names:
            found = found[name]
        return found

    def _block(self, start: int, stop: int) -> npt.NDArray[Any]:
        try:
            found: npt.NDArray[Any] = self._dataset[start:stop]
        except TypeError:  # a type that NumPy lacks, such as a time: the bytes as they are
            raw = np.empty(stop - start, np.dtype((np.void, self._dtype.itemsize)))
            space = self._dataset.id.get_space()
            space.select_hyperslab((start,), (stop - start,))
            memory = h5py.h5s.create_simple((stop - start,))
            self._dataset.id.read(memory, space, raw, mtype=self._dataset.id.get_type())
            found = raw.view(self._dtype)
        return found


def dtype_of(dataset: h5py.Dataset) -> np.dtype[Any]:
    """The dataset's dtype; of records with a time of PyTables (which h5py doesn't know) too.

    Raises:
        TypeError: a type without a counterpart.
    """
    try:
        found: np.dtype[Any] = dataset.dtype
    except TypeError:
        kind = dataset.id.get_type()
        if not isinstance(kind, h5py.h5t.TypeCompoundID):
            raise
        names, formats, offsets = [], [], []
        for place in range(kind.get_nmembers()):
            member = kind.get_member_type(place)
            names.append(kind.get_member_name(place).decode())
            formats.append(_time_dtype(kind, member) if member.get_class() == h5py.h5t.TIME else member.dtype)
            offsets.append(kind.get_member_offset(place))
        found = np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": kind.get_size()})
        if any(one.hasobject for one in formats):
            raise
    return found


def _time_dtype(record: Any, member: Any) -> np.dtype[Any]:
    """PyTables' Time64 is a second and a microsecond of 32 bits each, Time32 a second; in the others' byte order."""
    others = [record.get_member_type(place) for place in range(record.get_nmembers())]
    big = any(hasattr(one, "get_order") and one.get_order() == h5py.h5t.ORDER_BE for one in others)
    size = member.get_size()
    return np.dtype(f"{'>' if big else '<'}i{size}", metadata={_TIME: "us" if size == 8 else "s"})


def _moments(read: Rows, unit: str, start: int, stop: int) -> npt.NDArray[Any]:
    counts = read(start, stop).astype(np.int64)
    if unit == "us":
        counts = (counts >> 32) * 10**6 + (counts & 0xFFFFFFFF)
    return counts.view(f"M8[{unit}]")


def block_names(raw: Any) -> list[str] | None:
    r"""Column names out of the pickled list that pandas writes, without unpickling; None for anything else.

    >>> block_names(b"(lp0\nVa\np1\naVb\np2\na.")
    ['a', 'b']
    """
    if not isinstance(raw, bytes | np.bytes_) or not raw.endswith(b"."):
        return None
    found: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(bytes(raw)):
            if opcode.name in _NAMES:
                found.append(str(argument))
            elif opcode.name not in _HARMLESS:
                return None
    except ValueError:
        return None
    return found


_NAMES = ("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1")
_NAMES = ("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1")
_HARMLESS = ("MARK", "LIST", "EMPTY_LIST", "PUT", "BINPUT", "APPEND", "APPENDS", "STOP", "PROTO", "FRAME", "MEMOIZE")


def _attributes(dataset: h5py.Dataset) -> dict[str, Any]:
    found = {}
    for name in dataset.attrs:
        try:
            found[name] = dataset.attrs[name]
        except (OSError, TypeError, KeyError, RuntimeError, ValueError):
            continue  # an attribute of a type that h5py doesn't read says nothing about numbers
    return found


def _plain(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes | np.bytes_) else value
