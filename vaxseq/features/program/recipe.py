"""What a batch is made of: which output of the program goes where in which array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from vaxseq.errors import FeatureTypeError, OptionError
from vaxseq.expressions.program import Program, ProgramBuilder
from vaxseq.expressions.values import Value

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

    def only(self, *roles: Role) -> Recipe:
        """The recipe of these roles' fields alone, with the part of the program that they need."""
        return self.of_fields([field for field in self.fields if field.role in roles])

    def of_fields(self, fields: Sequence[Field]) -> Recipe:
        """The recipe of some of its fields alone, with the part of the program that they need."""
        outputs = [part.output for field in fields for part in field.parts]
        place = iter(range(len(outputs)))
        kept = [replace(field, parts=tuple(replace(p, output=next(place)) for p in field.parts)) for field in fields]
        return Recipe(self.program.only(outputs), tuple(kept))


Columns = str | Sequence[str]


def column_recipe(
    empty: Mapping[str, Value],
    inputs: Columns | Mapping[str, Columns],
    targets: Columns | Mapping[str, Columns] | None,
    sample_weight: str | None,
) -> Recipe:
    """The recipe of plain columns. Inputs and weights are float32; a target of whole numbers is int32.

    A list of columns is one matrix, a single name is that column by itself, a dict names several of either.
    A target of one column has shape (), so (batch,) in a batch.

    Args:
        empty: zero rows of every column named.
        inputs: column names.
        targets: column names, or None.
        sample_weight: a column name, or None.
    """
    builder, outputs, fields = ProgramBuilder(), list[int](), list[Field]()

    def add(role: Role, name: str, columns: Columns) -> None:
        listed = [columns] if isinstance(columns, str) else list(columns)
        if not listed:
            raise OptionError(f"{role} {name!r}: no columns; expected at least one name")
        parts, start = [], 0
        for column in listed:
            width = int(np.prod(empty[column].shape, dtype=np.int64))
            outputs.append(builder.column(column))
            parts.append(Part(column, len(outputs) - 1, start, width))
            start += width
        dtype: np.dtype[Any] = np.dtype(np.float32)
        if role == "target" and all(empty[column].kind == "int" for column in listed):
            dtype = np.dtype(np.int32)
        shape: tuple[int, ...] = empty[listed[0]].shape if len(listed) == 1 else (start,)
        if role == "input" and shape == ():
            shape = (1,)
        if role == "weight" and shape:
            raise FeatureTypeError(f"sample_weight {name!r}: got shape {shape}, expected one number a row")
        fields.append(Field(role, name, dtype, shape, tuple(parts)))

    for role, asked in (("input", inputs), ("target", targets)):
        if asked is None:
            continue
        if isinstance(asked, Mapping):
            for name, columns in asked.items():
                add(role, name, columns)  # type: ignore[arg-type]
        elif role == "target" and not isinstance(asked, str) and len(asked) == 1:
            add("target", asked[0], asked[0])
        else:
            add(role, asked if isinstance(asked, str) else f"{role}s", asked)  # type: ignore[arg-type]
    if sample_weight is not None:
        add("weight", sample_weight, sample_weight)
    return Recipe(builder.build(outputs), tuple(fields))
