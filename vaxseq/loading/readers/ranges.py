"""Whether an array's type can hold the values written into it: no number changes in silence."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.errors import FeatureTypeError, warn
from vaxseq.features.program.recipe import Field, Part

Data = npt.NDArray[Any]


class Rounding:
    """Tells of whole numbers that a float type rounds, once for each feature. Thread-safe."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()

    def check(self, data: Data, field: Field, part: Part) -> None:
        """Warns if whole numbers among ``data`` become others in the field."""
        exact = exact_below(field.dtype)
        if (field.name, part.name) in self._told or not data.size or _fits(data.dtype, exact):
            return
        if -exact <= int(data.min()) and int(data.max()) <= exact:
            return
        beyond = (data > exact) | (data < -exact) if data.dtype.kind == "i" else data > exact
        with np.errstate(over="ignore"):
            held = data[beyond].astype(field.dtype)
        if np.isinf(held).any():  # float16, which is refused where it is written
            return
        changed = held.astype(np.float64).astype(np.longdouble) != data[beyond]
        if changed.any():
            self.tell(field, part, int(data[beyond][changed][0]))

    def tell(self, field: Field, part: Part, example: int) -> None:
        """Warns with an example."""
        if (field.name, part.name) not in self._told:
            warn(rounds(field, part, example))
            self._told.add((field.name, part.name))


def exact_below(dtype: np.dtype[Any]) -> int:
    """The whole numbers from minus this to this are all held by a float type.

    >>> exact_below(np.dtype("float32"))
    16777216
    """
    return int(2 ** (np.finfo(dtype).nmant + 1))


def rounds(field: Field, part: Part, example: int) -> str:
    """The message about a whole number that a field can't hold."""
    return (
        f"{field.role} {field.name!r}, {part.name!r}: {example} becomes {int(field.dtype.type(example))} in "
        f"{field.dtype}, which holds whole numbers up to {exact_below(field.dtype):,}. For identifiers take a "
        "vocabulary or hashing step; for amounts standardize first, or give the block dtype: float64."
    )


def too_large(values: Data, field: Field, part: Part, row_ids: npt.NDArray[np.int64]) -> FeatureTypeError:
    """The error about finite values, one for each row id, that a float type makes infinite."""
    with np.errstate(over="ignore"):
        held = values.astype(field.dtype)
    lost = np.flatnonzero((np.isinf(held) & np.isfinite(values)).reshape(len(values), -1).any(axis=1))
    row = values[lost[0]].reshape(-1)
    example = row[np.argmax(np.abs(np.where(np.isfinite(row), row, 0)))]
    return FeatureTypeError(
        f"{field.role} {field.name!r}, feature {part.name!r}: {example} in row {int(row_ids[lost[0]]):,} doesn't fit "
        f"{field.dtype}, whose largest is {np.finfo(field.dtype).max:.4g}. Give the block dtype: float64, take a log1p "
        "or clip step, or leave such rows out with where=."
    )


def check_whole(data: Data, field: Field, part: Part, row_ids: npt.NDArray[np.int64]) -> None:
    """Refuses values beyond an integer field's.

    Raises:
        FeatureTypeError: with the first such value and its row.
    """
    limits = np.iinfo(field.dtype)
    low, high = data.min(), data.max()
    if low < limits.min or high > limits.max:
        flat = data.reshape(len(data), -1)
        row = int(np.flatnonzero(((flat < limits.min) | (flat > limits.max)).any(axis=1))[0])
        raise FeatureTypeError(
            f"{field.role} {field.name!r}, feature {part.name!r}: values from {low} to {high} don't fit {field.dtype}. "
            f"Give the block a wider dtype. The first such value is in row {int(row_ids[row]):,}."
        )


def _fits(dtype: np.dtype[Any], exact: int) -> bool:
    return dtype.kind == "b" or (int(np.iinfo(dtype).max) <= exact and int(np.iinfo(dtype).min) >= -exact)
