"""The data of the loading benchmarks: the same rows as HDF5, Arrow and a row-major matrix, made in bounded memory."""

from __future__ import annotations

import ctypes
import mmap
import os
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa

COLUMNS = [f"x{i}" for i in range(20)]
BLOCK_ROWS = 65_536


@dataclass(frozen=True)
class Data:
    """Where the files are. ``x0`` to ``x19`` are float32, ``y`` is int32, ``half`` is 1 in every second row or so."""

    folder: Path
    rows: int
    large_rows: int

    @property
    def hdf5(self) -> Path:  # a column a dataset, contiguous, as vaex writes it
        return self.folder / "columns.hdf5"

    @property
    def arrow(self) -> Path:
        return self.folder / "columns.arrow"

    @property
    def stream(self) -> Path:  # what HF datasets maps
        return self.folder / "stream.arrow"

    @property
    def matrix(self) -> Path:  # X (rows, 20) and y (rows,), row-major
        return self.folder / "matrix.h5"

    @property
    def large(self) -> Path:
        return self.folder / "large.hdf5"

    def make(self) -> None:
        """What isn't there yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path, write in (
            (self.hdf5, columns_hdf5),
            (self.arrow, arrow_file),
            (self.stream, arrow_stream),
            (self.matrix, matrix_hdf5),
        ):
            once(path, self.rows, write)
        if self.large_rows:
            once(self.large, self.large_rows, columns_hdf5)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """X and y in memory, row-major."""
        with h5py.File(self.matrix) as file:
            return file["X"][:], file["y"][:]


def once(path: Path, rows: int, write) -> None:
    """Write a file unless one of as many rows is there; never half of it under its name."""
    stamp = path.with_suffix(f".{rows}")
    if path.exists() and stamp.exists():
        return
    part = path.with_suffix(".part")
    write(part, rows)
    os.replace(part, path)
    stamp.touch()


def block(start: int, rows: int) -> dict[str, np.ndarray]:
    """Rows from ``start`` on, the same in every file."""
    rng = np.random.default_rng([7, start])
    count = min(BLOCK_ROWS, rows - start)
    columns = {name: rng.standard_normal(count, np.float32) for name in COLUMNS}
    columns["y"] = rng.integers(0, 2, count, dtype=np.int32)
    columns["half"] = rng.integers(0, 2, count, dtype=np.uint8)
    return columns


def columns_hdf5(path: Path, rows: int) -> None:
    with h5py.File(path, "w") as file:
        group = file.create_group("table/columns")
        file["table"].attrs["type"] = "table"
        sets = {
            name: group.create_dataset(f"{name}/data", (rows,), values.dtype) for name, values in block(0, 1).items()
        }
        for start in range(0, rows, BLOCK_ROWS):
            for name, values in block(start, rows).items():
                sets[name][start : start + len(values)] = values


def matrix_hdf5(path: Path, rows: int) -> None:
    with h5py.File(path, "w") as file:
        x, y = file.create_dataset("X", (rows, len(COLUMNS)), np.float32), file.create_dataset("y", (rows,), np.int32)
        for start in range(0, rows, BLOCK_ROWS):
            columns = block(start, rows)
            x[start : start + len(columns["y"])] = np.stack([columns[name] for name in COLUMNS], axis=1)
            y[start : start + len(columns["y"])] = columns["y"]


def arrow_file(path: Path, rows: int) -> None:
    write_arrow(path, rows, pa.ipc.new_file)


def arrow_stream(path: Path, rows: int) -> None:
    write_arrow(path, rows, pa.ipc.new_stream)


def write_arrow(path: Path, rows: int, new) -> None:
    schema = pa.record_batch(block(0, 1)).schema
    with pa.OSFile(str(path), "wb") as sink, new(sink, schema) as writer:
        for start in range(0, rows, BLOCK_ROWS):
            writer.write_batch(pa.record_batch(block(start, rows)))


def evict(paths: list[Path]) -> float:
    """Drop the files from the page cache; the share of their pages that are there nevertheless."""
    there = total = 0
    libc = ctypes.CDLL(None, use_errno=True)
    for path in paths:
        with open(path, "rb") as file:
            assert libc.fsync(file.fileno()) == 0  # the tests' os.fsync waits for no disk
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            size = path.stat().st_size
            with mmap.mmap(
                file.fileno(), size, prot=mmap.PROT_READ | mmap.PROT_WRITE, flags=mmap.MAP_PRIVATE
            ) as mapped:
                pages = -(-size // mmap.PAGESIZE)
                resident = (ctypes.c_ubyte * pages)()
                first = ctypes.c_char.from_buffer(mapped)
                if libc.mincore(ctypes.byref(first), ctypes.c_size_t(size), resident):
                    raise OSError(ctypes.get_errno(), "mincore", str(path))
                del first
                there += int((np.frombuffer(resident, np.uint8) & 1).sum())
                total += pages
    return there / max(1, total)
