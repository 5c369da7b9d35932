"""A dataset in an object store as a frame: columns that fetch the rows that are asked for, and no others.

Opening reads the manifest and the store's list of files. A fragment's footer is read when the first of its rows is.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import vaex
import vaex.dataset

from vaxseq.dataset.addresses import shown
from vaxseq.dataset.manifest import MANIFEST_NAME
from vaxseq.dataset.objects import About
from vaxseq.dataset.remote_arrow import Batch, Structure, structure_of
from vaxseq.dataset.remote_file import RemoteFile
from vaxseq.dataset.remote_folder import check_folder, read_folder
from vaxseq.errors import DatasetError, OptionError, SourceNotFoundError
from vaxseq.expressions.values import Value, from_raw
from vaxseq.frame.arrays import ArrayColumn, is_array
from vaxseq.frame.columns import one_array
from vaxseq.frame.fetched import Fetched, Wanted
from vaxseq.frame.mapped import Ids, Located
from vaxseq.frame.vaex_internals import LazyColumn

CACHE_BYTES = 10 << 30
_KEPT_FRAGMENTS = 1024  # whose structure is held
_BRIDGED_ROWS = 8192  # a gap of so few rows is read as well: they lie in blocks that are fetched anyway


class RemoteFragment:
    """One Arrow file, whose structure is read once, by whoever needs it first."""

    def __init__(self, file: RemoteFile, rows: int, names: tuple[str, ...]) -> None:
        self.file, self.rows, self._names = file, rows, names
        self._lock = threading.Lock()
        self._structure: Structure | None = None

    def structure(self) -> Structure:
        """The file's own schema, dictionaries and record batches.

        Raises:
            DatasetError: they aren't what the manifest says.
        """
        with self._lock:
            if self._structure is None:
                found = structure_of(self.file)
                if set(found.schema.names) != set(self._names) or len(found.schema.names) != len(self._names):
                    other = sorted(set(found.schema.names) ^ set(self._names))
                    raise DatasetError(
                        f"{self.file}: has other columns than the manifest says: {other[:5]}. Convert again."
                    )
                if found.rows != self.rows:
                    raise DatasetError(
                        f"{self.file}: has {found.rows:,} rows, expected {self.rows:,} as in the manifest. "
                        "Convert again."
                    )
                self._structure = found
            return self._structure

    def array(self, name: str, batch: Batch, start: int, stop: int) -> pa.Array:
        """Rows of a batch's column."""
        return self.structure().layout.read(name, batch.number, start, stop, self.file.read)


class Listed(NamedTuple):
    """A fragment as the manifest and the store tell of it."""

    path: str
    about: About
    rows: int


class RemoteFragments:
    """The fragments of a folder, made when they are asked for: of a hundred thousand, the last used ones are kept."""

    def __init__(self, root: str, listed: list[Listed], names: tuple[str, ...], cache_bytes: int) -> None:
        self.listed, self._given = listed, (root, names, cache_bytes)
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, RemoteFragment] = OrderedDict()

    def __getstate__(self) -> tuple[Any, ...]:
        root, names, cache_bytes = self._given
        return root, [(path, *about, rows) for path, about, rows in self.listed], names, cache_bytes

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        root, listed, names, cache_bytes = state
        self.__init__(  # type: ignore[misc]
            root, [Listed(path, About(*about), rows) for path, *about, rows in listed], names, cache_bytes
        )

    def __len__(self) -> int:
        return len(self.listed)

    def __getitem__(self, number: int) -> RemoteFragment:
        root, names, cache_bytes = self._given
        with self._lock:
            found = self._kept.get(number)
            if found is None:
                path, about, rows = self.listed[number]
                found = self._kept[number] = RemoteFragment(
                    RemoteFile(f"{root}/{path}", about, cache_bytes), rows, names
                )
            self._kept.move_to_end(number)
            while len(self._kept) > _KEPT_FRAGMENTS:
                self._kept.popitem(last=False)
            return found


