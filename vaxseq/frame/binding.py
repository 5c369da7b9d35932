"""Add our functions to a vaex frame: features as virtual columns, row subsets as filters."""

from __future__ import annotations

import keyword
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import vaex

from vaxseq.errors import ColumnNotFoundError, OptionError, did_you_mean
from vaxseq.expressions.values import Mask, Value, from_raw
from vaxseq.frame.vaex_internals import join_array

ROW = "__row"  # hidden by vaex's rule for names; numbers the frame's physical rows

BlockFunction = Callable[[dict[str, Value]], npt.NDArray[Any]]


class BoundFunction:
    """What vaex calls behind a virtual column: raw blocks in, the one program's array out."""

    def __init__(self, function: BlockFunction, columns: tuple[str, ...]) -> None:
        self._function, self._columns = function, columns

    def __call__(self, *blocks: Any) -> npt.NDArray[Any]:
        return self._function({name: from_raw(block) for name, block in zip(self._columns, blocks, strict=True)})


def bind(frame: Any, functions: Mapping[str, tuple[BlockFunction, Sequence[str]]]) -> Any:
    """A copy of ``frame`` with a virtual column for each function; nothing is read.

    Each entry is name -> (function, columns): the function takes a dict of Values of these columns and
    returns an ndarray of shape (rows, ...). It must be picklable for the frame to be.

    Raises:
        ColumnNotFoundError: a function's column isn't in the frame.
        OptionError: the frame has a column of the new name already.
    """
    bound = frame.copy()
    known = bound.get_column_names(hidden=True)
    for name, (function, columns) in functions.items():
        if name in known:
            raise OptionError(
                f"virtual column {name!r}: the frame has a column of that name already. Rename or drop it."
            )
        _require(columns, known)
        argument = ", ".join(_reference(column) for column in columns)
        called = f"_{name}" if name.isidentifier() else f"_{name.encode().hex()}"  # vaex calls it by an identifier
        bound.add_function(called, BoundFunction(function, tuple(columns)))
        bound.add_virtual_column(name, f"{called}({argument})")
    return bound


def filter_rows(frame: Any, name: str, function: Callable[[dict[str, Value]], Mask], columns: Sequence[str]) -> Any:
    """A copy of ``frame`` with a further filter: the rows where ``function`` of ``columns`` is True.

    ``ROW`` among the columns stands for the physical row number (int64). ``name`` must tell two filters
    of one frame apart.
    """
    narrowed = with_row_numbers(frame) if ROW in columns else frame.copy()
    _require(columns, narrowed.get_column_names(hidden=True))
    argument = ", ".join(_reference(column) for column in columns)
    narrowed.add_function(name, BoundFunction(function, tuple(columns)))
    return narrowed.filter(f"{name}({argument})")


def with_row_numbers(frame: Any) -> Any:
    """A copy of ``frame`` with the hidden column of physical row numbers, lazily made."""
    numbered = frame.copy()
    if ROW not in numbered.dataset:
        join_array(numbered, ROW, vaex.vrange(0, numbered.length_original()))
    return numbered


def row_numbers(block: Value) -> npt.NDArray[np.int64]:
    """The block of column ``ROW`` as integers (vaex counts in float64, exact up to 2**53)."""
    return np.asarray(block.data).astype(np.int64)


def _require(columns: Sequence[str], known: Sequence[str]) -> None:
    for column in columns:
        if column not in known:
            shown = [name for name in known if not name.startswith("__")]
            raise ColumnNotFoundError(f"column {column!r}: not in the frame.{did_you_mean(column, shown)}")


def _reference(column: str) -> str:
    return column if column.isidentifier() and not keyword.iskeyword(column) else f"df[{column!r}]"
