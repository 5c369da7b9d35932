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
    from vaxseq.features.transforms import Step


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
        complete = {name: False for name in definition.columns if name in known}
        complete |= {place.column: is_complete(place.steps) for group in groups for place in group.places}
        return {
            name: (VirtualColumn(self._fitted, name, complete=sure), self.program(name).columns)
            for name, sure in complete.items()
        }

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


def is_complete(steps: Sequence[Step]) -> bool:
    """Whether the last step that changes what is missing leaves nothing missing."""
    changes = [step.sees_missing for step in steps if step.sees_missing != "keeps"]
    return bool(changes) and changes[-1] == "handles"


class VirtualColumn:
    """The function of one virtual column. It pickles as the fitted state's JSON and a name, never as code."""

    def __init__(self, fitted: FittedFeatures, name: str, *, complete: bool) -> None:
        self._fitted, self._name, self._complete = fitted, name, complete

    def __call__(self, columns: dict[str, Value]) -> Any:
        """The column's block: an ndarray, masked where integers may be missing; an Arrow array for text."""
        value = self._fitted._virtual.program(self._name).run(columns)[0]
        data = value.data
        if isinstance(data, pa.Array) or data.dtype.kind not in "biu" or self._complete:
            return data
        # vaex asks one row whether a column is masked, and drops the mask of all others if that one isn't
        missing = np.zeros(data.shape, dtype=bool) if value.missing is None else value.missing
        return np.ma.masked_array(data, mask=missing)
