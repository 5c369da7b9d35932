"""Input tables of other libraries, told apart: those in memory as columns, queries as streams of Arrow tables.

`frame_of` makes frames of them, `convert` writes them, and records are read from them: all by what is here.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vaxseq.dataset.scratch import ScratchFolder
from vaxseq.dataset.table_columns import Columns, arrow_columns, mapped_columns, pandas_columns, structured_columns
from vaxseq.errors import OptionError, SourceError, VaxseqError

KINDS = (
    "a dataset's path, a vaex, pandas or polars frame (lazy too), a pyarrow Table, RecordBatch, Dataset or "
    "RecordBatchReader, a DuckDB relation, a dict of arrays, a structured NumPy array, or what has __arrow_c_stream__ "
    "or __dataframe__"
)

_BATCH_ROWS = 1 << 17

# What a query gave when it was run for a frame, by its id: its rows keep their ids, however many verbs it is given to.
_RUN: dict[int, tuple[weakref.ref[Any], Any]] = {}
_BEGUN: weakref.WeakSet[pa.RecordBatchReader] = weakref.WeakSet()


def is_vaex(data: Any) -> bool:
    """Whether it is a vaex frame, told without vaex."""
    return hasattr(data, "dataset") and hasattr(data, "virtual_columns")


def is_pandas(data: Any) -> bool:
    """Whether it is a pandas frame."""
    return _package(data) == "pandas" and hasattr(data, "columns")


def is_query(data: Any) -> bool:
    """Whether its rows come only when it is run, and may be more than memory holds."""
    if isinstance(data, pa.RecordBatchReader) or _is_of_dataset(data, "Dataset", "Scanner") or is_lazy_polars(data):
        return True
    return (
        hasattr(data, "__arrow_c_stream__")
        and not any(hasattr(data, name) for name in ("__len__", "num_rows", "height"))
    ) or _is_duckdb(data)


def is_lazy_polars(data: Any) -> bool:
    """Whether it is a polars query."""
    return _package(data) == "polars" and hasattr(data, "sink_ipc")


def is_table(data: Any) -> bool:
    """Whether `columns_of` takes it."""
    if isinstance(data, np.ndarray):
        return data.dtype.names is not None
    return isinstance(data, Mapping | pa.RecordBatch | pa.Table) or is_pandas(data) or _speaks_of_columns(data)


def columns_of(data: Any, where: str) -> Columns:
    """The columns of a table in memory, all of one length, without copies where Arrow or NumPy allows.

    Raises:
        OptionError: it is no table.
        SourceError: no columns, or one whose values have no one type.
    """
    columns = _columns(data, where)
    if not columns:
        raise SourceError(f"{where}: the table has no columns; expected {KINDS}.")
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise OptionError(f"{where}: columns of different lengths; got {lengths}. Give all the same number of rows.")
    return columns


def _columns(data: Any, where: str) -> Columns:
    if isinstance(data, Mapping):
        if any(is_vaex(one) for one in data.values()):
            remedy = f"Name one of its parts: [{next(iter(data))!r}]."
            raise OptionError(f"{where}: got a {type(data).__name__} of frames, expected one frame. {remedy}")
        return mapped_columns(data, where)
    if isinstance(data, np.ndarray) and data.dtype.names is not None:
        return structured_columns(data, where)
    if isinstance(data, pa.RecordBatch):
        data = pa.Table.from_batches([data])
    if isinstance(data, pa.Table):
        return arrow_columns(data, where)
    if is_pandas(data):
        return pandas_columns(data, where)
    if not _speaks_of_columns(data):
        raise no_table(data, where)
    return arrow_columns(_arrow_table(data, where), where)


def no_table(data: Any, where: str) -> OptionError:
    """The error for what has no columns."""
    what = "an array without named columns" if isinstance(data, np.ndarray) else type(data).__name__
    return OptionError(f"{where}: got {what}, expected {KINDS}.{_remedy(data)}")


def _remedy(data: Any) -> str:
    if isinstance(data, np.ndarray):
        return " Name its columns: {'x': array}."
    if (
        isinstance(data, list | tuple)
        and data
        and (is_vaex(data[0]) or is_table(data[0]))
        and not isinstance(data[0], Mapping)
    ):
        return " Put them together first: pandas.concat, polars.concat, pyarrow.concat_tables or vaex.concat."
    if isinstance(data, list | tuple):
        return " Make a table of it: pyarrow.Table.from_pylist(rows)."
    package = _package(data)
    if package == "pyarrow":
        return " A single column needs a name: pyarrow.table({'x': column})."
    if package in ("pandas", "polars"):
        return " A single column needs a name: series.to_frame('x')."
    if package == "dask":
        return " Write it with to_parquet, convert that, and open it."
    if package == "keras" or hasattr(data, "batch"):
        return " Pass the frame that it was made from."
    return ""


def _arrow_table(data: Any, where: str) -> pa.Table:
    if _package(data) == "polars":
        return data.to_arrow()
    if not (hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__")):
        from pyarrow.interchange import from_dataframe

        return from_dataframe(data)
    try:
        if hasattr(data, "__arrow_c_stream__"):  # it has rows in memory: it tells their number
            return pa.table(data)
        return pa.Table.from_batches([pa.record_batch(data)])
    except pa.ArrowInvalid as error:
        raise no_table(data, where) from error


def stream_of(query: Any, where: str) -> tuple[pa.Schema, Iterator[pa.Table]]:
    """A query, run: its schema, and its rows as tables of one chunk; small batches are put together.

    Raises:
        SourceError: while its rows come, where the stream breaks off.
    """
    if is_lazy_polars(query):
        folder, file = lazy_file(query, where)
        with pa.memory_map(str(file)) as source:
            return pa.ipc.open_file(source).schema, _batches_of(folder, file.name)
    if _is_of_dataset(query, "Dataset"):
        query = query.scanner()
    if _is_of_dataset(query, "Scanner"):
        query = query.to_reader()
    with _told(where):
        reader = query if isinstance(query, pa.RecordBatchReader) else pa.RecordBatchReader.from_stream(query)
    if reader in _BEGUN:
        raise SourceError(f"{where}: a RecordBatchReader's rows come once, and some were read already. Make it anew.")
    return reader.schema, _tables(reader, where)


def once(query: Any, run: Callable[[Any], Any]) -> Any:
    """What running it gave the first time, as long as it lives."""
    if (known := was_run(query)) is not None:
        return known
    found = run(query)
    number = id(query)
    _RUN[number] = (weakref.ref(query, lambda _: _RUN.pop(number, None)), found)
    return found


def was_run(query: Any) -> Any:
    """What `once` keeps of it; None before."""
    held, found = _RUN.get(id(query), (None, None))
    return found if held is not None and held() is query else None


def lazy_file(query: Any, where: str) -> tuple[ScratchFolder, Path]:
    """A polars query's rows as an Arrow file, written in the memory that polars' streaming takes."""
    from polars import CompatLevel

    folder = ScratchFolder()
    file = folder.path / "query.arrow"
    with _told(where), folder.guarded():
        query.sink_ipc(file, compression="uncompressed", compat_level=CompatLevel.oldest(), maintain_order=True)
    return folder, file


@contextmanager
def _told(where: str) -> Iterator[None]:
    """What a library raises when its query can't be run, as an error of ours: each has classes of its own."""
    try:
        yield
    except VaxseqError:
        raise
    except Exception as error:
        raise SourceError(f"{where}: the query failed: {_what(error)}. Run it by itself to see where.") from error


