"""A file in an object store, by ranges: in blocks that are fetched many at once, checked, and kept on the local disk.

Blocks are the chunks of the seal that ``convert`` writes into its files, so that each is held to what was written.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, cached_property

import xxhash

from vaxseq.dataset.addresses import shown
from vaxseq.dataset.block_cache import BlockCache
from vaxseq.dataset.cache import cache_folder
from vaxseq.dataset.checksums import CHUNK_BYTES, sums_of_seal
from vaxseq.dataset.ipc_layout import footer_of
from vaxseq.dataset.objects import About, Range, read_ranges
from vaxseq.errors import DatasetError

_RUN_BLOCKS = 32  # so many blocks that follow each other are one request
_HELD_BLOCKS = 512
_ENTRUSTED = 3  # a block that differs from its checksum is fetched so often
_THREADS = 8

_lock = threading.Lock()
_held: OrderedDict[str, Future[bytes]] = OrderedDict()  # the last blocks, those on their way among them
fetched = [0, 0]  # bytes and requests of this process, for whoever measures


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="vaxseq-remote")


class RemoteFile:
    """A file at a URL, as it was when the store told its size and version."""

    def __init__(self, url: str, about: About, cache_bytes: int) -> None:
        self.url, self.about, self._cache_bytes = url, about, cache_bytes
        self._sums: list[int] | None = None
        self._summed = 0
        self._unproven: set[int] = set()

    @cached_property
    def _key(self) -> str:
        """What its blocks are called; made when the first is asked for: of a hundred thousand files few are read."""
        mark = f"{shown(self.url)}|{self.about.size}|{self.about.version}"
        return hashlib.blake2b(mark.encode(), digest_size=16).hexdigest()

    def __getstate__(self) -> tuple[str, About, int]:
        return self.url, self.about, self._cache_bytes

    def __setstate__(self, state: tuple[str, About, int]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def __str__(self) -> str:
        return shown(self.url)

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from start to stop.

        Raises:
            DatasetError: they aren't in the file, or aren't what was written.
            SourceError: the store doesn't give them.
        """
        if not 0 <= start <= stop <= self.about.size:
            raise DatasetError(f"{self}: has {self.about.size:,} bytes, asked for {start:,} to {stop:,}. Is it whole?")
        if start == stop:
            return b""
        numbers = range(start // CHUNK_BYTES, -(-stop // CHUNK_BYTES))
        parts = [one.result() for one in self._started(numbers)]
        first = numbers.start * CHUNK_BYTES
        if len(parts) == 1:
            return parts[0][start - first : stop - first]
        parts[0] = parts[0][start - first :]
        parts[-1] = parts[-1][: stop - (numbers.stop - 1) * CHUNK_BYTES]
        return b"".join(parts)

    def begin(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Has these bytes fetched, so that they are there, or on their way, when they are read."""
        numbers = {
            n for start, stop in ranges if start < stop for n in range(start // CHUNK_BYTES, -(-stop // CHUNK_BYTES))
        }
        self._started(sorted(numbers)[: _HELD_BLOCKS // 2])

    def seal(self, end: int) -> bool:
        """Reads the checksums that stand before ``end``: from now on blocks are held to them, those before are now.

        Gives whether what was read so far is as it was written.
        """
        found = sums_of_seal(self.read, end)
        if found is None:
            return False
        self._sums, self._summed, after = found
        with _lock:
            early = sorted(self._unproven)
        proven = all(self._as_written(one, self._block(one)) for one in early)
        return proven and xxhash.xxh3_64_intdigest(self.read(end, self.about.size)) == after

    def forget(self) -> None:
        """Has what was read without a checksum fetched anew."""
        cache_of_blocks = self._cache()
        with _lock:
            for number in self._unproven:
                _held.pop(f"{self._key}-{number}", None)
                cache_of_blocks.drop(f"{self._key}-{number}")
            self._unproven.clear()
        self._sums = None

    def _block(self, number: int) -> bytes:
        return self.read(number * CHUNK_BYTES, min((number + 1) * CHUNK_BYTES, self.about.size))

    def _cache(self) -> BlockCache:
        return BlockCache(cache_folder() / "blocks", self._cache_bytes)

    def _started(self, numbers: Iterable[int]) -> list[Future[bytes]]:
        found, mine = [], []
        with _lock:
            for number in numbers:
                name = f"{self._key}-{number}"
                future = _held.get(name)
                if future is None:
                    future = _held[name] = Future()
                    mine.append((number, future))
                _held.move_to_end(name)
                found.append(future)
            for name in [one for one, _ in zip(_held, range(len(_held) - _HELD_BLOCKS), strict=False)]:
                if _held[name].done():
                    del _held[name]
        for run in _runs(mine):
            _pool().submit(self._fill, run)
        return found

    def _fill(self, run: list[tuple[int, Future[bytes]]]) -> None:
        """Blocks that follow each other, from the local disk or the store."""
        try:
            cached = self._cache()
            missing = []
            if self._sums is None:
                with _lock:
                    self._unproven.update(number for number, _ in run)
            for number, future in run:
                content = cached.get(f"{self._key}-{number}")
                if content is None:
                    missing.append((number, future))
                else:
                    future.set_result(content)
            for part in _runs(missing):
                for (number, future), content in zip(part, self._fetched(part[0][0], len(part)), strict=True):
                    cached.put(f"{self._key}-{number}", content)
                    future.set_result(content)
        except BaseException as error:  # noqa: BLE001 - whoever waits for a block gets it
            with _lock:
                for number, _ in run:
                    _held.pop(f"{self._key}-{number}", None)
            for _, future in run:
                if not future.done():
                    future.set_exception(error)

    def _fetched(self, first: int, count: int) -> list[bytes]:
        low, high = first * CHUNK_BYTES, min((first + count) * CHUNK_BYTES, self.about.size)
        for _ in range(_ENTRUSTED):
            [content] = read_ranges([Range(self.url, low, high)])
            with _lock:
                fetched[0] += len(content)
                fetched[1] += 1
            parts = [content[at : at + CHUNK_BYTES] for at in range(0, len(content), CHUNK_BYTES)]
            wrong = [number for number, part in enumerate(parts, first) if not self._as_written(number, part)]
            if not wrong:
                return parts
        raise DatasetError(
            f"{self}: bytes {wrong[0] * CHUNK_BYTES:,} and on aren't those that were written: the file was replaced "
            "since the dataset was opened, or is damaged. Open it again; if that doesn't help, put it there anew."
        )

    def _as_written(self, number: int, content: bytes) -> bool:
        if self._sums is None or number >= len(self._sums):
            return True
        return xxhash.xxh3_64_intdigest(content[: self._summed - number * CHUNK_BYTES]) == self._sums[number]


def _runs(blocks: list[tuple[int, Future[bytes]]]) -> Iterable[list[tuple[int, Future[bytes]]]]:
    run: list[tuple[int, Future[bytes]]] = []
    for one in blocks:
        if run and (one[0] != run[-1][0] + 1 or len(run) == _RUN_BLOCKS):
            yield run
            run = []
        run.append(one)
    if run:
        yield run


def arrow_footer(file: RemoteFile) -> bytes:
    """An Arrow file's footer; what is read of the file afterwards is held to its seal.

    Raises:
        DatasetError: it isn't an Arrow file, or isn't what was written.
    """
    for attempt in range(_ENTRUSTED):
        last = attempt + 1 == _ENTRUSTED
        try:
            found, start = footer_of(file.about.size, file.read)
            if file.seal(start):
                return found
        except DatasetError:
            if last:
                raise
        if not last:
            file.forget()
    raise DatasetError(
        f"{file}: its end isn't what was written, or has no checksums: it was replaced since the dataset was opened, "
        "is damaged, or wasn't written by convert. Put it there anew."
    )
