"""Bytes of a text file as UTF-8: decompressed, transcoded, without a byte-order mark."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vaxseq.convert import storage
from vaxseq.dataset.reads import fill
from vaxseq.errors import SourceError, SourceNotFoundError, VaxseqError

COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")
_READ = 1 << 20


def bare_suffix(path: str) -> str:
    """The suffix without a compression's: ``.csv`` of ``a.csv.gz``."""
    name = _bare(path)
    return (name.with_suffix("") if name.suffix in COMPRESSIONS else name).suffix.lower()


def is_compressed(path: str) -> bool:
    """Whether the name says so."""
    return _suffix(path) in COMPRESSIONS


def _suffix(path: str) -> str:
    return _bare(path).suffix


def _bare(path: str) -> Path:
    """The name without what a web address adds to it."""
    return Path(urlsplit(path).path if path.startswith(("http://", "https://")) else path)


class FileBytes:
    """The bytes of a file, a slice at a time, each read when it is asked for.

    It isn't mapped: a map ends the process by a signal where another program cuts the file short.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            with open(path, "rb") as file:
                self._length = os.fstat(file.fileno()).st_size
        except FileNotFoundError as error:
            raise SourceNotFoundError(f"{path}: no such file. Check the path.") from error
        except OSError as error:
            raise SourceError(f"{path}: can't read the file: {error}.") from error

    def __len__(self) -> int:
        return self._length

    def end_at(self, length: int) -> None:
        """Leaves out what comes after so many bytes."""
        self._length = length

    def __getitem__(self, part: slice) -> npt.NDArray[np.uint8]:
        start, stop, _ = part.indices(self._length)
        found = np.frombuffer(pa.allocate_buffer(max(stop - start, 0)), np.uint8)  # of memory that is used again
        try:
            with open(self._path, "rb", buffering=0) as file:
                read = fill(file.fileno(), found.data, start)
        except OSError as error:
            raise SourceError(f"{self._path}: can't read the file: {error}.") from error
        if read < len(found):
            raise SourceError(
                f"{self._path}: ends at byte {start + read:,}, it had {self._length:,} when it was opened. It was cut "
                "short while it was read; convert it again when it is whole."
            )
        return found


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    suffix = _suffix(path)
    opener: Any = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}.get(suffix)
    with storage.open_bytes(path, stream=True) as file:
        if opener:
            with opener(file, "rb") as stream:
                yield stream
        elif suffix == ".zst":
            with pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd") as stream:
                yield stream
        else:
            yield file


def chunks(path: str, encoding: str, *, keep_bytes: bool = False) -> Iterator[bytes]:
    """The text as UTF-8 in chunks of about a megabyte; ``keep_bytes``: whatever it is.

    Raises:
        SourceError: damaged, cut off, or not in this encoding.
    """
    utf8 = keep_bytes or is_utf8(encoding)
    decode = codecs.getincrementaldecoder(encoding)()
    try:
        with _opened(path) as stream:
            first = True
            while True:
                block = stream.read(_READ)
                out = bytes(block) if utf8 else decode.decode(block, final=not block).encode()
                if first and not keep_bytes and out.startswith(codecs.BOM_UTF8):
                    out = out[3:]
                first = False
                if out:
                    yield out
                if not block:
                    return
    except VaxseqError:
        raise
    except FileNotFoundError as error:
        raise SourceNotFoundError(f"{storage.shown(path)}: no such file. Check the path.") from error
    except UnicodeError as error:
        raise SourceError(
            f"{storage.shown(path)}: the text isn't {encoding}: {error}. Pass the right encoding=.",
            options={"encoding": "cp1252"} if encoding != "cp1252" else None,
        ) from error
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise SourceError(
            f"{storage.shown(path)}: can't decompress the file: {error}. It is damaged or cut off; get it again."
        ) from error


def first_bytes(path: str, size: int) -> bytes:
    """The first bytes, decompressed and otherwise as they are.

    Raises:
        SourceError: damaged or unreadable.
    """
    found = b""
    for chunk in chunks(path, "latin-1", keep_bytes=True):
        found += chunk
        if len(found) >= size:
            break
    return found[:size]


def is_utf8(encoding: str) -> bool:
    """Whether text in this encoding is UTF-8 as it stands."""
    return codecs.lookup(encoding).name in ("utf-8", "ascii", "utf-8-sig")
