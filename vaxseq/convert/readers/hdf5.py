"""HDF5: vaex's layout, or a group of arrays of equal length."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import h5py
import numpy as np
import pyarrow as pa

from vaxseq.convert import places
from vaxseq.convert.readers.arrays import arrow_type, to_arrow
from vaxseq.convert.readers.base import Piece, Source, TypedReader, Unit, bad_option
from vaxseq.dataset.hdf5_form import check_files
from vaxseq.dataset.hdf5_reach import outside, unwritten
from vaxseq.errors import SchemaError, SourceError, SourceNotFoundError

_PIECE_BYTES = 32 << 20
_DAMAGE = (
    OSError,
    KeyError,
    RuntimeError,
    ValueError,
    TypeError,
    AttributeError,
    MemoryError,
    OverflowError,
    pa.ArrowException,
)


class Hdf5Reader(TypedReader):
    """Columns in the order that the file gives; arrays of more dimensions are array columns."""

    name = "hdf5"
    suffixes = (".hdf5", ".h5")
    options = {"group": None, "allow_external": False}

    def __init__(self, source: Any, options: Mapping[str, Any]) -> None:
        super().__init__(source, options)
        remote = places.is_url(source.path)
        if not remote and not os.path.exists(source.path):
            raise SourceNotFoundError(f"{self.where}: no such file. Check the path.")
        try:
            self._file = h5py.File(places.open_bytes(source.path) if remote else source.path, "r")
            if remote:
                self._check_remote()
            self._columns = self._find()
            self._schema = pa.schema([(name, self._kind(name, place)) for name, place in self._columns.items()])
            lengths = {name: self._length(place) for name, place in self._columns.items()}
        except _DAMAGE as error:
            if isinstance(error, SchemaError | SourceError):
                raise
            raise SourceError(f"{self.where}: can't read the HDF5 file: {error}. It is damaged, or no HDF5.") from error
        if not lengths or len(set(lengths.values())) != 1:
            raise SchemaError(
                f"{self.where}: the group's arrays must have equal lengths; got {lengths}. Choose a group with group=."
            )
        self._rows = int(next(iter(lengths.values())))

    @classmethod
    def check(cls, sources: Sequence[Source], options: Mapping[str, Any]) -> None:
        """Damage can make the HDF5 library loop for ever, so another process tries first."""
        paths = [one.path for one in sources if one.path is not None and not places.is_url(one.path)]
        external = options.get("allow_external") is True
        check_files([path for path in paths if os.path.exists(path)], allow_external=external)

    def _check_remote(self) -> None:
        """What another process finds out about a local file."""
        found = None if self.set["allow_external"] is True else outside(self._file)
        if found or (found := unwritten(self._file)):
            raise SourceError(f"{self.where}: {found}. Get a file that holds all of its arrays.")

    def schema(self) -> pa.Schema:
        return self._schema

    def _find(self) -> dict[str, Any]:
        """Column names and their dataset, or their group in vaex's layout."""
        given = self.set["group"]
        if given is not None and not isinstance(self._file.get(given), h5py.Group):
            raise bad_option(
                self.where,
                "group",
                given,
                f"one of {[name for name, one in self._file.items() if isinstance(one, h5py.Group)]}",
            )
        places = [given] if given else ["table/columns", "data", "/", *self._file]
        for place in places:
            group = self._file.get(place)
            if isinstance(group, h5py.Group) and isinstance(group.get("columns"), h5py.Group):
                group = group["columns"]
            if isinstance(group, h5py.Group) and (found := self._columns_of(group)):
                return found
        raise SourceError(f"{self.where}: no arrays found. Choose a group with group=.")

    def _columns_of(self, group: h5py.Group) -> dict[str, Any]:
        found = {}
        for name, one in group.items():
            vaex = isinstance(one, h5py.Group) and ("data" in one or one.attrs.get("type") == "dictionary_encoded")
            if vaex or (isinstance(one, h5py.Dataset) and one.ndim):
                found[str(one.attrs.get("alias", name))] = one
        order = str(group.attrs.get("column_order", "")).split(",")
        return {
            name: found[name]
            for name in [*(one for one in order if one in found), *(one for one in found if one not in order)]
        }

    def _length(self, place: Any) -> int:
        if isinstance(place, h5py.Dataset):
            return int(place.shape[0])
        if "indices" in place and isinstance(place["indices"], h5py.Dataset):
            return int(place["indices"].shape[0]) - 1
        return self._length(place["indices"]["data"] if "indices" in place else place["data"])

    def _kind(self, name: str, place: Any) -> pa.DataType:
        if isinstance(place, h5py.Group):
            if place.attrs.get("type") == "dictionary_encoded":
                return pa.dictionary(pa.int32(), pa.string())
            if str(place["data"].attrs.get("dtype", "")) == "str":
                return pa.string()
            place = place["data"]
        return arrow_type(_dtype(place), place.shape[1:], f"{self.where}: {name!r}")

    def units(self, index: int) -> Iterator[Unit]:
        size = int(min(max(_PIECE_BYTES * self._rows // max(self.estimate_bytes(), 1), 1), 1 << 20))
        for start in range(0, self._rows, size):
            yield Unit(index, start, min(start + size, self._rows))

    def pieces(self, unit: Unit, skip: int = 0) -> Iterator[Piece]:
        if skip:
            return
        try:
            columns = {name: self._read(name, place, unit.start, unit.stop) for name, place in self._columns.items()}
        except _DAMAGE as error:
            if isinstance(error, SchemaError | SourceError):
                raise
            raise SourceError(
                f"{self.where}: rows {unit.start} to {unit.stop}: {error}. The file is damaged."
            ) from error
        yield Piece(pa.table(columns), unit.start)

    def estimate_bytes(self) -> int:
        """What the arrays unpack to."""
        try:
            return sum(_unpacked(place) for place in self._columns.values())
        except _DAMAGE as error:
            raise SourceError(f"{self.where}: can't read the HDF5 file: {error}. The file is damaged.") from error

    def _read(self, name: str, place: Any, start: int, stop: int) -> pa.Array:
        where = f"{self.where}: {name!r}"
        if isinstance(place, h5py.Dataset):
            text = h5py.check_string_dtype(place.dtype)
            array = place.asstr()[start:stop] if text is not None and text.length is None else place[start:stop]
            return to_arrow(array.view(_dtype(place)) if place.attrs.get("dtype") else array, None, where)
        if place.attrs.get("type") == "dictionary_encoded":
            words = self._read(name, place["dictionary"], 0, self._length(place["dictionary"]))
            codes = self._read(name, place["indices"], start, stop).cast(pa.int32())
            return pa.DictionaryArray.from_arrays(codes, words)
        data = place["data"]
        if str(data.attrs.get("dtype", "")) == "str":
            return _text(place, start, stop)
        mask = None
        if "mask" in place:
            mask = place["mask"][start:stop].astype(bool)
        elif "null_bitmap" in place:
            mask = ~_bits(place["null_bitmap"], start, stop)
        return to_arrow(data[start:stop].view(_dtype(data)), mask, where)

    def close(self) -> None:
        self._file.close()


def _unpacked(place: Any) -> int:
    return int(place.nbytes) if isinstance(place, h5py.Dataset) else sum(map(_unpacked, place.values()))


def _dtype(data: h5py.Dataset) -> np.dtype[Any]:
    """vaex keeps instants as integers and says so in an attribute."""
    named = str(data.attrs.get("dtype", ""))
    return np.dtype(named) if named.startswith(("datetime64", "timedelta64")) else data.dtype


def _bits(bitmap: h5py.Dataset, start: int, stop: int) -> Any:
    first = start // 8
    bits = np.unpackbits(bitmap[first : (stop + 7) // 8].view(np.uint8), bitorder="little")
    return bits[start - first * 8 : stop - first * 8].astype(bool)


def _text(place: h5py.Group, start: int, stop: int) -> pa.Array:
    offsets = place["indices"][start : stop + 1].astype(np.int64)
    if (
        len(offsets) != stop - start + 1
        or (np.diff(offsets) < 0).any()
        or offsets[0] < 0
        or offsets[-1] > place["data"].shape[0]
    ):
        raise ValueError("the text's offsets don't fit its bytes")
    raw = np.ascontiguousarray(place["data"][offsets[0] : offsets[-1]]).tobytes()
    bitmap = None
    if "null_bitmap" in place:
        bitmap = pa.py_buffer(np.packbits(_bits(place["null_bitmap"], start, stop), bitorder="little"))
    made = pa.Array.from_buffers(
        pa.large_string(), stop - start, [bitmap, pa.py_buffer(offsets - offsets[0]), pa.py_buffer(raw)]
    )
    made.validate(full=True)
    return made.cast(pa.string())
