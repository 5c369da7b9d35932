"""Open a dataset as a vaex frame."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import vaex

from vaxseq.dataset.hdf5_form import check_files
from vaxseq.dataset.manifest import Manifest
from vaxseq.errors import DatasetError, SourceError, SourceNotFoundError, did_you_mean
from vaxseq.frame.arrays import ArrowFile, is_array

_MAGIC = b"ARROW1"
SUFFIXES = (".arrow", ".feather", ".ipc", ".hdf5", ".h5", ".parquet")


def open(path: str | os.PathLike[str]) -> Any:
    """Open a dataset: an Arrow, HDF5 or Parquet file, a folder of fragments, or a glob.

    Nothing is read; uncompressed Arrow and contiguous HDF5 are memory-mapped.

    Args:
        path: a file; a folder that ``vaxseq.convert`` wrote, or one of Arrow, HDF5 or Parquet files
            (taken in name order); or a glob pattern.

    Returns:
        A ``vaex.DataFrame``. A row's id is its position in the files' order.

    Raises:
        SourceNotFoundError: nothing is there.
        DatasetError: the dataset is damaged, incomplete or empty.
        SourceError: an HDF5 file is so damaged that the HDF5 library would loop for ever or crash. Another process
            finds that out, which takes a moment when a file is opened that this process hasn't written or opened yet.

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
    files = _files(text)
    check_files([file for file in files if file.endswith((".hdf5", ".h5")) and os.path.getsize(file)])
    frames = [_open_file(file) for file in files]
    return frames[0] if len(frames) == 1 else vaex.concat(frames)


def _files(text: str) -> list[str]:
    target = Path(text)
    if target.is_dir():
        if (target / "manifest.json").exists():
            manifest = Manifest.load(target)
            missing = [f.path for f in manifest.fragments if not (target / f.path).exists()]
            if missing:
                raise DatasetError(f"{text}: fragment {missing[0]!r} of its manifest isn't there. Convert again.")
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


def _has_arrays(file: str) -> bool:
    if not file.endswith((".arrow", ".feather", ".ipc")):
        return False
    with pa.memory_map(file) as source:
        if source.read(len(_MAGIC)) != _MAGIC:  # a stream, or no Arrow at all
            return False
        source.seek(0)
        return any(is_array(kind) for kind in pa.ipc.open_file(source).schema.types)


def _open_file(file: str) -> Any:
    if Path(file).stat().st_size == 0:
        raise DatasetError(f"{file}: the file is empty. Convert again.")
    try:
        frame = vaex.from_dataset(ArrowFile(file, {})) if _has_arrays(file) else vaex.open(file)
    except Exception as error:  # vaex raises bare exceptions of many types for a damaged file
        raise DatasetError(f"{file}: can't be opened as a dataset ({type(error).__name__}: {error}).") from error
    if frame is None:
        raise DatasetError(f"{file}: vaex can't read this format. Convert it first: vaxseq convert {file} ...")
    return frame
