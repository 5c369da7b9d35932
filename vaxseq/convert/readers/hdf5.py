"""HDF5 and netCDF-4: vaex's layout, arrays in groups, tables of records."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import h5py
import numpy as np
import pyarrow as pa

from vaxseq.convert import storage
from vaxseq.convert.readers.arrays import arrow_type, to_arrow
from vaxseq.convert.readers.base import Source, bad_option
from vaxseq.convert.readers.hdf5_frames import FRAMES, fixed_frame
from vaxseq.convert.readers.hdf5_tables import columns_of
from vaxseq.convert.readers.named_arrays import ArraysReader, StoredArray, refused
from vaxseq.dataset.hdf5_external import outside, unwritten
from vaxseq.dataset.hdf5_probe import check_files
from vaxseq.errors import SchemaError, SourceError, SourceNotFoundError

_DEPTH = 8
_INDEX = "_i_"  # how the groups of PyTables' indexes are called


class Hdf5Reader(ArraysReader):
    """Columns in the order that the file gives; arrays of more dimensions are array columns.

    vaex's layout, arrays in groups of any depth, compound types and PyTables by field, pandas' frames, and netCDF-4
    with the attributes that its conventions give a meaning.
    """

    name = "hdf5"
    suffixes = (".hdf5", ".h5", ".hdf", ".he5", ".nc", ".nc4", ".cdf")
    options = {"group": None, "rows": None, "allow_external": False}

    def find(self) -> list[StoredArray]:
        path = self.source.path or ""
        remote = storage.is_url(path)
        self._seen: set[int] = set()
        if not remote and not os.path.exists(path):
            raise SourceNotFoundError(f"{self.where}: no such file. Check the path.")
        if not remote:
            self._refuse_old_netcdf(path)
        self._file = h5py.File(storage.open_bytes(path) if remote else path, "r")
        if remote:
            self._check_remote()
        given = self.set["group"]
        root = self._file.get(given) if given is not None else self._file
        if root is None:
            raise bad_option(self.where, "group", given, f"one of {[*self._file]}")
        if isinstance(root, h5py.Dataset):
            return list(columns_of(root, (str(given).rpartition("/")[2],), self.where))
        for place in [given or "/"] if given else ["table", "/", *self._file]:
            group = self._file.get(place)
            if isinstance(group, h5py.Group) and isinstance(group.get("columns"), h5py.Group):
                if found := list(self._vaex(group["columns"])):
                    return found
        return list(self._walk(root, (), 0))

    def _refuse_old_netcdf(self, path: str) -> None:
        with open(path, "rb") as file:
            if file.read(3) == b"CDF":
                raise SourceError(
                    f"{self.where}: netCDF-3, which isn't HDF5; expected netCDF-4. Turn it into one: "
                    f"nccopy -4 {path} new.nc"
                )

    @classmethod
    def check(cls, sources: Sequence[Source], options: Mapping[str, Any]) -> None:
        """Damage can make the HDF5 library loop for ever, so another process tries first."""
        paths = [one.path for one in sources if one.path is not None and not storage.is_url(one.path)]
        external = options.get("allow_external") is True
        check_files([path for path in paths if os.path.exists(path)], allow_external=external)

    def _check_remote(self) -> None:
        """What another process finds out about a local file."""
        found = None if self.set["allow_external"] is True else outside(self._file)
        if found or (found := unwritten(self._file)):
            raise SourceError(f"{self.where}: {found}. Get a file that holds all of its arrays.")

    def hint(self) -> str:
        return " Choose a group with group=."

    def _walk(self, group: h5py.Group, path: tuple[str, ...], depth: int) -> Iterator[StoredArray]:
        """Every array below a group; its own before those of the groups in it."""
        if (address := h5py.h5o.get_info(group.id).addr) in self._seen:  # a link to a group around it
            return
        self._seen.add(address)
        kind = group.attrs.get("pandas_type")
        if isinstance(kind, bytes | str | np.bytes_) and (kind.decode() if isinstance(kind, bytes) else kind) in FRAMES:
            yield from fixed_frame(group, path, self.where)
            return
        inner = []
        for name, one in group.items():
            if isinstance(one, h5py.Group):
                if _is_vaex_column(one):
                    yield self._vaex_column(name, one, path)
                else:
                    inner.append((name, one))
            elif isinstance(one, h5py.Dataset):
                yield from columns_of(one, (*path, name), self.where)
        for name, one in inner:
            if depth < _DEPTH and not name.startswith(_INDEX):
                yield from self._walk(one, (*path, name), depth + 1)

    def _vaex(self, group: h5py.Group) -> Iterator[StoredArray]:
        found = {str(one.attrs.get("alias", name)): one for name, one in group.items() if _has_rows(one)}
        order = str(group.attrs.get("column_order", "")).split(",")
        for name in [*(one for one in order if one in found), *(one for one in found if one not in order)]:
            yield self._vaex_column(name, found[name], ())

    def _vaex_column(self, name: str, place: Any, path: tuple[str, ...]) -> StoredArray:
        rows = self._length(place)
        try:
            kind = self._kind(name, place)
        except SchemaError as error:
            return refused((*path, name), rows, str(error))
        return StoredArray((*path, name), rows, kind, lambda start, stop: self._read(name, place, start, stop))

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


def _is_vaex_column(one: h5py.Group) -> bool:
    return isinstance(one.get("data"), h5py.Dataset) and set(one) <= {"data", "mask", "indices", "null_bitmap"}


def _has_rows(one: Any) -> bool:
    if isinstance(one, h5py.Dataset):
        return bool(one.shape)
    return isinstance(one, h5py.Group) and ("data" in one or one.attrs.get("type") == "dictionary_encoded")


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
