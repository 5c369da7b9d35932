"""A vetted expression: a frozen tree of constants, columns and calls of the table's functions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, truth value or text; ``name`` is how a named one (pi, e, nan, inf) was written."""

    value: bool | int | float | str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column, or a derived one."""

    name: str


@dataclass(frozen=True, slots=True)
class Option:
    """A constant that a function takes as it is: a pattern, a unit, a list."""

    value: Any


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the table; ``label`` is the source text, for messages."""

    function: str
    arguments: tuple[Node | Option, ...]
    label: str


Node = Constant | Column | Call


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression that passed the allow-list. Made by `parse` only; equal when its text is.

    Attributes:
        text: The expression in one normal form.
        names: The columns and derived columns that it reads.
    """

    text: str
    names: frozenset[str] = field(compare=False)
    _tree: Node = field(compare=False, repr=False)
    _where: str = field(compare=False, repr=False)

    def __str__(self) -> str:
        return self.text
