"""Open a dataset as a vaex frame."""

from __future__ import annotations

import glob
import os
import stat
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import vaex

from vaxseq.dataset.addresses import is_url
from vaxseq.dataset.hdf5_probe import check_files
from vaxseq.dataset.manifest import MANIFEST_NAME, Manifest
from vaxseq.errors import DatasetError, SourceError, SourceNotFoundError, VaxseqError, did_you_mean
from vaxseq.frame.mapped_files import open_mapped
from vaxseq.frame.remote import open_remote

_MAPPED = (".arrow", ".feather", ".ipc", ".hdf5", ".h5")
SUFFIXES = (".arrow", ".feather", ".ipc", ".hdf5", ".h5", ".parquet")


def open(path: str | os.PathLike[str], *, cache_bytes: int | None = None) -> Any:
    """Open a dataset: an Arrow, HDF5 or Parquet file, a folder of fragments, or a glob.

    Nothing is read; uncompressed Arrow and contiguous HDF5 are memory-mapped.

    Args:
        path: a file; a folder that ``vaxseq.convert`` wrote, or one of Arrow, HDF5 or Parquet files
            (taken in name order); or a glob pattern. The URL of a folder that ``vaxseq.convert`` wrote
            (``s3://bucket/folder``, or another store that fsspec knows) is read in place, in ranges.
        cache_bytes: how much of what came from a URL is kept in the cache folder, those blocks that weren't used for
            longest going first; None is 10 GiB, 0 keeps none. Of a local path nothing is copied.

    Returns:
        A ``vaex.DataFrame``. A row's id is its position in the files' order.

    Raises:
        SourceNotFoundError: nothing is there.
        DatasetError: the dataset is damaged, incomplete or empty.
        MissingExtraError: fsspec, or what it needs for the URL's scheme, isn't installed.
        SourceError: a store doesn't answer, or refuses; or an HDF5 file is so damaged that the HDF5 library would loop
            for ever or crash. Another process finds that out, which takes a moment when a file is opened that this
            process hasn't written or opened yet.

    >>> import pyarrow as pa, tempfile, os
    >>> folder = tempfile.TemporaryDirectory()
    >>> file = os.path.join(folder.name, "numbers.arrow")
    >>> table = pa.table({"x": [1, 2, 3]})
    >>> with pa.OSFile(file, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
    ...     writer.write_table(table)
    >>> len(open(file))
    3
    >>> folder.cleanup()
    """
    text = os.fspath(path)
    if text.startswith("file://"):
        text = unquote(urlsplit(text).path)
    if is_url(text):
        return open_remote(text, cache_bytes)
    manifest = _manifest(text)
    files = _files(text, manifest)
    for file in files:
        if not stat.S_ISREG(os.stat(file).st_mode):
            raise SourceError(f"{file}: a pipe, device or socket, expected a file. Name a dataset's file or folder.")
    check_files([file for file in files if file.endswith((".hdf5", ".h5")) and os.path.getsize(file)])
    frames = [_open_file(file) for file in files]
    if manifest is not None:
        _check_frames(manifest, frames)
    return frames[0] if len(frames) == 1 else vaex.concat(frames)


def _manifest(text: str) -> Manifest | None:
    """The manifest of a folder of ours, whose files are all there."""
    if not (Path(text) / MANIFEST_NAME).exists():
        return None
    manifest = Manifest.load(text)
    manifest.check_files()
    return manifest


def _check_frames(manifest: Manifest, frames: list[Any]) -> None:
    """Refuses fragments of other rows or columns than the manifest says."""
    fragments = [one for one in manifest.fragments if one.rows]
    names = set(manifest.schema.names)
    for fragment, frame in zip(fragments, frames, strict=True):
        where = f"{manifest.location}: fragment {fragment.path!r}"
        if len(frame) != fragment.rows:
            raise DatasetError(f"{where} has {len(frame):,} rows, expected {fragment.rows:,} as in the manifest.")
        if set(frame.dataset) != names:
            other = sorted(set(frame.dataset) ^ names)
            raise DatasetError(f"{where} has other columns than the manifest says: {other[:5]}. Convert again.")


def _files(text: str, manifest: Manifest | None) -> list[str]:
    target = Path(text)
    if target.is_dir():
        if manifest is not None:
            files = [str(target / fragment.path) for fragment in manifest.fragments if fragment.rows]
        else:
            files = sorted(str(file) for file in target.iterdir() if file.suffix in SUFFIXES)
        if not files:
            raise DatasetError(f"{text}: holds no rows; expected {', '.join(SUFFIXES)} files. Convert into it first.")
        return files
    if target.exists():
        if target.suffix not in SUFFIXES:
            raise SourceError(
                f"{text}: not a dataset; expected one of {', '.join(SUFFIXES)}. "
                f"Convert it first: vaxseq convert {text} ..."
            )
        return [text]
    files = sorted(glob.glob(text))
    if not files:
        beside = [str(one) for one in target.parent.iterdir()] if target.parent.is_dir() else []
        raise SourceNotFoundError(f"{text}: no such file, folder or pattern.{did_you_mean(text, beside)}")
    return files


def _open_file(file: str) -> Any:
    if Path(file).stat().st_size == 0:
        raise DatasetError(f"{file}: the file is empty. Convert again.")
    try:
        frame = open_mapped(file) if file.endswith(_MAPPED) else None
        frame = vaex.open(file) if frame is None else frame
    except VaxseqError:
        raise
    except Exception as error:  # vaex raises bare exceptions of many types for a damaged file
        raise DatasetError(f"{file}: can't be opened as a dataset ({type(error).__name__}: {error}).") from error
    if frame is None:
        raise DatasetError(f"{file}: vaex can't read this format. Convert it first: vaxseq convert {file} ...")
    return frame
