"""Where a source lies, a local file or a URL, through one set of questions."""

from __future__ import annotations

import glob
import io
import os
import stat as modes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from vaxseq.convert import archives
from vaxseq.dataset.addresses import is_url, secrets_of, shown, without_secrets
from vaxseq.dataset.objects import file_system as filesystem
from vaxseq.errors import SourceError, SourceNotFoundError

__all__ = [
    "below", "check_readable", "content", "explained", "filesystem", "find", "is_url", "local_path", "open_bytes",
    "secrets_of", "shown", "size_of", "stamp",
]  # fmt: skip

_STAMPS = ("ETag", "etag", "md5Hash", "checksum", "mtime", "LastModified", "last_modified", "created", "modified")
_EDGE = 1 << 16
_SAMPLES, _SAMPLE_BYTES = 64, 1 << 12
_READ_AHEAD = 4 << 20


def local_path(path: str) -> str:
    """``file://`` URLs as the paths that they are; others unchanged."""
    if path.startswith("file://"):
        return unquote(urlsplit(path).path)
    return path


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Errors of storage as ours, without secrets.

    Raises:
        SourceNotFoundError: nothing there.
        SourceError: it can't be read.
    """
    try:
        yield
    except SourceError:
        raise
    except FileNotFoundError as error:
        if path.startswith(("http://", "https://")):  # fsspec says so of whatever a server answers, or doesn't
            why = type(error.__cause__).__name__ if error.__cause__ is not None else "the server doesn't have it"
            status = getattr(error.__cause__, "status", None)
            raise SourceNotFoundError(
                f"{shown(path)}: can't be fetched: {f'status {status}' if status else why}. Check the address, and "
                "whether the server answers."
            ) from None
        raise SourceNotFoundError(f"{shown(path)}: no such file. Check the path.") from (
            None if is_url(path) else error
        )
    except Exception as error:  # each kind of storage has its own; the chain may hold secrets, so it ends here
        if not is_url(path):
            if not isinstance(error, OSError):
                raise
            raise SourceError(f"{path}: can't read the file: {error}.") from error
        text = without_secrets(str(error), path)
        raise SourceError(
            f"{shown(path)}: can't be read: {type(error).__name__}: {text}. Check the address and the credentials."
        ) from None


def is_file(path: str) -> bool:
    """Whether reading it comes to an end: it is a file, or a link to one, and no pipe or device.

    A link to nothing counts as a file: that it isn't there is told when it is read.
    """
    try:
        return modes.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return os.path.islink(path)


def check_readable(path: str) -> None:
    """Refuses a local pipe, device or socket, whose bytes may never end.

    Raises:
        SourceError: naming it.
    """
    if not is_url(path) and os.path.exists(path) and not os.path.isdir(path) and not is_file(path):
        raise SourceError(
            f"{path}: a pipe, device or socket, expected a file, which can be read twice. Write it to a file first."
        )


def open_bytes(path: str, *, stream: bool = False) -> Any:
    """The source as a binary file; of a URL only the parts that are read are fetched.

    It can be sought unless ``stream`` says that it is read from its start, which any web server can serve.
    """
    if (packed := archives.parts(path)) is not None:
        return archives.open_member(*packed)
    if not is_url(path):
        return open(path, "rb")
    system, inside = filesystem(path)
    with explained(path):
        at_once = 0 if stream and path.startswith(("http://", "https://")) else _READ_AHEAD
        return _Remote(path, system.open(inside, "rb", block_size=at_once))


class _Remote(io.RawIOBase):
    """A file behind a URL, whose every error is ours and without secrets."""

    def __init__(self, path: str, file: Any) -> None:
        self._path, self._file = path, file

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        with explained(self._path):
            found = self._file.read(len(view))
        view[: len(found)] = found
        return len(found)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        with explained(self._path):
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def size_of(path: str) -> int:
    """Bytes there; 0 where a server doesn't say."""
    if (packed := archives.parts(path)) is not None:
        return archives.stamp(*packed)[0]
    if not is_url(path):
        return os.path.getsize(path)
    system, inside = filesystem(path)
    with explained(path):
        return int(system.size(inside) or 0)


def stamp(path: str) -> tuple[int, bytes]:
    """Size, and bytes that change when the source does: a file's edges and time of change, a URL's entity tag."""
    if (packed := archives.parts(path)) is not None:
        return archives.stamp(*packed)
    if not is_url(path):
        check_readable(path)
        with explained(path), open(path, "rb") as file:
            about = os.fstat(file.fileno())
            edges = file.read(_EDGE)
            file.seek(max(about.st_size - _EDGE, 0))
            return about.st_size, f"{about.st_size} {about.st_mtime_ns}".encode() + edges + file.read(_EDGE)
    system, inside = filesystem(path)
    with explained(path):
        system.invalidate_cache()
        about = system.info(inside)
        size = int(about.get("size") or 0)
        return size, repr([size, *(str(about.get(key)) for key in _STAMPS)]).encode()


def content(path: str) -> bytes:
    """Bytes that a copy of the source gives, too: a file's size and parts of it, a URL's entity tag."""
    if is_url(path) or archives.parts(path) is not None:
        return stamp(path)[1]
    with explained(path), open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        parts = [file.read(_EDGE)]
        for number in range(1, _SAMPLES + 1):
            file.seek(max(size - _EDGE, 0) * number // _SAMPLES)
            parts.append(file.read(_EDGE if number == _SAMPLES else _SAMPLE_BYTES))
        return b"".join([str(size).encode(), *parts])


def find(path: str) -> list[tuple[str, str | None]]:
    """(file, the folder it was found in or None) for each file that a path, folder, glob or URL stands for, sorted.

    Hidden files, and what lies in hidden folders, are left out. Empty when there is nothing.
    """
    if is_url(path):
        return _find_remote(path)
    if os.path.isdir(path):
        names = sorted(os.path.join(folder, name) for folder, _, files in os.walk(path) for name in files)
        shown_names = [name for name in names if not _hidden(Path(name).relative_to(path).parts)]
        return [(name, path) for name in shown_names if is_file(name)]
    if os.path.exists(path) or archives.parts(path) is not None:
        check_readable(path)
        return [(path, None)]
    matches = sorted(glob.glob(path, recursive=True)) if glob.has_magic(path) else []
    return [one for match in matches for one in find(match)]


def _find_remote(path: str) -> list[tuple[str, str | None]]:
    system, inside = filesystem(path)
    with explained(path):
        system.invalidate_cache()
        if path.startswith(("http://", "https://")):
            return [(path, None)]  # ? and * mean something else there, and a page is no folder
        if glob.has_magic(inside):
            matches = sorted(system.glob(inside))
            return [one for match in matches for one in _find_remote(system.unstrip_protocol(match))]
        if system.isfile(inside):
            return [(path, None)]
        root = inside.rstrip("/")
        names = sorted(name for name in system.find(root) if not _hidden(_below(name, root)))
        return [(system.unstrip_protocol(name), system.unstrip_protocol(root)) for name in names]


def below(path: str, root: str) -> tuple[str, ...]:
    """The parts of a found file's path under its folder."""
    return _below(path, root) if is_url(path) else Path(path).relative_to(root).parts


def _below(name: str, root: str) -> tuple[str, ...]:
    return tuple(part for part in name[len(root) :].split("/") if part)


def _hidden(parts: tuple[str, ...]) -> bool:
    return any(part.startswith((".", "_")) for part in parts)
