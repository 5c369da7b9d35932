"""Which column and rows a range of a file's bytes holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from vaxseq.dataset.hdf5_form import check_files
from vaxseq.errors import SourceError


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes that hold some rows of a column. ``row_bits`` is 0 where rows take different room."""

    column: str
    start: int
    stop: int
    first_row: int
    last_row: int
    row_bits: int

    def rows(self, start: int, stop: int) -> tuple[int, int] | None:
        """The rows, end excluded, that the bytes from start to stop hold; None if they hold none of these."""
        low, high = max(start, self.start), min(stop, self.stop)
        if low >= high:
            return None
        if not self.row_bits:
            return self.first_row, self.last_row
        first = self.first_row + (low - self.start) * 8 // self.row_bits
        last = self.first_row + -(-(high - self.start) * 8 // self.row_bits)
        return min(first, self.last_row), min(last, self.last_row)


def byte_ranges(path: str) -> list[ByteRange]:
    """Where the columns of an Arrow or HDF5 file lie; nothing where damage keeps that from being read."""
    try:
        return list(_of_hdf5(path) if path.endswith((".h5", ".hdf5")) else _of_arrow(path))
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, pa.ArrowException, SourceError):
        return []  # the damage is told by its bytes


def _of_arrow(path: str) -> Iterator[ByteRange]:
    with pa.memory_map(path) as source:
        whole = source.read_buffer()
        base = whole.address
        file = pa.ipc.open_file(pa.BufferReader(whole))
        row = 0
        for number in range(file.num_record_batches):
            batch = file.get_batch(number)
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                yield from _of_array(name, column, row, row + batch.num_rows, base, whole.size)
            row += batch.num_rows


def _of_array(name: str, array: pa.Array, first: int, last: int, base: int, size: int) -> Iterator[ByteRange]:
    if pa.types.is_dictionary(array.type):
        words = array.dictionary
        for buffer in words.buffers():
            if buffer is not None and 0 <= buffer.address - base < size:
                yield ByteRange(name, buffer.address - base, buffer.address - base + buffer.size, 0, last, 0)
        array = array.indices
    rows = max(last - first, 1)
    for place, buffer in enumerate(array.buffers()):
        if buffer is None or not 0 <= buffer.address - base < size:
            continue
        width = 1 if place == 0 else _bits(array, place, buffer, rows)
        start = buffer.address - base
        yield ByteRange(name, start, start + buffer.size, first, last, width)


def _bits(array: pa.Array, place: int, buffer: Any, rows: int) -> int:
    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind):
        return 0 if place == 2 else (64 if pa.types.is_large_string(kind) else 32)
    if pa.types.is_fixed_size_list(kind):
        return buffer.size // rows * 8 if buffer.size >= rows else 0
    try:
        return int(kind.bit_width)
    except ValueError:
        return 0


def _of_hdf5(path: str) -> Iterator[ByteRange]:
    import h5py

    check_files([path])  # on damaged bytes the library may loop for ever
    found: list[ByteRange] = []
    with h5py.File(path, "r") as file:

        def visit(name: str, one: Any) -> None:
            if isinstance(one, h5py.Dataset) and one.shape and (offset := one.id.get_offset()) is not None:
                parts = [part for part in name.split("/") if part not in ("table", "columns")]
                kept = parts[:-1] if len(parts) > 1 and parts[0] not in ("inputs", "targets", "weights") else parts
                rows = int(one.shape[0])
                text = name.endswith("/data") and str(one.attrs.get("dtype", "")) == "str"
                width = 0 if text else one.nbytes // max(rows, 1) * 8
                found.append(ByteRange("/".join(kept), offset, offset + one.nbytes, 0, rows, width))

        file.visititems(visit)
    yield from found