def _what(error: Exception) -> str:
    return with_threads_told(str(error).strip().partition("\n")[0].rstrip("."))


def with_threads_told(what: str) -> str:
    """DuckDB stops a query's other threads when one fails, and now and then tells of the stop alone."""
    if not what.startswith("INTERRUPT Error"):
        return what
    return f"{what.rstrip('.!')}: one of its threads failed, and DuckDB doesn't say how; SET threads = 1 shows it"


def _batches_of(folder: ScratchFolder, name: str) -> Iterator[pa.Table]:
    """The batches of a file in the folder, which goes with the iterator."""
    with pa.memory_map(str(folder.path / name)) as source:
        reader = pa.ipc.open_file(source)
        for number in range(reader.num_record_batches):
            yield pa.Table.from_batches([reader.get_batch(number)])


def _tables(reader: pa.RecordBatchReader, where: str) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    _BEGUN.add(reader)
    try:
        for batch in reader:
            waiting.append(batch)
            if sum(one.num_rows for one in waiting) >= _BATCH_ROWS:
                yield pa.Table.from_batches(waiting).combine_chunks()
                waiting = []
    except (pa.ArrowException, OSError) as error:
        what = _what(error)
        raise SourceError(f"{where}: the stream broke off: {what}. Mend what makes it, and pass it anew.") from error
    if waiting:
        yield pa.Table.from_batches(waiting).combine_chunks()


def _speaks_of_columns(data: Any) -> bool:
    if _package(data) == "polars":
        return hasattr(data, "get_columns")
    return any(hasattr(data, name) for name in ("__arrow_c_stream__", "__arrow_c_array__", "__dataframe__"))


def _is_of_dataset(data: Any, *names: str) -> bool:
    """Whether it is one of pyarrow.dataset's, which brings pandas along and so isn't imported to look."""
    module = sys.modules.get("pyarrow._dataset")
    return module is not None and isinstance(data, tuple(getattr(module, name) for name in names))


def _is_duckdb(data: Any) -> bool:
    return type(data).__name__ == "DuckDBPyRelation"


def _package(data: Any) -> str:
    return type(data).__module__.partition(".")[0]
