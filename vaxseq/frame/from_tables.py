"""A vaex frame of any table: a path, pandas, polars, Arrow, DuckDB, dicts and structured arrays."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import vaex

from vaxseq.dataset.input_tables import columns_of, is_lazy_polars, is_query, is_vaex, lazy_file, once, stream_of
from vaxseq.dataset.scratch import spooled
from vaxseq.dataset.table_columns import Columns
from vaxseq.frame.arrow_types import held
from vaxseq.frame.opening import open
from vaxseq.frame.source import Source


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
    if is_vaex(data):
        return data
    if isinstance(data, str | os.PathLike):
        return open(data)
    return once(data, _run) if is_query(data) else _from_columns(columns_of(data, "frame"))


def _run(data: Any) -> Any:
    if is_lazy_polars(data):
        folder, file = lazy_file(data, "frame")
        return folder.opened(file, _open_rows)
    found = spooled(*stream_of(data, "frame"))
    if isinstance(found, pa.Table):
        return _from_columns(columns_of(found, "frame"))
    folder, file = found
    return folder.opened(file, open)


def _open_rows(file: Path) -> Any:
    """The frame of a file that may have no record batch, which vaex doesn't open."""
    with pa.memory_map(str(file)) as source:
        reader = pa.ipc.open_file(source)
        table = reader.read_all() if not reader.num_record_batches else None
    return open(file) if table is None else _from_columns(columns_of(table, "frame"))


def _from_columns(columns: Columns) -> Any:
    return vaex.from_dataset(vaex.dataset.DatasetArrays(held(columns)))
