"""Features as functions behind vaex's virtual columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from vaxseq.expressions import Program, ProgramBuilder
from vaxseq.expressions.values import Value
from vaxseq.features.program.compile import Derived, Learned, all_needed, column_nodes, place_node
from vaxseq.features.program.resolve import Group, Place
from vaxseq.features.transforms import Step


def virtual_columns(
    derived: Derived, groups: Sequence[Group], learned: Learned, types: Mapping[str, str]
) -> dict[str, tuple[VirtualColumn, tuple[str, ...]]]:
    """Virtual column -> (function, the columns that it reads); derived columns too, where these types allow."""
    found: dict[str, tuple[VirtualColumn, tuple[str, ...]]] = {}
    known = set(types)
    for name, expr in derived.items():
        if expr.names <= known:
            known.add(name)
            found[name] = _virtual(name, expr.names, None, derived, {})
    for group in groups:
        for place in group.places:
            mine = {one.key: learned[one.key] for one in _with_used(place)}
            found[place.column] = _virtual(place.column, all_needed(derived, [place]), place, derived, mine)
    return found


def is_complete(steps: Sequence[Step]) -> bool:
    """Whether the last step that changes what is missing leaves nothing missing."""
    changes = [step.sees_missing for step in steps if step.sees_missing != "keeps"]
    return bool(changes) and changes[-1] == "handles"


class VirtualColumn:
    """The function of one virtual column.

    It pickles as what it is made of (expressions as text, which is vetted again, steps, learned values), and
    makes its program when it is first run.
    """

    def __init__(
        self, name: str, place: Place | None, derived: Derived, columns: tuple[str, ...], learned: Learned
    ) -> None:
        self._name, self._place, self._derived = name, place, dict(derived)
        self._columns, self._learned = columns, learned
        self._complete = place is not None and is_complete(place.steps)
        self._program: Program | None = None

    def __call__(self, columns: dict[str, Value]) -> Any:
        """The column's block: an ndarray, masked where integers may be missing; an Arrow array for text."""
        if self._program is None:
            self._program = self._compiled()
        value = self._program.run(columns)[0]
        data = value.data
        if isinstance(data, pa.Array) or data.dtype.kind not in "biu" or self._complete:
            return data
        # vaex asks one row whether a column is masked, and drops the mask of all others if that one isn't
        missing = np.zeros(data.shape, dtype=bool) if value.missing is None else value.missing
        return np.ma.masked_array(data, mask=missing)

    def _compiled(self) -> Program:
        builder = ProgramBuilder()
        names = column_nodes(self._derived, builder, self._columns)
        if self._place is None:
            return builder.build([names[self._name]])
        return builder.build([place_node(builder, names, self._place, self._learned)])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_program": None}


def _virtual(
    name: str, needs: Sequence[str] | frozenset[str], place: Place | None, derived: Derived, learned: Learned
) -> tuple[VirtualColumn, tuple[str, ...]]:
    """The function with just the derived and physical columns that it needs."""
    needed: dict[str, None] = {}
    stack = sorted(needs, reverse=True)
    while stack:
        one = stack.pop()
        if one not in needed:
            needed[one] = None
            stack.extend(sorted(derived[one].names, reverse=True) if one in derived else ())
    columns = tuple(one for one in needed if one not in derived)
    mine = {one: derived[one] for one in derived if one in needed or (place is None and one == name)}
    return VirtualColumn(name, place, mine, columns, learned), columns


def _with_used(place: Place) -> list[Place]:
    return [place, *(inner for one in place.uses for inner in _with_used(one))]
