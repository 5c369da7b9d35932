"""How the columns of a dataset lie in memory and on disk: mapped, read whole, or unpacked at every read."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from vaxseq.frame.direct_reads import mappings


class Packed(NamedTuple):
    """A file, or a dataset in it, that can't be mapped, and why. ``held``: opening it unpacks it whole."""

    path: str
    why: str
    column: str = ""
    held: bool = False

    def __str__(self) -> str:
        inside = f" ({self.column})" if self.column else ""
        return f"{self.path}{inside} {self.why}"


def packed_files(paths: Iterable[str]) -> list[Packed]:
    """Those of these data files that are compressed or can't be mapped."""
    found: list[Packed] = []
    for path in paths:
        suffix = Path(path).suffix.lower()
        if suffix in (".parquet", ".pq"):
            found.append(Packed(path, "is Parquet, which is compressed and is not mapped"))
        elif suffix in (".arrow", ".feather", ".ipc"):
            found.extend(_packed_arrow(path))
        elif suffix in (".h5", ".hdf5", ".he5", ".hdf"):
            found.extend(_packed_hdf5(path))
        elif suffix in (".gz", ".bz2", ".xz", ".zst", ".zip", ".npz", ".lz4"):
            found.append(Packed(path, "is compressed and is not mapped"))
    return found


def open_files() -> list[str]:
    """The data files that this process has open or mapped, in order."""
    paths = {one.path for one in mappings()}
    for link in Path("/proc/self/fd").iterdir() if Path("/proc/self/fd").is_dir() else ():
        try:
            paths.add(str(link.readlink()))
        except OSError:  # closed meanwhile
            continue
    return sorted(path for path in paths if Path(path).suffix.lower() in _DATA and Path(path).is_file())


def reachable_hdf5(owner: Any) -> list[Packed]:
    """Compressed or chunked h5py datasets that an object holds, itself or one attribute away."""
    h5py = sys.modules.get("h5py")
    if h5py is None:
        return []
    found = {}
    for value in _attributes(owner):
        if isinstance(value, h5py.Dataset) and value and value.chunks:
            one = Packed(str(value.file.filename), _hdf5_why(value), value.name)
            found[one.path, one.column] = one
        elif isinstance(value, h5py.Group) and value:
            for one in _hdf5_datasets(value):
                found[one.path, one.column] = one
    return list(found.values())


_DATA = {
    ".arrow",
    ".feather",
    ".ipc",
    ".parquet",
    ".pq",
    ".h5",
    ".hdf5",
    ".hdf",
    ".gz",
    ".bz2",
    ".xz",
    ".zip",
    ".npz",
    ".npy",
}


def _attributes(owner: Any) -> Iterator[Any]:
    for value in list(vars(owner).values()) if hasattr(owner, "__dict__") else ():
        yield value
        if isinstance(value, dict):
            yield from value.values()
        elif isinstance(value, (list, tuple)):
            yield from value[:100]


def _packed_arrow(path: str) -> list[Packed]:
    import pyarrow as pa

    with pa.memory_map(path) as file:
        try:
            reader = pa.ipc.open_file(file)
        except pa.ArrowInvalid:  # a stream, or Feather's first version
            return [Packed(path, "isn't an Arrow file with an index, and is read whole into memory", held=True)]
        before = pa.total_allocated_bytes()
        try:
            batch = reader.get_batch(0) if reader.num_record_batches else None
        except (pa.ArrowException, OSError):  # damaged, and open somewhere: nothing that is read for these batches
            return []
        allocated = pa.total_allocated_bytes() - before
        compressed = batch is not None and batch.nbytes > 0 and allocated >= batch.nbytes // 2
    return [Packed(path, "is compressed (lz4 or zstd) and is not mapped", held=True)] if compressed else []


def _packed_hdf5(path: str) -> list[Packed]:
    import h5py

    with h5py.File(path, "r") as file:
        found = _hdf5_datasets(file)
    return found[:1] if len({one.why for one in found}) == 1 else found[:3]


def _hdf5_datasets(group: Any) -> list[Packed]:
    import h5py

    found: list[Packed] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.chunks and item.size:
            found.append(Packed(str(item.file.filename), _hdf5_why(item), f"/{name}"))

    group.visititems(visit)
    return found


def _hdf5_why(dataset: Any) -> str:
    chunks = "×".join(str(size) for size in dataset.chunks)
    if dataset.compression:
        return f"is {dataset.compression}-compressed in chunks of {chunks} and is not mapped"
    return f"is stored in chunks of {chunks} and is not mapped"
