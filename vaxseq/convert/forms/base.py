"""What every form is: one way in which values are written as text, and how it is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Mask = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Reading:
    """Cells as values: of the smallest type that holds them, null where a cell doesn't fit.

    ``wrong``: which cells don't fit. ``affix``: the unit, currency or mark that all the others carry.
    ``loose``: whether some cell fits by a convention that others don't share, so that it is likely, not certain.
    """

    values: pa.Array
    wrong: Mask
    affix: str | None = None
    loose: bool = False


class Form(ABC):
    """One way of writing. A subclass is found by its name."""

    name: ClassVar[str]
    of: ClassVar[str]  # what the cells are, in the plural, for messages: numbers, times
    says: ClassVar[str]  # how they are written, for messages: "times, day first"

    @abstractmethod
    def read(self, cells: pa.Array) -> Reading:
        """Trimmed cells without missing ones as values."""


def nothing_of(cells: pa.Array) -> Reading:
    """What a form reads of cells none of which is in it."""
    return Reading(pa.nulls(len(cells)), np.ones(len(cells), bool))


def blank_is_missing(cells: pa.Array, marks: pa.Array) -> pa.Array:
    """Trimmed cells; null where nothing is left, or one of the marks."""
    trimmed = pc.utf8_trim_whitespace(cells)
    absent = pc.or_(pc.equal(trimmed, ""), pc.is_in(trimmed, marks))
    return pc.if_else(pc.fill_null(absent, True), pa.scalar(None, pa.string()), trimmed)


def read_with_nulls(form: Form, cells: pa.Array, marks: pa.Array) -> Reading:
    """Cells as they stand in a column, missing ones among them, as values."""
    trimmed = blank_is_missing(cells, marks)
    present = np.asarray(trimmed.is_valid())
    found = form.read(trimmed.drop_null())
    wrong = np.zeros(len(cells), bool)
    wrong[present] = found.wrong
    places = np.cumsum(present) - 1
    values = found.values.take(pa.array(places, mask=~present)) if len(found.values) else pa.nulls(len(cells))
    return Reading(values, wrong, found.affix, found.loose)
