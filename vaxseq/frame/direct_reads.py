"""Reads past the page cache for data larger than memory: exactly the rows asked for, many at once, not by a mapping.

Left to itself, the kernel reads around each mapped page that is touched, megabytes on some systems. Memory that holds
the whole file makes use of that sooner or later; where it can't, most of it is dropped before anything comes to it.
What the page cache can't keep until it is read again goes past it, where the system can: making room for pages, and
giving it up again, costs more than reading them.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from vaxseq.dataset.memory_limit import lines_of, memory_allowed, memory_room
from vaxseq.dataset.reads import fill
from vaxseq.errors import DatasetError
from vaxseq.frame.pages import PAGE, PAST_CACHE, aligned_bytes, in_pages, to_page
from vaxseq.frame.queued_io import read_pieces

_BRIDGED_GAP_BYTES = 16 << 10  # a gap of so few bytes is read as well: one request costs more
_HELD_BYTES = 32 << 20
_OWN_BYTES = 512 << 20  # of memory, for what isn't the page cache's
_HINT_BYTES = 512 << 10  # the kernel cuts a longer hint short
SLACK_BYTES = 3 * PAGE  # what memory must have more than the rows that are fetched into it
_PIECE_BYTES = 1 << 20  # read at once
_BOUNCE_BYTES = (2 << 20) - 2 * PAGE

_bounce = threading.local()

Ids = npt.NDArray[np.int64]
Found = TypeVar("Found")


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


def outgrows_cache(data_bytes: int) -> bool:
    """Whether the page cache can't hold so much data, whatever else it gives up."""
    return any(limit is not None and data_bytes > limit for limit in (memory_allowed(), memory_room()))


def cache_share() -> int:
    """How many bytes of data that outgrows the page cache it keeps without giving any of them up."""
    return max(0, (memory_room() or 0) - _OWN_BYTES)


