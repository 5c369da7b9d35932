"""What identifies a frame's data, so that a cache, a store or a position made from other data is noticed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vaxseq.frame.file_changes import FileStamp
from vaxseq.frame.vaex_internals import (
    Concatenated,
    Dropped,
    Merged,
    Renamed,
    RowNumbers,
    Sliced,
    active_range,
    children,
    filter_of,
    functions_of,
)


def frame_fingerprint(frame: Any, virtual_names: Iterable[str]) -> str:
    """Hex digest over the data (files: name, size, time of change; arrays: their bytes), the filter, and these virtual
    columns.
    """
    digest = hashlib.blake2b(digest_size=16)
    _add_dataset(digest, frame.dataset)
    virtual = {name: str(frame.virtual_columns[name]) for name in sorted(virtual_names)}
    digest.update(json.dumps(virtual, sort_keys=True).encode())
    selection = filter_of(frame)
    if selection is not None:
        digest.update(json.dumps(selection.to_dict(), sort_keys=True, default=str).encode())
    digest.update(":".join(map(str, active_range(frame))).encode())
    return digest.hexdigest()


def rows_fingerprint(frame: Any, names: Iterable[str]) -> str:
    """Hex digest over what these columns, and what is named in them, hold in all rows, without the filter.

    The frame may be filtered, split or joined with further columns: its own columns keep their digest.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(str(frame.length_original()).encode())
    functions: dict[str, Any] | None = None
    for name in sorted(set(names)):
        digest.update(f"|{name}|".encode())
        if name in frame.virtual_columns:
            digest.update(str(frame.virtual_columns[name]).encode())
        elif name in frame.functions:
            functions = functions or functions_of(frame)
            digest.update(json.dumps(functions[name], sort_keys=True, default=str).encode())
        elif name in frame.variables:
            digest.update(repr(frame.variables[name]).encode())
        elif name in frame.dataset:
            _add_column(digest, frame.dataset, name)
    return digest.hexdigest()


def _add_column(digest: Any, dataset: Any, name: str) -> None:
    """One column of a dataset, through what renames, joins and cuts it; other trees as a whole."""
    if isinstance(dataset, Renamed):
        _add_column(digest, dataset.original, dataset.reverse.get(name, name))
    elif isinstance(dataset, Dropped):
        _add_column(digest, dataset.original, name)
    elif isinstance(dataset, Merged):
        _add_column(digest, dataset.left if name in dataset.left else dataset.right, name)
    elif isinstance(dataset, Concatenated):
        for one in dataset.datasets:
            _add_column(digest, one, name) if name in one else digest.update(f"{len(one)} missing".encode())
    elif isinstance(dataset, Sliced):
        digest.update(f"{dataset.start}:{dataset.end}".encode())
        _add_column(digest, dataset.original, name)
    elif hasattr(dataset, "path") or hasattr(dataset, "original"):
        digest.update(name.encode())
        _add_dataset(digest, dataset)
    else:
        digest.update(name.encode())
        _add_array(digest, dataset[name])


def _add_dataset(digest: Any, dataset: Any) -> None:
    digest.update(type(dataset).__name__.encode())
    if isinstance(mark := getattr(dataset, "mark", None), FileStamp):
        digest.update(f"{Path(mark.path).name}:{mark.size}:{mark.mtime_ns}".encode())
        return
    if isinstance(version := getattr(dataset, "version", None), str):
        digest.update(version.encode())
        return
    path = getattr(dataset, "path", None)
    if isinstance(path, (str, os.PathLike)) and Path(path).exists():
        stat = Path(path).stat()
        digest.update(f"{Path(path).name}:{stat.st_size}:{stat.st_mtime_ns}".encode())
        return
    for name in ("start", "end", "renaming", "indices"):
        if hasattr(dataset, name):
            digest.update(f"{name}={_text(getattr(dataset, name))}".encode())
    inner = children(dataset)
    for child in inner:
        _add_dataset(digest, child)
    if inner:
        return
    for name in dataset:
        digest.update(name.encode())
        _add_array(digest, dataset[name])


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return hashlib.blake2b(np.ascontiguousarray(value).tobytes(), digest_size=16).hexdigest()
    return str(dict(value)) if hasattr(value, "items") else str(value)


def _add_array(digest: Any, column: Any) -> None:
    if isinstance(column, RowNumbers):
        digest.update(f"{column.start}:{column.stop}:{column.step}:{column.dtype}".encode())
        return
    block_rows = 65_536
    for start in range(0, len(column), block_rows):
        block = column[start : start + block_rows]
        if hasattr(block, "to_numpy") and not isinstance(block, (pa.Array, pa.ChunkedArray)):
            block = block.to_numpy()
        if isinstance(block, np.ndarray) and block.dtype.kind != "O":
            digest.update(np.ascontiguousarray(np.ma.getdata(block)).tobytes())
            if np.ma.isMaskedArray(block):
                digest.update(np.ma.getmaskarray(block).tobytes())
        else:
            block = pa.array(block) if isinstance(block, np.ndarray) else block
            sink = pa.BufferOutputStream()
            table = pa.table({"column": block})
            with pa.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table)
            digest.update(sink.getvalue())
