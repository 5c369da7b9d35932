"""The seal of a file: checksums of all its bytes, written into it where no reader of its format looks.

In an Arrow file it stands between the end of the stream and the footer, in an HDF5 file behind the end. It holds an
XXH3 of every 256 KiB before it, one of what comes after it, and one of itself, so that no byte is left out.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import xxhash

from vaxseq.dataset.fanout import in_turn
from vaxseq.dataset.reads import fill

Read = Callable[[int, int], bytes]  # from, to: bytes of the file

CHUNK_BYTES = 1 << 18
_MAGIC = b"VXSEAL01"
_HEAD = struct.Struct("<8sQIIQ")  # magic, bytes before it, chunk size, chunks, hash of the bytes after it
_END = struct.Struct("<QQ8s")  # hash of the seal so far, its length, magic
_READ = CHUNK_BYTES  # what was read is hashed while it is in the cache
_STRETCH_BYTES = 64 * CHUNK_BYTES  # what a thread reads at a time
_THREADS = 4
_ARROW_END = 10  # the footer's length and the magic


class ChunkChecksums:
    """XXH3 of each chunk of what is written, piece by piece."""

    def __init__(self) -> None:
        self.length = 0
        self._done: list[int] = []
        self._open: Any = xxhash.xxh3_64()
        self._filled = 0

    def add(self, content: bytes | memoryview) -> None:
        """The next bytes."""
        view = memoryview(content).cast("B")
        self.length += len(view)
        while len(view):
            if not self._filled and len(view) >= CHUNK_BYTES:
                self._done.append(xxhash.xxh3_64_intdigest(view[:CHUNK_BYTES]))
                view = view[CHUNK_BYTES:]
                continue
            part = view[: CHUNK_BYTES - self._filled]
            self._open.update(part)
            self._filled += len(part)
            view = view[len(part) :]
            if self._filled == CHUNK_BYTES:
                self._done.append(self._open.intdigest())
                self._open, self._filled = xxhash.xxh3_64(), 0

    def copy(self) -> ChunkChecksums:
        """The same so far, to go on with apart."""
        made = ChunkChecksums()
        made.length, made._done, made._filled = self.length, list(self._done), self._filled
        made._open = self._open.copy()
        return made

    def chunks(self) -> list[int]:
        """The hash of every chunk, the last one maybe shorter."""
        return [*self._done, self._open.intdigest()] if self._filled else list(self._done)

    @classmethod
    def of(
        cls,
        path: str | os.PathLike[str],
        length: int,
        told: Callable[[int], None] | None = None,
        known: Mapping[int, int] = MappingProxyType({}),
    ) -> ChunkChecksums:
        """Of a file's first bytes, or all of a shorter one. Threads share them: one reads while another hashes.

        Chunks that are ``known``, number to hash, aren't read.
        """
        made = cls()
        found = dict(known)
        stretches = list(_unknown(length // CHUNK_BYTES, known))
        calls = ((path, start * CHUNK_BYTES, stop * CHUNK_BYTES) for start, stop in stretches)
        with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
            hashes = in_turn(pool, _chunks_of, calls, where=os.fspath(path))
            for (start, _), chunks in zip(stretches, hashes, strict=True):
                found |= enumerate(chunks, start)
                if told is not None:
                    told(len(chunks) * CHUNK_BYTES)
        made._done = [found[number] for number in range(length // CHUNK_BYTES) if number in found]
        made.length = len(made._done) * CHUNK_BYTES
        for part in _parts(path, made.length, length):
            made.add(part)
            if told is not None:
                told(len(part))
        return made


class StretchChecksums:
    """The hashes of a file's chunks that lie whole in one stretch of it, as the stretch is written from its start."""

    def __init__(self, start: int) -> None:
        self._before = -start % CHUNK_BYTES  # up to the first whole chunk
        self._first = -(-start // CHUNK_BYTES)
        self._sums = ChunkChecksums()

    def add(self, content: bytes | memoryview) -> None:
        """The stretch's next bytes."""
        view = memoryview(content).cast("B")
        skipped = min(self._before, len(view))
        self._before -= skipped
        self._sums.add(view[skipped:])

    def chunks(self) -> dict[int, int]:
        """The hash of each chunk that is full, by its number in the file."""
        return dict(enumerate(self._sums.chunks()[: self._sums.length // CHUNK_BYTES], self._first))


def seal_of(sums: ChunkChecksums, tail: bytes) -> bytes:
    """The seal that stands behind the bytes of ``sums`` and before ``tail``."""
    chunks = sums.chunks()
    after = xxhash.xxh3_64_intdigest(tail)
    body = _HEAD.pack(_MAGIC, sums.length, CHUNK_BYTES, len(chunks), after) + struct.pack(f"<{len(chunks)}Q", *chunks)
    length = len(body) + _END.size
    return body + _END.pack(xxhash.xxh3_64_intdigest(body), length, _MAGIC)


def seal_file(path: str | os.PathLike[str], known: Mapping[int, int] = MappingProxyType({})) -> None:
    """Appends the seal to a finished file whose format allows bytes behind its end.

    What its writer knows of its chunks, as StretchChecksums tells it, isn't read again.
    """
    sums = ChunkChecksums.of(path, os.path.getsize(path), known=known)
    with open(path, "r+b") as file:
        file.seek(0, os.SEEK_END)
        file.write(seal_of(sums, b""))
        file.flush()
        os.fsync(file.fileno())


def is_sealed(path: str | os.PathLike[str]) -> bool:
    """Whether a file ends with its seal: cheap, and tells one that was cut short or lost its end."""
    with open(path, "rb") as file:
        read = _reads(file)
        end = _place(read, os.path.getsize(path), os.fspath(path))
        found = None if end is None else _seal_before(read, end)
    return found is not None and found[0] == found[1]


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of a file, from ``start`` to ``stop``, that aren't what was written."""

    start: int
    stop: int
    what: str = "data"


def check_seal(path: str | os.PathLike[str], told: Callable[[int], None] | None = None) -> list[Damage] | None:
    """Every stretch of the file that differs from its seal; None where it has none.

    ``told`` hears of bytes that were read.
    """

    def chunks(length: int) -> list[int]:
        return ChunkChecksums.of(path, length, told).chunks()

    with open(path, "rb") as file:
        return damage(_reads(file), os.path.getsize(path), os.fspath(path), chunks)


def damage(read: Read, size: int, name: str, chunks_of: Callable[[int], list[int]]) -> list[Damage] | None:
    """The same of a file that is read by ranges; ``chunks_of`` gives the hash of each chunk of its first bytes."""
    end = _place(read, size, name)
    found = _seal_before(read, end) if end is not None else None
    if found is None:
        return [Damage(0, size, "structure")] if _had_one(read, size) else None
    start, length, chunks, after = found
    damaged: list[Damage] = []
    if start != length:
        return [Damage(0, size, "structure")]
    if xxhash.xxh3_64_intdigest(read(end or size, size)) != after:
        damaged.append(Damage(end or size, size, "footer"))
    for number, (now, then) in enumerate(zip_longest(chunks_of(length), chunks)):  # a file may be cut short meanwhile
        if now != then:
            low, high = number * CHUNK_BYTES, min((number + 1) * CHUNK_BYTES, length)
            if damaged and damaged[-1].stop == low and damaged[-1].what == "data":
                damaged[-1] = Damage(damaged[-1].start, high)
            else:
                damaged.append(Damage(low, high))
    return damaged


def _reads(file: IO[bytes]) -> Read:
    def read(start: int, stop: int) -> bytes:
        file.seek(start)
        return file.read(stop - start)

    return read


def _place(read: Read, size: int, name: str) -> int | None:
    """Where the seal ends: before an Arrow file's footer, at another file's end."""
    if read(0, min(6, size)) == b"ARROW1" or Path(name).suffix in (".arrow", ".feather", ".ipc"):
        if size < _ARROW_END:
            return None
        (footer,) = struct.unpack("<i", read(size - _ARROW_END, size - _ARROW_END + 4))
        end = size - _ARROW_END - int(footer)
        return end if 0 < end <= size else None
    return size


def sums_of_seal(read: Read, end: int) -> tuple[list[int], int, int] | None:
    """Of the seal that ends at ``end``: each chunk's hash, the bytes they are of, the hash of what comes behind."""
    found = _seal_before(read, end)
    return None if found is None or found[0] != found[1] else (found[2], found[1], found[3])


def _seal_before(read: Read, end: int) -> tuple[int, int, list[int], int] | None:
    if end < _HEAD.size + _END.size:
        return None
    own, length, magic = _END.unpack(read(end - _END.size, end))
    if magic != _MAGIC or not _HEAD.size + _END.size <= length <= end:
        return None
    body = read(end - length, end - _END.size)
    if xxhash.xxh3_64_intdigest(body) != own:
        return None
    _, before, chunk, count, after = _HEAD.unpack_from(body)
    if chunk != CHUNK_BYTES or len(body) != _HEAD.size + 8 * count or count != -(-before // CHUNK_BYTES):
        return None
    return end - length, before, list(struct.unpack_from(f"<{count}Q", body, _HEAD.size)), after


def _had_one(read: Read, size: int) -> bool:
    """Whether a mark of a seal is anywhere in the file's last part: then it was sealed, and is damaged."""
    begins = range(max(size - (1 << 26), 0), size, _STRETCH_BYTES)
    return any(_MAGIC[:-1] in read(at, min(at + _STRETCH_BYTES, size)) for at in begins)


def _unknown(count: int, known: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """The chunks, from and to, that aren't known: as many at a time as one thread reads."""
    start = 0
    for number in range(count + 1):
        if number == count or number in known or number - start == _STRETCH_BYTES // CHUNK_BYTES:
            if start < number:
                yield start, number
            start = number + 1 if number in known else number


def _chunks_of(path: str | os.PathLike[str], start: int, stop: int) -> list[int]:
    """The hash of each whole chunk of a stretch."""
    return [xxhash.xxh3_64_intdigest(part) for part in _parts(path, start, stop) if len(part) == CHUNK_BYTES]


def _parts(path: str | os.PathLike[str], start: int, stop: int) -> Iterator[Any]:
    """A stretch of a file in full parts; each is good until the next one is asked for."""
    held = memoryview(bytearray(min(_READ, max(stop - start, 1))))
    with open(path, "rb", buffering=0) as file:
        for at in range(start, stop, len(held)):
            wanted = min(len(held), stop - at)
            count = fill(file.fileno(), held[:wanted], at)
            if count:
                yield held[:count]
            if count < wanted:
                return
