"""What the user named, as a list of sources: files, folders, globs, objects in memory; and what they are now."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from vaxseq.convert.readers import readers
from vaxseq.convert.readers.base import Source
from vaxseq.convert.readers.streams import bare_suffix
from vaxseq.errors import OptionError, SourceError, SourceNotFoundError, did_you_mean
from vaxseq.manifest import SourcePrint

_EDGE = 1 << 16


def find_sources(given: Any, format_name: str | None) -> tuple[Source, ...]:
    """Every source that ``given`` names, files in sorted order.

    Raises:
        SourceNotFoundError: nothing there.
        SourceError: something that no reader reads.
    """
    if format_name is not None and format_name not in readers():
        raise OptionError(f"convert: option format; got {format_name!r}.{did_you_mean(format_name, readers())}")
    if isinstance(given, str | os.PathLike):
        given = [given]
    if isinstance(given, Mapping) or not _are_paths(given):
        return (_in_memory(given),)
    found = [source for one in given for source in _files(os.fspath(one), format_name)]
    if not found:
        raise SourceNotFoundError("convert: no source; got an empty list, expected files, folders or globs.")
    return tuple(found)


def fingerprint(source: Source) -> SourcePrint:
    """What the source is now: its size, and a digest of its first and last bytes and its time of change."""
    if source.path is None:
        return SourcePrint(source.name, 0, "")
    try:
        with open(source.path, "rb") as file:
            about = os.fstat(file.fileno())
            digest = hashlib.sha256(f"{about.st_size} {about.st_mtime_ns}".encode())
            digest.update(file.read(_EDGE))
            file.seek(max(about.st_size - _EDGE, 0))
            digest.update(file.read(_EDGE))
    except FileNotFoundError as error:
        raise SourceNotFoundError(f"{source.path}: no such file. Check the path.") from error
    except OSError as error:
        raise SourceError(f"{source.path}: can't read the file: {error}.") from error
    return SourcePrint(source.name, about.st_size, digest.hexdigest()[:32])


def _are_paths(given: Any) -> bool:
    return isinstance(given, list | tuple) and all(isinstance(one, str | os.PathLike) for one in given)


def _in_memory(given: Any) -> Source:
    for name, reader in readers().items():
        if reader.accepts(given):
            return Source(f"<{type(given).__name__}>", name, data=given)
    raise SourceError(f"convert: can't read a {type(given).__name__}; expected paths, a DataFrame, a Table or batches.")


def _files(path: str, format_name: str | None) -> list[Source]:
    if os.path.isdir(path):
        names = sorted(
            os.path.join(folder, name)
            for folder, folders, files in os.walk(path) for name in files if not name.startswith((".", "_"))
        )  # fmt: skip
        inside = [
            name
            for name in names
            if not any(part.startswith((".", "_")) for part in Path(name).relative_to(path).parts)
        ]
        known = [name for name in inside if _format_of(name) or format_name]
        if not known:
            raise SourceNotFoundError(
                f"{path}: no data files in the folder; got {len(inside)} others. Check the path or pass format=."
            )
        return [_source(name, format_name, path) for name in known]
    if os.path.exists(path):
        return [_source(path, format_name, None)]
    matches = sorted(glob.glob(path, recursive=True)) if glob.has_magic(path) else []
    if not matches:
        what = "no file matches the glob" if glob.has_magic(path) else "no such file"
        folder = os.path.dirname(path) or "."
        near = did_you_mean(os.path.basename(path), os.listdir(folder)) if os.path.isdir(folder) else ""
        raise SourceNotFoundError(f"{path}: {what}. Check the path.{near if what == 'no such file' else ''}")
    return [one for match in matches for one in _files(match, format_name)]


def _source(path: str, format_name: str | None, root: str | None) -> Source:
    found = format_name or _format_of(path)
    if found is None:
        known = sorted({suffix for reader in readers().values() for suffix in reader.suffixes})
        raise SourceError(
            f"{path}: unknown format; got suffix {Path(path).suffix!r}, expected one of {known}. Pass format=."
        )
    folders = Path(path).relative_to(root).parts[:-1] if root else ()
    partitions = tuple(
        (name, unquote(value)) for name, mark, value in (part.partition("=") for part in folders) if mark
    )
    return Source(path, found, path, None, partitions)


def _format_of(path: str) -> str | None:
    suffix = bare_suffix(path)
    return next((name for name, reader in readers().items() if suffix in reader.suffixes), None)
