"""The file of a packed store: one contiguous HDF5 dataset a field, rows next to each other, and the row ids."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import h5py
import numpy as np
import numpy.typing as npt

from vaxseq.errors import SourceNotFoundError, StoreError
from vaxseq.features.program.recipe import Field
from vaxseq.frame.direct_reads import FileRows, cache_share, exceeds_memory, outgrows_cache
from vaxseq.frame.file_changes import FileStamp
from vaxseq.frame.file_maps import map_file

VERSION = 1
_ATTRIBUTE = "vaxseq_store"
_PAGE = 4096


@dataclass(frozen=True, slots=True)
class Place:
    """Where an array lies in the file: ``shape`` with the rows, ``offset`` in bytes."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int

    @property
    def row_bytes(self) -> int:
        return self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))


@dataclass(frozen=True, slots=True)
class StoreFile:
    """What a store's file says of itself, and where its arrays lie."""

    path: str
    rows: int
    fields: tuple[Field, ...]
    places: tuple[Place, ...]
    row_id: Place
    fingerprints: dict[str, str]
    shuffle_seed: int | None
    mark: FileStamp = dataclass_field(compare=False)

    def arrays(self) -> list[npt.NDArray[Any]]:
        """The fields, memory-mapped, in the fields' order."""
        content = self._content()
        return [_within(content, place) for place in self.places]

    def row_ids(self) -> npt.NDArray[Any]:
        """The row ids, memory-mapped, shape (rows,)."""
        return _within(self._content(), self.row_id)

    def files(self, fields: Sequence[Field]) -> list[FileRows]:
        """Where these fields' rows are in the file when it is larger than memory; else none: they are mapped."""
        stat = Path(self.path).stat()
        if not exceeds_memory(stat.st_size):
            return []
        known = {(field.role, field.name): place for field, place in zip(self.fields, self.places, strict=True)}
        wanted = [known[field.role, field.name] for field in fields]
        past_cache = outgrows_cache(stat.st_size)
        kept = cache_share() // max(1, sum(place.row_bytes for place in wanted)) if past_cache else 0
        return [FileRows(self.path, stat.st_ino, place.offset, place.row_bytes, past_cache, kept) for place in wanted]

    def _content(self) -> memoryview:
        """The file as it was when it was read, mapped.

        Raises:
            DatasetError: it has changed.
        """
        content, _ = map_file(self.path)
        self.mark.check()
        return content

    def check(self, fingerprints: dict[str, str]) -> None:
        """Refuses a store that was made from something else.

        Raises:
            StoreError: names what differs.
        """
        other = [part for part in fingerprints if fingerprints[part] != self.fingerprints.get(part)]
        if other:
            listed = " and the ".join(other)
            raise StoreError(
                f"{self.path}: the store was made from other {listed} than asked for. "
                "Materialize it again with overwrite=True, or give another path."
            )


def _within(content: memoryview, place: Place) -> npt.NDArray[Any]:
    if 0 in place.shape:
        return np.empty(place.shape, place.dtype)
    count = int(np.prod(place.shape, dtype=np.int64))
    return np.frombuffer(content, place.dtype, count, place.offset).reshape(place.shape)


def path_of(field: Field) -> str:
    """A field's dataset in the file, for example "inputs/numeric"."""
    return f"{field.role}s/{quote(field.name, safe='')}"


def create(
    path: Path, rows: int, fields: Sequence[Field], fingerprints: dict[str, str], shuffle_seed: int | None, top_row: int
) -> StoreFile:
    """Lay out an empty store; its arrays are to be written at their places."""
    id_dtype = np.dtype(np.uint32 if top_row < 1 << 32 else np.int64)
    meta = {
        "version": VERSION,
        "rows": rows,
        "fields": [
            {"role": f.role, "name": f.name, "dtype": f.dtype.str, "shape": list(f.shape), "path": path_of(f)}
            for f in fields
        ],
        "fingerprints": fingerprints,
        "shuffle_seed": shuffle_seed,
    }
    with h5py.File(path, "w", alignment_threshold=_PAGE, alignment_interval=_PAGE) as file:
        file.attrs[_ATTRIBUTE] = json.dumps(meta)
        for field in fields:
            _lay(file, path_of(field), field.dtype, (rows, *field.shape))
        _lay(file, "row_id", id_dtype, (rows,))
    return read(path)


def _lay(file: h5py.File, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    # allocated at once and left unfilled: the space is reserved, and the arrays can be written from outside
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.CONTIGUOUS)
    plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    group = file.require_group(str(Path(name).parent)) if "/" in name else file
    space = h5py.h5s.create_simple(shape)
    h5py.h5d.create(group.id, name.rsplit("/", 1)[-1].encode(), h5py.h5t.py_create(dtype, logical=True), space, plist)


def read(path: str | os.PathLike[str]) -> StoreFile:
    """Read what a store's file says of itself.

    Raises:
        SourceNotFoundError: there is no file.
        StoreError: it isn't a store, is damaged, or of another version.
    """
    text = os.fspath(path)
    if not Path(text).exists():
        raise SourceNotFoundError(f"{text}: no such store. Make it with vaxseq.materialize.")
    try:
        mark = FileStamp.of(text)
        with h5py.File(text, "r") as file:
            if _ATTRIBUTE not in file.attrs:
                raise StoreError(f"{text}: an HDF5 file, but not a packed store. Make one with vaxseq.materialize.")
            meta = json.loads(file.attrs[_ATTRIBUTE])
            if meta.get("version") != VERSION:
                got = meta.get("version")
                raise StoreError(f"{text}: store version {got}, expected {VERSION}. Materialize it again.")
            fields = tuple(_field(one) for one in meta["fields"])
            places = tuple(_place(file[one["path"]], text) for one in meta["fields"])
            row_id = _place(file["row_id"], text)
    except (OSError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{text}: the store can't be read ({error}). Materialize it again.") from error
    return StoreFile(text, meta["rows"], fields, places, row_id, meta["fingerprints"], meta["shuffle_seed"], mark)


def check_replaceable(path: Path) -> None:
    """Refuses to put a store in the place of anything but another store.

    Raises:
        StoreError: something else is there.
    """
    if not os.path.lexists(path) or (path.is_file() and path.stat().st_size == 0):
        return
    ours = False
    if path.is_file():
        with suppress(OSError, RuntimeError), h5py.File(path, "r") as file:
            ours = _ATTRIBUTE in file.attrs
    if not ours:
        raise StoreError(
            f"{path}: not replaced: it isn't a packed store, or is too damaged to tell. Give another path, or remove "
            "it yourself."
        )


def _field(one: dict[str, Any]) -> Field:
    return Field(one["role"], one["name"], np.dtype(one["dtype"]), tuple(one["shape"]), ())


def _place(dataset: h5py.Dataset, text: str) -> Place:
    offset = dataset.id.get_offset()
    size = Path(text).stat().st_size
    if dataset.size and (offset is None or offset + dataset.nbytes > size):
        raise StoreError(
            f"{text}: cut short; {dataset.name} ends beyond the file's {size:,} bytes. Materialize it again."
        )
    return Place(dataset.dtype, dataset.shape, offset or 0)
