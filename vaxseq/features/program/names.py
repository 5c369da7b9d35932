"""The names of a matrix's columns: the feature's own, and what a step calls the columns that it makes of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaxseq.features.program.recipe import Field
from vaxseq.features.program.resolve import Place

Learned = Mapping[str, Sequence[Mapping[str, Any]]]


def matrix_names(field: Field, places: Sequence[Place], learned: Learned) -> tuple[str, ...]:
    """One name for each element of a row of a field, in row-major order; each name once."""
    found: list[str] = []
    for part, place in zip(field.parts, places, strict=True):
        found += _names(place, learned[place.key], part.width)
    return once(found)


def plain_names(field: Field) -> tuple[str, ...]:
    """The same of plain columns."""
    return once([name for part in field.parts for name in _numbered(part.name, part.width)])


def once(names: Sequence[str]) -> tuple[str, ...]:
    """The names, with a number behind those that stand before.

    >>> once(["x", "y", "x"])
    ('x', 'y', 'x_2')
    """
    found: dict[str, None] = {}
    for name in names:
        free, number = name, 2
        while free in found:
            free, number = f"{name}_{number}", number + 1
        found[free] = None
    return tuple(found)


def _names(place: Place, learned: Sequence[Mapping[str, Any]], width: int) -> list[str]:
    sides = [step for step, values in zip(place.steps, learned, strict=True) if step.side(values) is not None]
    labels = None
    for step, values in zip(place.steps, learned, strict=True):
        labels = step.labels(values) or labels
    own = width - len(sides)
    names = [f"{place.name}_{label}" for label in labels or ()]
    if len(names) != own:
        names = _numbered(place.name, own)
    return [*names, *(f"{place.name}_missing" for _ in sides)]


def _numbered(name: str, width: int) -> list[str]:
    return [name] if width == 1 else [f"{name}_{number}" for number in range(width)]
