"""Blocks of remote files on the local disk: least recently used, bounded by bytes, shared by processes.

A block is one file with an XXH3 of its bytes behind them. It is written under a lock and renamed, so that a reader
finds it whole or not at all; what a kill or a power cut leaves is told by the checksum and removed. A counter in the
folder says how many bytes are there. It is raised before a block is written, so it is never too low, and counted anew
when it reaches the bound.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import xxhash

_SUM_BYTES = 8
_KEPT_SHARE = 0.9  # so much is kept when room is made, so that not every block has to make some
_DRAFT = ".draft"


class BlockCache:
    """At most ``most_bytes`` of blocks in a folder; 0 keeps none."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder, self._most = folder, most_bytes

    def get(self, name: str) -> bytes | None:
        """A block's bytes; None if it isn't there, or isn't whole."""
        if not self._most:
            return None
        path = self._path(name)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        body, told = content[:-_SUM_BYTES], content[-_SUM_BYTES:]
        if len(content) < _SUM_BYTES or xxhash.xxh3_64_digest(body) != told:
            path.unlink(missing_ok=True)
            return None
        with suppress(FileNotFoundError):  # another process has just made room
            os.utime(path)
        return body

    def put(self, name: str, content: bytes) -> None:
        """Keeps a block, in place of those that weren't used for longest."""
        size = len(content) + _SUM_BYTES
        if size > self._most:
            return
        path = self._path(name)
        with self._locked() as counter:
            if path.exists():
                return
            known = int.from_bytes(os.pread(counter, 8, 0), "little") + size
            if known > self._most:
                known = self._make_room(size) + size
            os.pwrite(counter, known.to_bytes(8, "little"), 0)
            path.parent.mkdir(exist_ok=True)
            draft = path.with_name(path.name + _DRAFT)
            with open(draft, "wb") as file:
                file.write(content)
                file.write(xxhash.xxh3_64_digest(content))
            os.replace(draft, path)

    def drop(self, name: str) -> None:
        """Forgets a block."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / name

    @contextmanager
    def _locked(self) -> Iterator[int]:
        self._folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._folder / "bytes", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield handle
        finally:
            os.close(handle)

    def _make_room(self, size: int) -> int:
        """Removes what wasn't used for longest, and a killed process's drafts; the bytes that are left."""
        found = []
        for folder in self._folder.iterdir():
            for path in folder.glob(f"{folder.name}*") if len(folder.name) == 2 else ():  # ours, as _path names them
                if path.name.endswith(_DRAFT):  # nobody writes one while we hold the lock
                    path.unlink()
                    continue
                with suppress(FileNotFoundError):  # its reader found it damaged
                    about = path.stat()
                    found.append((about.st_mtime_ns, about.st_size, path))
        left = sum(one for _, one, _ in found)
        room = min(int(self._most * _KEPT_SHARE), self._most - size)
        for _, one, path in sorted(found):
            if left <= room:
                break
            path.unlink(missing_ok=True)
            left -= one
        return left
