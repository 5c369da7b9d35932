"""Join values back to a frame by row id."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import vaex

from vaxseq.errors import OptionError


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
    joined.dataset = joined.dataset.merged(vaex.dataset.DatasetArrays({name: stored}))
    joined.column_names.append(name)
    return joined
