"""The one door for tables: whatever people hold in their hands, as a vaex frame."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import vaex

from vaxseq.errors import OptionError, SourceError, did_you_mean
from vaxseq.frame.opening import open
from vaxseq.frame.scratch import ScratchFolder, spooled
from vaxseq.frame.source import Source
from vaxseq.frame.tables import Columns, arrow_columns, mapped_columns, pandas_columns, structured_columns

_KINDS = (
    "a dataset's path, a vaex, pandas or polars frame (lazy too), a pyarrow Table, RecordBatch, Dataset or "
    "RecordBatchReader, a DuckDB relation, a dict of arrays, a structured NumPy array, or what has __arrow_c_stream__ "
    "or __dataframe__"
)

# A query is run once, and its rows keep their ids, however many verbs it is given to.
_RUN: dict[int, tuple[weakref.ref[Any], Any]] = {}


def frame_of(data: Any) -> Any:
    """A vaex frame of a table, or of the dataset at a path. Buffers are shared where the table has them as Arrow does.

    A pandas index isn't a column; ``reset_index()`` makes it one. Streams, queries and lazy frames are run once: up to
    256 MB stay in memory, more goes to a file in the temporary folder (TMPDIR), which goes with the frame.

    Raises:
        OptionError: it is no table.
        SourceError: a column that no frame can have.

    >>> import pandas as pd
    >>> frame_of(pd.DataFrame({"x": [1, 2], "y": ["a", None]})).get_column_names()
    ['x', 'y']
    """
    if isinstance(data, Source):
        return data.frame()
    if _is_vaex(data):
        return data
    if isinstance(data, str | os.PathLike):
        return open(data)
    return _once(data, _run) if _is_query(data) else _from_columns(_columns(data))


def _columns(data: Any) -> Columns:
    kind = type(data).__name__
    if isinstance(data, Mapping):
        if any(_is_vaex(one) for one in data.values()):
            remedy = f"Name one of its parts: [{next(iter(data))!r}]."
            raise OptionError(f"frame: got a {kind} of frames, expected one frame. {remedy}")
        return mapped_columns(data)
    if isinstance(data, np.ndarray):
        if data.dtype.names is None:
            remedy = "Name its columns: {'x': array}."
            raise OptionError(f"frame: got an array without named columns, expected {_KINDS}. {remedy}")
        return structured_columns(data)
    if isinstance(data, pa.RecordBatch):
        data = pa.Table.from_batches([data])
    if isinstance(data, pa.Table):
        return arrow_columns(data)
    package = type(data).__module__.partition(".")[0]
    if package == "pandas" and hasattr(data, "columns"):
        return pandas_columns(data)
    if package == "polars" and hasattr(data, "get_columns"):
        return arrow_columns(data.to_arrow())
    if hasattr(data, "__arrow_c_stream__"):  # it has rows in memory: it tells their number
        return arrow_columns(pa.table(data))
    if hasattr(data, "__arrow_c_array__"):
        return arrow_columns(pa.Table.from_batches([pa.record_batch(data)]))
    if hasattr(data, "__dataframe__"):
        from pyarrow.interchange import from_dataframe

        return arrow_columns(from_dataframe(data))
    raise OptionError(f"frame: got {kind}, expected {_KINDS}.{_remedy(data)}")


def _is_vaex(data: Any) -> bool:
    return hasattr(data, "dataset") and hasattr(data, "virtual_columns")


def _is_query(data: Any) -> bool:
    """Whether its rows come only when it is run, and may be more than memory holds."""
    if isinstance(data, pa.RecordBatchReader | pa.dataset.Dataset | pa.dataset.Scanner) or _is_lazy_polars(data):
        return True
    return (
        hasattr(data, "__arrow_c_stream__")
        and not any(hasattr(data, name) for name in ("__len__", "num_rows", "height"))
    ) or type(data).__name__ == "DuckDBPyRelation"


def _is_lazy_polars(data: Any) -> bool:
    return type(data).__module__.partition(".")[0] == "polars" and hasattr(data, "sink_ipc")


def _run(data: Any) -> Any:
    if _is_lazy_polars(data):
        folder = ScratchFolder()
        file = folder.path / "query.arrow"
        from polars import CompatLevel

        with folder.guarded():
            data.sink_ipc(file, compression="uncompressed", compat_level=CompatLevel.oldest(), maintain_order=True)
        return folder.opened(file, _open_rows)
    if isinstance(data, pa.dataset.Dataset):
        data = data.scanner()
    if isinstance(data, pa.dataset.Scanner):
        data = data.to_reader()
    reader = data if isinstance(data, pa.RecordBatchReader) else pa.RecordBatchReader.from_stream(data)
    found = spooled(reader)
    if isinstance(found, pa.Table):
        return _from_columns(arrow_columns(found))
    folder, file = found
    return folder.opened(file, open)


def _open_rows(file: Path) -> Any:
    """The frame of a file that may have no record batch, which vaex doesn't open."""
    with pa.memory_map(str(file)) as source:
        reader = pa.ipc.open_file(source)
        table = reader.read_all() if not reader.num_record_batches else None
    return open(file) if table is None else _from_columns(arrow_columns(table))


def _once(data: Any, run: Callable[[Any], Any]) -> Any:
    """What running it gave the first time, as long as it lives."""
    known = _RUN.get(id(data))
    if known is not None and known[0]() is data:
        return known[1]
    found = run(data)
    number = id(data)
    _RUN[number] = (weakref.ref(data, lambda _: _RUN.pop(number, None)), found)
    return found


def _from_columns(columns: Columns) -> Any:
    if not columns:
        raise SourceError(f"frame: the table has no columns; expected {_KINDS}.")
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise OptionError(f"frame: columns of different lengths; got {lengths}. Give all the same number of rows.")
    return vaex.from_dataset(vaex.dataset.DatasetArrays(columns))


def _remedy(data: Any) -> str:
    if isinstance(data, list | tuple):
        return " Make a table of it: pyarrow.Table.from_pylist(rows)."
    package = type(data).__module__.partition(".")[0]
    if package == "pandas":
        return " A single column needs a name: series.to_frame('x')."
    if package == "dask":
        return " Write it with to_parquet, convert that, and open it."
    if package == "keras" or hasattr(data, "batch"):
        return " Pass the frame that it was made from."
    return did_you_mean("", ())
