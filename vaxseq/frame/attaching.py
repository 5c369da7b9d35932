"""Join values to a frame by row id, and columns that are in files of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.errors import OptionError
from vaxseq.frame.mapped_files import MappedHdf5
from vaxseq.frame.vaex_internals import join_array, join_dataset


def attach_column(frame: Any, name: str, row_ids: npt.NDArray[np.int64], values: npt.NDArray[Any]) -> Any:
    """A copy of ``frame`` with column ``name``: ``values[i]`` in row ``row_ids[i]``, missing in all other rows.

    Raises:
        OptionError: the frame has a column of that name.
    """
    if name in frame.get_column_names(hidden=True):
        raise OptionError(f"attach: the frame has a column {name!r} already. Choose another name.")
    rows = int(frame.length_original())
    column = np.zeros((rows, *values.shape[1:]), values.dtype)
    column[row_ids] = values
    missing = np.ones(rows, dtype=bool)
    missing[row_ids] = False
    stored: Any = column
    if missing.any():
        if column.dtype.kind == "f":
            column[missing] = np.nan
        else:
            stored = np.ma.array(column, mask=missing)
    joined = frame.copy()
    join_array(joined, name, stored)
    return joined


def attach_files(frame: Any, files: Mapping[str, Path]) -> Any:
    """A copy of ``frame`` with further columns, each from an HDF5 file that holds it for all of the frame's rows.

    The columns stay memory-mapped, and the frame pickles as the names of its files.
    """
    joined = frame.copy()
    rows = int(joined.length_original())
    for name, file in files.items():
        if rows:
            join_dataset(joined, name, MappedHdf5(str(file)))
        else:
            join_array(joined, name, np.empty(0))
    return joined
