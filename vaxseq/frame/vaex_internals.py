"""The seam to vaex: all that is used of it beyond its documented interface, in one place.

tests/frame/test_vaex_internals.py names each thing relied on here, so that a newer vaex says in one line what moved.

These parts of vaex are kept away from, because they were found wrong, slow or unsafe:

* ``evaluate`` and slices: an end of 0 reads all rows, ``chunk_size`` ignores the range, a filter costs O(position).
  Blocks are evaluated by ``block_scope`` on slices of our own.
* ``minmax``, ``cov``, ``correlation``, ``limits``, ``describe``: each leaks about a copy of the column. ``std``,
  ``var`` and ``percentile_approx`` lose digits. Our learners count instead.
* ``to_keras_generator``: missing values become 0. Encoders of vaex-ml: a pass when applied, codes that vary.
* ``state_load`` and expressions in text: they run Python's ``eval``. Only calls of our functions are given to vaex.
* ``export_hdf5``: corrupts nullable integers and times beyond 2^53. Our writers lay out vaex's format themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import vaex.array_types
import vaex.cache
import vaex.column
import vaex.dataframe
import vaex.dataset
import vaex.scopes

Renamed = vaex.dataset.DatasetRenamed
Dropped = vaex.dataset.DatasetDropped
Merged = vaex.dataset.DatasetMerged
Concatenated = vaex.dataset.DatasetConcatenated
Sliced = vaex.dataset.DatasetSlicedArrays
RowNumbers = vaex.column.ColumnVirtualRange
LazyColumn = vaex.column.Column

_FILTER = vaex.dataframe.FILTER_SELECTION_NAME


def children(dataset: Any) -> list[Any]:
    """The datasets that a renamed, cut, joined or concatenated one is made of."""
    found = [getattr(dataset, name) for name in ("original", "left", "right") if hasattr(dataset, name)]
    return [*found, *getattr(dataset, "datasets", ())]


def stored_column(dataset: Any, name: str) -> Any:
    """A column of a dataset of files or arrays; vaex's proxies of a table's columns are looked through."""
    column = dataset[name]
    if isinstance(column, vaex.dataset.ColumnProxy):
        column = column.ds._columns.get(name, column)
    return column


def active_range(frame: Any) -> tuple[int, int]:
    """The rows that the frame is limited to, apart from its filter."""
    return int(frame._index_start), int(frame._index_end)


def filter_of(frame: Any) -> Any:
    """The frame's filter, a chain of selections; None without one."""
    return frame.get_selection(_FILTER) if frame.filtered else None


def filter_expressions(selection: Any) -> Iterator[str]:
    """The texts of a filter's chain of selections."""
    while selection is not None:
        yield from (str(one) for one in getattr(selection, "expressions", []))
        yield str(getattr(selection, "boolean_expression", ""))
        selection = selection.previous_selection


def filter_block(frame: Any, selection: Any, columns: Mapping[str, Any], rows: int) -> npt.NDArray[np.bool_]:
    """Which of ``rows`` rows the filter keeps, evaluated as vaex does; a missing truth drops it."""
    with np.errstate(all="ignore"):  # under a missing value lies anything
        found = selection.evaluate(frame, _FILTER, 0, rows, block_scope(frame, columns, rows))
    found = vaex.array_types.to_numpy(found)
    plain = np.ma.filled(found, False) if np.ma.isMaskedArray(found) else np.asarray(found)
    return np.broadcast_to(plain.astype(bool), (rows,))


def block_scope(frame: Any, columns: Mapping[str, Any], rows: int) -> Any:
    """``.evaluate(name)`` gives a virtual column of the frame on these arrays of physical columns."""
    return vaex.scopes._BlockScope(frame, 0, rows, values={**frame.variables, **columns})


def as_array(block: Any) -> Any:
    """A block of any of vaex's column types as an ndarray or Arrow array."""
    return block if isinstance(block, (np.ndarray, pa.Array, pa.ChunkedArray)) else vaex.array_types.to_arrow(block)


def coded_columns(frame: Any) -> dict[str, tuple[list[Any], int]]:
    """Columns of whole numbers that stand for categories, by ``categorize`` or ``ordinal_encode``.

    With each its labels, and the code that the first of them has.
    """
    return {name: (list(known["labels"]), int(known["min_value"])) for name, known in frame._categories.items()}


def array_fingerprint(array: npt.NDArray[Any]) -> str:
    """What vaex knows an array's bytes by."""
    return str(vaex.cache.fingerprint(vaex.dataset.hash_array(array)))


def functions_of(frame: Any) -> dict[str, Any]:
    """The functions that the frame's expressions call, as JSON describes them."""
    functions: dict[str, Any] = frame.state_get()["functions"]
    return functions


def join_dataset(frame: Any, name: str, dataset: Any) -> None:
    """Give the frame a further physical column of this name, which the dataset holds for all of its rows."""
    frame.dataset = frame.dataset.merged(dataset)
    frame.column_names.append(name)
    frame._save_assign_expression(name)  # frame.name, too


def join_array(frame: Any, name: str, values: Any) -> None:
    """Give the frame a further physical column, in memory."""
    join_dataset(frame, name, vaex.dataset.DatasetArrays({name: values}))