@dataclass(frozen=True, slots=True)
class FileRows:
    """Rows of ``row_bytes`` bytes each, from ``offset`` on in a file, told from another of its name by its inode.

    ``past_cache``: nothing of what is fetched is to stay in the page cache, but for what ``read`` reads of the first
    ``kept_rows``: those are there in the next epoch.
    """

    path: str
    inode: int
    offset: int
    row_bytes: int
    past_cache: bool = False
    kept_rows: int = 0

    @classmethod
    def behind(cls, array: npt.NDArray[Any], mapped: list[Mapping], past_cache: bool = False) -> FileRows | None:
        """Where a contiguous array's rows are in the file that it is mapped from; None if it isn't."""
        address = _address(array)
        for one in mapped:
            if one.start <= address and address + array.nbytes <= one.stop:
                return cls(one.path, one.inode, one.offset + address - one.start, array.strides[0], past_cache)
        return None

    def fetch(self, start: int, stop: int, memory: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The bytes of rows ``start`` to ``stop``, anywhere in ``memory``: theirs and SLACK_BYTES at least."""
        return self._using(lambda file, aligned: self._fetched(file, aligned, start, stop, memory))

    def hint(self, start: int, stop: int) -> None:
        """Tell the kernel that these rows will be read, so that it begins."""
        with self._opened() as file:
            _hint(file, *self.extent(start, stop))

    def read(self, start: int, stop: int, out: npt.NDArray[Any]) -> None:
        """Rows ``start`` to ``stop``, into a contiguous array."""
        rows = replace(self, past_cache=False) if stop <= self.kept_rows else self
        rows.read_extents([self.extent(start, stop)], out)

    def extent(self, start: int, stop: int) -> tuple[int, int]:
        """Where in the file rows ``start`` to ``stop`` begin and end."""
        return self.offset + start * self.row_bytes, self.offset + stop * self.row_bytes

    def read_extents(self, extents: Sequence[tuple[int, int]], out: npt.NDArray[Any]) -> None:
        """Extents of this file, end to end, into a contiguous array."""
        content = out.reshape(-1).view(np.uint8)
        self._using(lambda file, aligned: (_read_aligned if aligned else _read_all)(file, extents, content))

    def fetch_extents(self, extents: Ids, memory: npt.NDArray[np.uint8], places: Ids) -> None:
        """Extents of this file, shape (n, 2), each to ``places`` of the memory, the bytes of its first page before it.

        The memory begins with a page, as each place does, and holds all pages that an extent touches.
        """
        self._using(lambda file, aligned: _fetch_extents(file, aligned, extents, memory, places))

    def gather(self, ids: Ids, out: npt.NDArray[Any]) -> None:
        """The rows ``ids``, in their order, into a contiguous array."""
        if not out.size:
            return
        rows = out.reshape(len(ids), -1).view(np.dtype((np.void, self.row_bytes)))[:, 0]
        with self._opened() as file:
            for part in self._parts(ids):
                rows[part] = self._gathered(file, ids[part])

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
            _read_into(file, held[end - (high - low) : end], self.offset + low, high - low)
        places = ids * self.row_bytes
        number = np.searchsorted(lows, places, side="right") - 1
        at = places - lows[number] + (ends - (highs - lows))[number]
        row = np.dtype((np.void, self.row_bytes))
        every = np.ndarray((len(held) - self.row_bytes + 1,), row, held.data, strides=(1,))
        gathered: npt.NDArray[Any] = every[at]
        return gathered

    def _using(self, use: Callable[[int, bool], Found]) -> Found:
        """What ``use`` makes of the file, and of whether reads are to be aligned: past the page cache, if they can."""
        if self.past_cache and PAST_CACHE:
            try:
                with self._opened(PAST_CACHE) as file:
                    return use(file, True)
            except OSError as error:
                if error.errno != errno.EINVAL:  # it can't, with this file system
                    raise
        with self._opened() as file:
            return use(file, False)

    def _fetched(
        self, file: int, aligned: bool, start: int, stop: int, memory: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.uint8]:
        low, high = self.extent(start, stop)
        begin = low // PAGE * PAGE if aligned else low
        size = in_pages(high - begin) if aligned else high - begin
        at = to_page(memory)
        place = memory[at : at + size]
        _read_into(file, place, begin, high - begin)
        return place[low - begin : high - begin]

    @contextmanager
    def _opened(self, flags: int = 0) -> Iterator[int]:
        try:
            file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | flags)
        except OSError as error:
            if flags and error.errno == errno.EINVAL:
                raise
            raise DatasetError(f"{self.path}: can't be read any more ({error.strerror}). Put it back.") from error
        try:
            if os.fstat(file).st_ino != self.inode:
                raise DatasetError(f"{self.path}: another file has its name now; open the dataset again")
            yield file
        finally:
            os.close(file)


def _hint(file: int, low: int, high: int) -> None:
    for at in range(low, high, _HINT_BYTES):
        os.posix_fadvise(file, at, min(_HINT_BYTES, high - at), os.POSIX_FADV_WILLNEED)


def _address(array: npt.NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])


def _bounce_memory() -> npt.NDArray[np.uint8]:
    """This thread's memory for what is read and copied at once: as many bytes, wherever in a page they begin."""
    memory: npt.NDArray[np.uint8] | None = getattr(_bounce, "memory", None)
    if memory is None or len(memory) < _BOUNCE_BYTES + 2 * PAGE:
        memory = _bounce.memory = aligned_bytes(_BOUNCE_BYTES + 2 * PAGE)
    return memory


def _read_all(file: int, extents: Sequence[tuple[int, int]], out: npt.NDArray[np.uint8]) -> None:
    at = 0
    for low, high in extents:
        _read_into(file, out[at : at + high - low], low, high - low)
        at += high - low


def _read_aligned(file: int, extents: Sequence[tuple[int, int]], out: npt.NDArray[np.uint8]) -> None:
    """The same by way of aligned memory, small enough for the processor's cache: as many at once as that holds."""
    memory, at = _bounce_memory(), 0
    most = min(_PIECE_BYTES, len(memory) - 2 * PAGE)  # a piece lies in so many bytes' pages, and two more
    pieces = [(low, min(low + most, stop)) for start, stop in extents for low in range(start, stop, most)]
    lows, highs = np.array(pieces, np.int64).reshape(-1, 2).T
    begins = lows // PAGE * PAGE
    sizes = -(-(highs - begins) // PAGE) * PAGE
    first = 0
    while first < len(pieces):
        places = np.cumsum(sizes[first:]) - sizes[first:]
        last = first + int(np.searchsorted(places + sizes[first:], len(memory), side="right"))
        some = slice(first, last)
        came = read_pieces(file, begins[some], sizes[some], memory, places[: last - first])
        for low, high, begin, place, size, count in zip(
            *(one.tolist() for one in (lows[some], highs[some], begins[some], places, sizes[some], came)), strict=False
        ):
            piece = memory[place : place + size]
            if count < high - begin:
                _read_into(file, piece, begin, high - begin)
            out[at : at + high - low] = piece[low - begin : high - begin]
            at += high - low
        first = last


def _fetch_extents(file: int, aligned: bool, extents: Ids, memory: npt.NDArray[np.uint8], places: Ids) -> None:
    begins = extents[:, 0] // PAGE * PAGE
    if not aligned:
        for low, high, begin, place in zip(*extents.T.tolist(), begins.tolist(), places.tolist(), strict=True):
            _read_into(file, memory[place + low - begin : place + high - begin], low, high - low)
        return
    sizes = -(-(extents[:, 1] - begins) // PAGE) * PAGE
    parts = -(-sizes // _PIECE_BYTES)
    piece = np.repeat(np.arange(len(extents)), parts)
    within = (np.arange(len(piece)) - np.repeat(np.cumsum(parts) - parts, parts)) * _PIECE_BYTES
    offsets, targets = begins[piece] + within, places[piece] + within
    lengths = np.minimum(sizes[piece] - within, _PIECE_BYTES)
    came = read_pieces(file, offsets, lengths, memory, targets)
    needed = np.minimum(extents[piece, 1] - offsets, lengths)
    for at in np.flatnonzero(came < needed).tolist():
        target = int(targets[at])
        _read_into(file, memory[target : target + int(lengths[at])], int(offsets[at]), int(needed[at]))


def _read_into(file: int, out: npt.NDArray[np.uint8], at: int, needed: int) -> None:
    count = fill(file, out.data, at)
    if count < needed:
        raise DatasetError(
            f"a data file ends at byte {at + count:,}, before the rows that it is to hold; was it cut short?"
        )