class RemoteRows:
    """The rows of all fragments, in the manifest's order."""

    def __init__(self, where: str, fragments: RemoteFragments) -> None:
        self.where, self.fragments = where, fragments
        self.starts = np.concatenate([[0], np.cumsum([one.rows for one in fragments.listed], dtype=np.int64)])
        self.schema = fragments[0].structure().schema  # of the first; each other one is held to it

    def __getstate__(self) -> tuple[Any, ...]:
        return self.where, self.fragments, self.schema

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.where, self.fragments, self.schema = state
        self.starts = np.concatenate([[0], np.cumsum([one.rows for one in self.fragments.listed], dtype=np.int64)])

    def batches(self, number: int, name: str) -> list[Batch]:
        """The batches of a fragment, whose column has the type that the dataset's has."""
        fragment = self.fragments[number]
        kind, expected = fragment.structure().schema.field(name).type, self.schema.field(name).type
        if not kind.equals(expected):
            raise DatasetError(
                f"{fragment.file}: column {name!r}: got {kind}, expected {expected} as in the first fragment. Convert "
                "the dataset again."
            )
        return fragment.structure().batches

    def spans(self, name: str, start: int, stop: int) -> Iterator[tuple[RemoteFragment, Batch, int, int]]:
        """The parts of batches that rows start to stop are."""
        number = int(np.searchsorted(self.starts, start, side="right")) - 1
        while number < len(self.fragments) and self.starts[number] < stop:
            base = int(self.starts[number])
            for batch in self.batches(number, name):
                low, high = max(start - base - batch.first, 0), min(stop - base - batch.first, batch.rows)
                if low < high:
                    yield self.fragments[number], batch, low, high
            number += 1


class RemoteColumn(LazyColumn):
    """Rows ``start`` to ``stop`` of a column: what vaex slices, and what a Source reads and gathers."""

    def __init__(self, rows: RemoteRows, name: str, start: int, stop: int) -> None:
        self._rows, self._name, self._start, self._stop = rows, name, start, stop
        self.type = rows.schema.field(name).type
        self._dtype: Any = None

    def __len__(self) -> int:
        return self._stop - self._start

    @property
    def dtype(self) -> Any:
        """As vaex wants it: Arrow's type, or NumPy's of arrays."""
        if not is_array(self.type):
            return self.type
        if self._dtype is None:
            stored = ArrayColumn(pa.chunked_array([], self.type)).dtype
            self._dtype = np.dtype(np.float64) if stored.kind != "f" and self._any_missing() else stored
        return self._dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, and the shape of each where rows are arrays."""
        empty = ArrayColumn(pa.chunked_array([], self.type)).shape[1:] if is_array(self.type) else ()
        return (len(self), *empty)

    def __getitem__(self, rows: Any) -> Any:
        if not isinstance(rows, slice):
            place = rows + len(self) if rows < 0 else rows
            return self[place : place + 1][0]
        start, stop, step = rows.indices(len(self))
        part = self.raw(start, max(start, stop))
        found = ArrayColumn(pa.chunked_array([part]), self.dtype)[:] if is_array(self.type) else part
        return found if step == 1 else found[::step]

    def trim(self, i1: int, i2: int) -> RemoteColumn:
        """Rows ``i1`` to ``i2``, still lazy."""
        return RemoteColumn(self._rows, self._name, self._start + i1, self._start + i2)

    def to_numpy(self) -> Any:
        """All rows."""
        found = self[:]
        return found if isinstance(found, np.ndarray) else found.to_numpy(zero_copy_only=False)

    def tolist(self) -> list[Any]:
        """All rows; None where missing."""
        return list(self.raw(0, len(self)).to_pylist())

    def to_arrow(self, type: Any = None) -> pa.Array:
        """All rows, as they are stored."""
        found = self.raw(0, len(self))
        return found if type is None else found.cast(type)

    def hint(self, start: int, stop: int) -> None:
        """Has the rows fetched while other columns are read."""
        for fragment, batch, low, high in self._spans(start, stop):
            fragment.file.begin(batch.nodes[self._name].ranges(low, high))

    def begin(self, ids: Ids) -> None:
        """The same for rows anywhere."""
        for low, high, _ in _extents(np.sort(ids)):
            self.hint(low, high)

    def wanted(self, start: int, stop: int) -> list[Wanted]:
        """Nothing: its rows lie in no file of this machine."""
        return []

    def read(self, start: int, stop: int, fetched: Fetched | None = None) -> Value:
        """Rows as a Value."""
        return from_raw(self.raw(start, stop))

    def gather(self, located: Located) -> Value:
        """Rows anywhere, as a Value."""
        return from_raw(self.raw_gather(located))

    def raw(self, start: int, stop: int, fetched: Fetched | None = None) -> Any:
        """Rows as they are stored."""
        parts = [
            fragment.array(self._name, batch, low, high) for fragment, batch, low, high in self._spans(start, stop)
        ]
        return one_array(parts, self.type)

    def raw_gather(self, located: Located) -> Any:
        """Rows anywhere, as they are stored."""
        ids = located.ids
        order = np.argsort(ids, kind="stable")
        ordered = ids[order]
        parts = [self.raw(low, high).take(pa.array(ordered[places] - low)) for low, high, places in _extents(ordered)]
        back = np.empty(len(order), dtype=np.int64)
        back[order] = np.arange(len(order))
        return one_array(parts, self.type).take(pa.array(back))

    def _spans(self, start: int, stop: int) -> Iterator[tuple[RemoteFragment, Batch, int, int]]:
        return self._rows.spans(self._name, self._start + start, self._start + stop)

    def _any_missing(self) -> bool:
        for number in range(len(self._rows.fragments)):
            for batch in self._rows.batches(number, self._name):
                node = batch.nodes[self._name]
                while not node.nulls and node.children:
                    node = node.children[0]
                if node.nulls:
                    return True
        return False

    def _fingerprint(self) -> str:
        return f"column-remote-{_version_of(self._rows)}-{self._name}-{self._start}-{self._stop}"


def _extents(ordered: npt.NDArray[np.int64]) -> Iterator[tuple[int, int, slice]]:
    """Ranges of rows that hold these, which ascend, and which of them each holds."""
    if not len(ordered):
        return
    cuts = np.flatnonzero(np.diff(ordered) > _BRIDGED_ROWS) + 1
    for begin, end in zip([0, *cuts.tolist()], [*cuts.tolist(), len(ordered)], strict=True):
        yield int(ordered[begin]), int(ordered[end - 1]) + 1, slice(begin, end)


def _version_of(rows: RemoteRows) -> str:
    return hashlib.blake2b(json.dumps([rows.where, rows.fragments.listed]).encode(), digest_size=16).hexdigest()


@vaex.dataset.register
class RemoteDataset(vaex.dataset.Dataset):  # type: ignore[misc, unused-ignore]
    """The folder at a URL."""

    snake_name = "vaxseq-remote"

    def __init__(self, rows: RemoteRows) -> None:
        super().__init__()
        self.rows, self.path, self.version = rows, rows.where, _version_of(rows)
        self._create_columns()

    def _create_columns(self) -> None:
        count = int(self.rows.starts[-1])
        self._columns = {name: RemoteColumn(self.rows, name, 0, count) for name in self.rows.schema.names}
        self._ids: dict[str, str] = {}
        self._row_count = count

    @property
    def _fingerprint(self) -> str:
        return f"dataset-{self.snake_name}-{self.version}"

    def _encode(self, encoding: Any) -> Any:
        raise OptionError(f"{self.path}: vaex's own encoding doesn't hold a remote dataset. Pickle the frame instead.")

    def chunk_iterator(self, columns: Any, chunk_size: int | None = None, reverse: bool = False) -> Iterator[Any]:
        """What vaex reads, by its own passes."""
        yield from self._default_chunk_iterator(self._columns, columns, chunk_size, reverse=reverse)

    def is_masked(self, column: str) -> bool:
        """Missing values are Arrow's."""
        return False

    def shape(self, column: str) -> tuple[int, ...]:
        """Shape of one row."""
        return tuple(self._columns[column].shape[1:])

    def slice(self, start: int, end: int) -> Any:
        """Rows start to end."""
        if start == 0 and end == self.row_count:
            return self
        return vaex.dataset.DatasetSlicedArrays(self, start=start, end=end)

    def hashed(self) -> Any:
        """The store tells what each file is."""
        return self

    def leafs(self) -> list[Any]:
        """Itself."""
        return [self]

    def close(self) -> None:
        """Nothing is open."""


