"""Files within zip archives, named as if the archive were a folder: ``raw.zip/2024/a.csv``."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from typing import Any

from vaxseq.errors import SourceError, did_you_mean

SUFFIX = ".zip"
_DAMAGE = (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError)


def parts(path: str) -> tuple[str, str] | None:
    """The archive and the member that a path names; None for any other path."""
    if SUFFIX + "/" not in path.lower():
        return None
    at = 0
    while (at := path.lower().find(SUFFIX + "/", at)) >= 0:
        archive, member = path[: at + len(SUFFIX)], path[at + len(SUFFIX) + 1 :]
        if os.path.isfile(archive) and member:
            return archive, member
        at += 1
    return None


def is_archive(path: str) -> bool:
    """Whether it is a zip archive on this machine."""
    return path.lower().endswith(SUFFIX) and os.path.isfile(path)


def members(archive: str) -> list[str]:
    """Paths of the files in an archive, sorted; hidden ones, and what macOS adds, left out.

    Raises:
        SourceError: it can't be read.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            names = sorted(one.filename for one in opened.infolist() if not one.is_dir())
    except _DAMAGE as error:
        raise SourceError(f"{archive}: can't read the archive: {error}. It is damaged or no zip archive.") from error
    shown = [name for name in names if not any(part.startswith((".", "_")) for part in name.split("/"))]
    return [f"{archive}/{name}" for name in shown]


def _entry(opened: zipfile.ZipFile, archive: str, member: str) -> zipfile.ZipInfo:
    try:
        return opened.getinfo(member)
    except KeyError as error:
        names = opened.namelist()
        raise SourceError(
            f"{archive}: no file {member!r} in the archive.{did_you_mean(member, names)} It holds {names[:5]}."
        ) from error


def stamp(archive: str, member: str) -> tuple[int, bytes]:
    """The member's size, and bytes that change when it does."""
    try:
        with zipfile.ZipFile(archive) as opened:
            one = _entry(opened, archive, member)
            return one.file_size, repr([one.filename, one.file_size, one.CRC]).encode()
    except _DAMAGE as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"{archive}: can't read the archive: {error}. It is damaged or no zip archive.") from error


def open_member(archive: str, member: str) -> Any:
    """The member as a binary file, unpacked while it is read."""
    try:
        opened = zipfile.ZipFile(archive)
        return _Member(f"{archive}/{member}", opened, opened.open(_entry(opened, archive, member)))
    except _DAMAGE as error:
        if isinstance(error, SourceError):
            raise
        hint = "It is encrypted; unpack it first." if "encrypted" in str(error) else "It is damaged; get it again."
        raise SourceError(f"{archive}/{member}: can't be unpacked: {error}. {hint}") from error


class _Member(io.RawIOBase):
    """An open member, which closes its archive and says what is wrong with it."""

    def __init__(self, path: str, archive: zipfile.ZipFile, file: Any) -> None:
        self._path, self._archive, self._file = path, archive, file

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        try:
            found = self._file.read(len(view))
        except _DAMAGE as error:
            raise SourceError(f"{self._path}: can't be unpacked: {error}. It is damaged; get it again.") from error
        view[: len(found)] = found
        return len(found)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if not self.closed:
            self._file.close()
            self._archive.close()
        super().close()
