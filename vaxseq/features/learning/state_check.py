"""Whether learned values do what a program needs of them: it is run once, on two rows, when a file is read."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from vaxseq.errors import StateError, VaxseqError
from vaxseq.expressions.values import Value
from vaxseq.features.history.checking import TYPE_NAME
from vaxseq.features.learning.fitted import Fitted
from vaxseq.features.program.compile import compile_recipe, empty_value, needed_columns
from vaxseq.features.program.resolve import Group, histories_of

_ELEMENTS = 1 << 20  # of a row; wider ones are checked without rows
_WRONG = (
    ArithmeticError, AttributeError, AssertionError, LookupError, MemoryError, RecursionError, RuntimeError, TypeError,
    ValueError, pa.ArrowException,
)  # fmt: skip


def check_learned(fitted: Fitted, where: str) -> None:
    """Refuses values that a step can't work with.

    Raises:
        StateError: naming the features.
    """
    if _problem(fitted, fitted.groups) is None:
        return
    for group in fitted.groups:
        if (error := _problem(fitted, [group])) is not None:
            names = ", ".join(place.key for place in group.places[:5])
            raise StateError(
                f"{where}: {group.role} {group.name!r} ({names}): its learned values don't fit its steps "
                f"({type(error).__name__}: {error}). Fit again"
            ) from error


def _problem(fitted: Fitted, groups: Iterable[Group]) -> Exception | None:
    groups = tuple(groups)
    types = {**fitted.state.columns, **dict.fromkeys((one.column for one in histories_of(groups)), TYPE_NAME)}
    try:
        names = needed_columns(fitted.feature_set.derived, groups)
        empty = {name: empty_value(types[name]) for name in names}
        recipe = compile_recipe(fitted.feature_set.derived, groups, fitted.state.learned, empty)
    except (VaxseqError, *_WRONG) as error:
        return error
    try:
        with np.errstate(all="ignore"):
            recipe.program.run({name: _two_rows(value) for name, value in empty.items()})
    except VaxseqError:  # these rows aren't the training data's: a class that was never seen is refused, and rightly
        return None
    except _WRONG as error:
        return error
    return None


def _two_rows(empty: Value) -> Value:
    """A row of zeros, or empty text, and a missing one where the kind of column has them."""
    if empty.kind == "text":
        return Value(pa.array(["", None], pa.large_string()))
    if int(np.prod(empty.shape, dtype=np.float64)) > _ELEMENTS:
        return empty
    data = np.zeros((2, *empty.shape), empty.data.dtype)
    if data.dtype.kind in "fmM":
        data[1] = np.nan if data.dtype.kind == "f" else np.array("NaT", data.dtype)
    return Value(data)
