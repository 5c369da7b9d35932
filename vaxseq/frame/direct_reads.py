"""Data larger than memory: rows are read from their file, exactly and many at once, not through its mapping.

Left to itself, the kernel reads around each mapped page that is touched, megabytes on some systems. Memory that holds
the whole file makes use of that sooner or later; where it can't, most of it is dropped before anything comes to it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vaxseq.dataset.memory_limit import lines_of, memory_allowed, memory_room
from vaxseq.dataset.reads import fill
from vaxseq.errors import DatasetError

_BRIDGED_GAP_BYTES = 16 << 10  # a gap of so few bytes is read as well: one request costs more
_HELD_BYTES = 32 << 20
_HINT_BYTES = 512 << 10  # the kernel cuts a longer hint short

Ids = npt.NDArray[np.int64]


class Mapping(NamedTuple):
    """Memory from ``start`` to ``stop`` that is a file's, from ``offset`` on."""

    start: int
    stop: int
    offset: int
    inode: int
    path: str


def mappings() -> list[Mapping]:
    """The files that this process has mapped, in order of address; none where a system doesn't tell."""
    found = []
    for line in lines_of("/proc/self/maps"):
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5].startswith("/"):
            start, _, stop = fields[0].partition("-")
            found.append(Mapping(int(start, 16), int(stop, 16), int(fields[2], 16), int(fields[4]), fields[5]))
    return found


def exceeds_memory(data_bytes: int) -> bool:
    """Whether so much data leaves no room for itself in the page cache."""
    allowed, room = memory_allowed(), memory_room()
    limits = [limit for limit in (allowed and allowed // 2, room and room * 4 // 5) if limit is not None]
    return bool(limits) and data_bytes > min(limits)


@dataclass(frozen=True, slots=True)
class FileRows:
    """Rows of ``row_bytes`` bytes each, from ``offset`` on in a file, told from another of its name by its inode."""

    path: str
    inode: int
    offset: int
    row_bytes: int

    @classmethod
    def behind(cls, array: npt.NDArray[Any], mapped: list[Mapping]) -> FileRows | None:
        """Where a contiguous array's rows are in the file that it is mapped from; None if it isn't."""
        address = int(array.__array_interface__["data"][0])
        for one in mapped:
            if one.start <= address and address + array.nbytes <= one.stop:
                return cls(one.path, one.inode, one.offset + address - one.start, array.strides[0])
        return None

    def hint(self, start: int, stop: int) -> None:
        """Tell the kernel that these rows will be read, so that it begins."""
        file = self._open()
        try:
            _hint(file, self.offset + start * self.row_bytes, self.offset + stop * self.row_bytes)
        finally:
            os.close(file)

    def read(self, start: int, stop: int, out: npt.NDArray[Any]) -> None:
        """Rows ``start`` to ``stop``, into a contiguous array."""
        file = self._open()
        try:
            _read_into(file, out.reshape(-1).view(np.uint8), self.offset + start * self.row_bytes)
        finally:
            os.close(file)

    def gather(self, ids: Ids, out: npt.NDArray[Any]) -> None:
        """The rows ``ids``, in their order, into a contiguous array."""
        if not out.size:
            return
        rows = out.reshape(len(ids), -1).view(np.dtype((np.void, self.row_bytes)))[:, 0]
        file = self._open()
        try:
            for part in self._parts(ids):
                rows[part] = self._gathered(file, ids[part])
        finally:
            os.close(file)

    def _parts(self, ids: Ids) -> Iterator[slice]:
        """Parts of the rows, each of few enough extents of the file to be held at once."""
        stack = [slice(0, len(ids))]
        while stack:
            part = stack.pop()
            lows, highs = self._extents(np.sort(ids[part]))
            middle = (part.start + part.stop) // 2
            if middle > part.start and int((highs - lows).sum()) > _HELD_BYTES:
                stack += [slice(middle, part.stop), slice(part.start, middle)]
            else:
                yield part

    def _extents(self, ordered: Ids) -> tuple[Ids, Ids]:
        """Where the extents of the file that hold these rows begin and end."""
        lows = ordered * self.row_bytes
        cuts = np.flatnonzero(np.diff(lows) > self.row_bytes + _BRIDGED_GAP_BYTES) + 1
        begins, ends = np.concatenate([[0], cuts]), np.concatenate([cuts - 1, [len(lows) - 1]])
        return lows[begins], lows[ends] + self.row_bytes

    def _gathered(self, file: int, ids: Ids) -> npt.NDArray[Any]:
        lows, highs = self._extents(np.sort(ids))
        for low, high in zip(lows.tolist(), highs.tolist(), strict=True):
            _hint(file, self.offset + low, self.offset + high)
        ends = np.cumsum(highs - lows)
        held = np.empty(int(ends[-1]), np.uint8)
        for low, high, end in zip(lows.tolist(), highs.tolist(), ends.tolist(), strict=True):
            _read_into(file, held[end - (high - low) : end], self.offset + low)
        places = ids * self.row_bytes
        number = np.searchsorted(lows, places, side="right") - 1
        at = places - lows[number] + (ends - (highs - lows))[number]
        row = np.dtype((np.void, self.row_bytes))
        every = np.ndarray((len(held) - self.row_bytes + 1,), row, held.data, strides=(1,))
        gathered: npt.NDArray[Any] = every[at]
        return gathered

    def _open(self) -> int:
        try:
            file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise DatasetError(f"{self.path}: can't be read any more ({error.strerror}). Put it back.") from error
        if os.fstat(file).st_ino != self.inode:
            os.close(file)
            raise DatasetError(f"{self.path}: another file has its name now; open the dataset again")
        return file


def _hint(file: int, low: int, high: int) -> None:
    for at in range(low, high, _HINT_BYTES):
        os.posix_fadvise(file, at, min(_HINT_BYTES, high - at), os.POSIX_FADV_WILLNEED)


def _read_into(file: int, out: npt.NDArray[np.uint8], at: int) -> None:
    count = fill(file, out.data, at)
    if count < len(out):
        raise DatasetError(
            f"a data file ends at byte {at + count:,}, before the rows that it is to hold; was it cut short?"
        )
