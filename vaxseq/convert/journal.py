"""What a conversion has finished, line by line, so that a killed one goes on; and the lock that keeps two apart."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from vaxseq.errors import DatasetError

JOURNAL_NAME = "journal.jsonl"
LOCK_NAME = "lock"
FORM = 2  # of the journal's lines: one of another form is not gone on with


@contextmanager
def locked(folder: Path, target: Path) -> Iterator[None]:
    """Holds the target's working folder; the system lets go when the process ends, however it ends.

    Raises:
        DatasetError: another process holds it.
    """
    path = folder / LOCK_NAME
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            file = open(path, "a")
        except FileNotFoundError:  # the other run has just finished and cleared the folder away
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise DatasetError(
                f"{target}: another conversion is writing it. Wait for it, or choose another target."
            ) from error
        if _same(path, file):
            break
        file.close()
    try:
        yield
    finally:
        if _same(path, file) and [one.name for one in folder.iterdir()] == [LOCK_NAME]:  # nothing was begun
            path.unlink()
            folder.rmdir()
        file.close()


def _same(path: Path, file: IO[str]) -> bool:
    """Whether the locked file is still the one at the path."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def key_of(description: Any) -> str:
    """A short fingerprint of what a conversion does; equal for equal descriptions."""
    return hashlib.sha256(json.dumps(description, sort_keys=True, default=str).encode()).hexdigest()[:32]


class Journal:
    """Lines of JSON, each written once and made durable before the next step counts on it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / JOURNAL_NAME
        self._file: IO[bytes] | None = None

    def read(self) -> list[dict[str, Any]]:
        """The whole lines; a line that a kill cut off is dropped, also from the file."""
        if not self._path.exists():
            return []
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        lines: list[dict[str, Any]] = []
        good = 0
        for raw in whole.splitlines(keepends=True):
            try:
                lines.append(json.loads(raw))
            except ValueError:  # a power cut may leave zeros; what follows isn't trusted either
                break
            good += len(raw)
        if good < len(content):
            with open(self._path, "r+b") as file:
                file.truncate(good)
        return lines

    def add(self, line: dict[str, Any]) -> None:
        """Appends a line."""
        if self._file is None:
            self._file = open(self._path, "ab", buffering=0)
        self._file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")

    def sync(self) -> None:
        """Waits until the disk has the lines."""
        if self._file is not None:
            os.fdatasync(self._file.fileno())

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def boot() -> str:
    """An id that changes when the machine starts anew: written pages survive a killed process, not a power cut."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"
