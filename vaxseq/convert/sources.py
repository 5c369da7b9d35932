"""What the user named, as a list of sources: files, folders, globs, objects in memory; and what they are now."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from vaxseq.convert import archives, storage
from vaxseq.convert.layouts.delimiter import is_table
from vaxseq.convert.readers import readers, streams
from vaxseq.convert.readers.base import Source
from vaxseq.convert.readers.files_sql import FileQuery
from vaxseq.convert.readers.memory import MemoryReader
from vaxseq.convert.readers.sql import Query
from vaxseq.convert.readers.streams import bare_suffix
from vaxseq.dataset.manifest import MANIFEST_NAME, Manifest, SourcePrint
from vaxseq.dataset.remote_folder import fragment_abouts, read_manifest
from vaxseq.errors import DatasetError, OptionError, SourceError, SourceNotFoundError, did_you_mean

_LOOK = 1 << 16  # bytes that tell text


def find_sources(given: Any, format_name: str | None) -> tuple[Source, ...]:
    """Every source that ``given`` names, files in sorted order; a Query is one.

    Raises:
        SourceNotFoundError: nothing there.
        SourceError: something that no reader reads.
    """
    if format_name is not None and format_name not in readers():
        raise OptionError(f"convert: option format; got {format_name!r}.{did_you_mean(format_name, readers())}")
    if isinstance(given, Query | FileQuery):
        return (given.source(),)
    if isinstance(given, str | os.PathLike):
        given = [given]
    if isinstance(given, Mapping) or not _are_paths(given):
        if format_name not in (None, MemoryReader.name):
            got = f"got {format_name!r} for a {type(given).__name__}, which is no file"
            raise OptionError(f"convert: option format; {got}. Leave it out.")
        return (_in_memory(given),)
    found = [source for one in given for source in _files(storage.local_path(os.fspath(one)), format_name)]
    if not found:
        raise SourceNotFoundError("convert: no source; got an empty list, expected files, folders or globs.")
    return tuple(found)


def check_sources(sources: Sequence[Source], options: Mapping[str, Any]) -> None:
    """Lets each format refuse what can't be told by opening it.

    Raises:
        SourceError: naming the source.
    """
    for name in dict.fromkeys(source.format for source in sources):
        readers()[name].check([source for source in sources if source.format == name], options)


def fingerprint(source: Source) -> SourcePrint:
    """What the source is now: its size, and a digest of what changes when it does."""
    reader = readers()[source.format]
    size, mark = reader.stamp(source)
    content = reader.content(source)
    return SourcePrint(source.name, size, _digest(mark), _digest(content))


def _digest(mark: bytes) -> str:
    return hashlib.sha256(mark).hexdigest()[:32] if mark else ""


def _are_paths(given: Any) -> bool:
    return isinstance(given, list | tuple) and all(isinstance(one, str | os.PathLike) for one in given)


def _in_memory(given: Any) -> Source:
    return Source(f"<{type(given).__name__}>", MemoryReader.name, data=given)


def _files(path: str, format_name: str | None) -> list[Source]:
    if format_name is not None and readers()[format_name].takes_folders:
        return [Source(storage.shown(path), format_name, path)]
    found = _fragments(path) or storage.find(path)
    if not found and not os.path.isdir(path):
        what = "no file matches the glob" if glob.has_magic(path) else "no such file"
        folder = os.path.dirname(path) or "."
        near = did_you_mean(os.path.basename(path), os.listdir(folder)) if os.path.isdir(folder) else ""
        raise SourceNotFoundError(
            f"{storage.shown(path)}: {what}. Check the path.{near if what == 'no such file' else ''}"
        )
    found = [one for name, root in found for one in _unpacked(name, root, format_name)]
    known = [(name, root) for name, root in found if root is None or format_name or _format_of(name)]
    if not known:
        raise SourceNotFoundError(
            f"{storage.shown(path)}: no data files in the folder; got {len(found)} others. "
            "Check the path or pass format=."
        )
    return [_source(name, format_name, root) for name, root in known]


def _fragments(path: str) -> list[tuple[str, str | None]]:
    """The fragments of a dataset of ours, in their order; its manifest is no source. Nothing for another folder."""
    if storage.is_url(path):
        return _remote_fragments(path.rstrip("/"))
    if not os.path.isfile(os.path.join(path, MANIFEST_NAME)):
        return []
    try:
        manifest = Manifest.load(path)
    except DatasetError:
        return []
    manifest.check_files()
    return [(str(one), None) for one in manifest.paths()]


def _remote_fragments(root: str) -> list[tuple[str, str | None]]:
    """The same of a folder at a URL; what its manifest doesn't name isn't of the dataset."""
    if any(mark in root for mark in ("?", "*", "#", "::")) or bare_suffix(root):
        return []
    try:
        manifest, _ = read_manifest(root)
    except (SourceNotFoundError, DatasetError):
        return []
    fragment_abouts(root, manifest.fragments)
    return [(f"{root}/{one.path}", None) for one in manifest.fragments]


def _unpacked(path: str, root: str | None, format_name: str | None) -> list[tuple[str, str | None]]:
    """The text files in a zip archive, read as they lie there; any other file as it is."""
    if format_name is not None or not archives.is_archive(path):
        return [(path, root)]
    inside = archives.members(path)
    texts = [name for name in inside if readers()[_format_of(name) or "parquet"].is_text]
    if not texts:
        shown = [os.path.relpath(name, path) for name in inside[:5]]
        raise SourceError(
            f"{path}: no CSV or JSON file in the archive; got {shown}. Unpack it, and convert the folder."
        )
    return [(name, root if root is not None else path) for name in texts]


def _source(path: str, format_name: str | None, root: str | None) -> Source:
    found = format_name or _format_of(path)
    if found is None:
        known = sorted({suffix for reader in readers().values() for suffix in reader.suffixes})
        head = b"\0" if storage.is_url(path) else streams.first_bytes(path, _LOOK)
        text = b"\0" not in head
        if text and is_table(head):
            return Source(storage.shown(path), "csv", path, is_guess=True)
        remedy = "It is text: pass format='csv' if that is a table." if text else "Pass format=."
        raise SourceError(
            f"{storage.shown(path)}: unknown format; got suffix {Path(path).suffix!r}, expected one of {known}. "
            f"{remedy}",
            options={"format": "csv"} if text else None,
        )
    if archives.parts(path) is not None and not readers()[found].is_text:
        raise SourceError(
            f"{path}: {found} is read at any place of the file, which an archive doesn't allow. Unpack it."
        )
    folders = storage.below(path, root)[:-1] if root else ()
    partitions = tuple(
        (name, unquote(value)) for name, mark, value in (part.partition("=") for part in folders) if mark
    )
    return Source(storage.shown(path), found, path, None, partitions)


def _format_of(path: str) -> str | None:
    suffix = bare_suffix(path)
    return next((name for name, reader in readers().items() if suffix in reader.suffixes), None)
