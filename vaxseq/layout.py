"""What a batch is made of: which output of the program goes where in which array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from vaxseq.expressions.program import Program

Role = Literal["input", "target", "weight"]


@dataclass(frozen=True, slots=True)
class Part:
    """One feature's place in a field: program output ``output`` fills flat columns [start, start + width)."""

    name: str
    output: int
    start: int
    width: int


@dataclass(frozen=True, slots=True)
class Field:
    """One array of a batch. ``shape`` is one row's: (width,) a matrix, () a vector, (8, 8) an array column."""

    role: Role
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    parts: tuple[Part, ...]

    @property
    def width(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True, slots=True)
class Recipe:
    """A program and the fields that its outputs fill: all that a reader needs to know of the features."""

    program: Program
    fields: tuple[Field, ...]

    def of(self, role: Role) -> tuple[Field, ...]:
        """The fields of one role, in order."""
        return tuple(field for field in self.fields if field.role == role)
