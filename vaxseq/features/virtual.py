"""Features as functions behind vaex's virtual columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from vaxseq.expressions.program import Program, ProgramBuilder
from vaxseq.expressions.values import Value
from vaxseq.features.compile import column_nodes, compile_recipe, empty_value, needed_columns
from vaxseq.features.resolve import Group

if TYPE_CHECKING:
    from vaxseq.features.state import FittedFeatures


class VirtualColumns:
    """Makes the function of each virtual column; each has a program of its own, made when it is first run."""

    def __init__(self, fitted: FittedFeatures) -> None:
        self._fitted = fitted
        self._programs: dict[str, Program] = {}

    def functions(
        self, groups: Sequence[Group], types: Mapping[str, str]
    ) -> dict[str, tuple[VirtualColumn, tuple[str, ...]]]:
        """Virtual column -> (function, the columns that it reads); derived columns too, where these types allow."""
        definition = self._fitted.feature_set
        known = column_nodes(definition, ProgramBuilder(), types)
        names = [name for name in definition.columns if name in known]
        names += [place.column for group in groups for place in group.places]
        return {name: (VirtualColumn(self._fitted, name), self.program(name).columns) for name in names}

    def program(self, name: str) -> Program:
        """The program of one virtual column."""
        found = self._programs.get(name)
        if found is None:
            found = self._programs[name] = self._derived(name) or self._feature(name)
        return found

    def _derived(self, name: str) -> Program | None:
        definition = self._fitted.feature_set
        if name not in definition.columns:
            return None
        builder = ProgramBuilder()
        nodes = column_nodes(definition, builder, self._fitted.state.columns)
        return builder.build([nodes[name]])

    def _feature(self, name: str) -> Program:
        fitted = self._fitted
        for group in fitted.groups:
            for place in group.places:
                if place.column == name:
                    alone = (Group(group.role, group.name, group.dtype, (place,)),)
                    needed = needed_columns(fitted.feature_set, alone)
                    empty = {one: empty_value(fitted.state.columns[one]) for one in needed}
                    return compile_recipe(fitted.feature_set, alone, fitted.state.learned, empty).program
        raise KeyError(name)


class VirtualColumn:
    """The function of one virtual column. It pickles as the fitted state's JSON and a name, never as code."""

    def __init__(self, fitted: FittedFeatures, name: str) -> None:
        self._fitted, self._name = fitted, name

    def __call__(self, columns: dict[str, Value]) -> Any:
        """The column's block: an ndarray, masked where an integer is missing; an Arrow array for text."""
        value = self._fitted._virtual.program(self._name).run(columns)[0]
        if value.missing is None or isinstance(value.data, pa.Array):
            return value.data
        return np.ma.masked_array(value.data, mask=value.missing)