def open_remote(url: str, cache_bytes: int | None) -> Any:
    """The frame of a dataset's folder at a URL. See `vaxseq.open`."""
    most = CACHE_BYTES if cache_bytes is None else cache_bytes
    if isinstance(most, bool) or not isinstance(most, int) or most < 0:
        raise OptionError(f"cache_bytes: got {cache_bytes!r}, expected a whole number of bytes from 0, or None")
    root, where = url.rstrip("/"), shown(url.rstrip("/"))
    check_folder(root)
    try:
        manifest, abouts = read_folder(root)
    except SourceNotFoundError as error:
        raise SourceNotFoundError(
            f"{where}: no dataset is there: it has no {MANIFEST_NAME}. In an object store, open reads a folder that "
            "convert wrote; other files are read by convert."
        ) from error
    if manifest.format != "arrow":
        raise DatasetError(
            f"{where}: a dataset of {manifest.format} files is read from a local disk only. Copy it there."
        )
    kept = manifest.filled()
    if not kept:
        raise DatasetError(f"{where}: holds no rows. Convert into it first.")
    names = tuple(manifest.schema.names)
    listed = [Listed(one.path, about, one.rows) for one, about in zip(kept, abouts, strict=True)]
    fragments = RemoteFragments(root, listed, names, most)
    return vaex.from_dataset(RemoteDataset(RemoteRows(where, fragments)))
