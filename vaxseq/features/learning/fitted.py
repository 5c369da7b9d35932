"""A definition with what a fit learned for it: the program that both make, and the data that it can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaxseq.errors import StateError
from vaxseq.features.definition.definition import Definition
from vaxseq.features.history.checking import TYPE_NAME
from vaxseq.features.history.columns import with_histories
from vaxseq.features.learning import state_file
from vaxseq.features.learning.state_file import FitState
from vaxseq.features.program.agreement import check_columns
from vaxseq.features.program.compile import compile_recipe, empty_value, needed_columns
from vaxseq.features.program.names import matrix_names
from vaxseq.features.program.recipe import Recipe, Role
from vaxseq.features.program.resolve import Group, data_columns, histories_of, resolve
from vaxseq.frame import Source, source_of

ROLES: tuple[Role, ...] = ("input", "target", "weight")


class Fitted:
    """A definition (``feature_set``), what was learned for it and from what (``state``), and the groups of both."""

    def __init__(self, feature_set: Definition, state: FitState) -> None:
        self.feature_set = feature_set
        self.state = state
        groups, problems = resolve(feature_set, state.columns)
        keys = [place.key for group in groups for place in group.places]
        if problems or keys != list(state.learned):
            what = "; ".join(problem.what for problem in problems) or f"got {list(state.learned)}, expected {keys}"
            raise StateError(f"fitted state: its features aren't those of its definition; {what}. Fit again")
        for group in groups:
            for place in group.places:
                if len(state.learned[place.key]) != len(place.steps):
                    raise StateError(f"fitted state: {place.key} has learned values for other steps. Fit again")
        self.groups: tuple[Group, ...] = groups

    def recipe(self, source_types: Mapping[str, str] | None = None, *, roles: Sequence[Role] = ROLES) -> Recipe:
        """The program and the arrays that it fills: inputs, targets, weights, in the definition's order.

        The program's outputs have the fields' dtypes already; missing values are as `Value` says.

        Args:
            source_types: types of the columns to read, as ``Source.types()`` has them; the fitted ones when left out.
            roles: the roles that are wanted.

        Raises:
            ColumnNotFoundError: a column isn't there.
            StateError: a column is of another type than the fitted one.
        """
        groups = tuple(group for group in self.groups if group.role in roles)
        types = self.state.columns
        if source_types is not None:
            self.check_types(source_types, groups)
            types = dict(source_types)
        types = {**types, **dict.fromkeys((one.column for one in histories_of(groups)), TYPE_NAME)}
        names = needed_columns(self.feature_set.derived, groups)
        return compile_recipe(
            self.feature_set.derived, groups, self.state.learned, {name: empty_value(types[name]) for name in names}
        )

    def classes(self, name: str) -> list[Any] | None:
        """The names of a target's classes in the order of their codes; None for a target of numbers."""
        target = self.feature_set.targets.get(name)
        if target is None or not target.classes:
            return None
        return list(self.state.learned[f"target.{name}"][0]["values"])

    def matrix_names(self) -> dict[str, tuple[str, ...]]:
        """Input name -> the names of its columns, as ``origin_JFK`` of a feature ``origin``, in order."""
        groups = [group for group in self.groups if group.role == "input"]
        fields = self.recipe(roles=("input",)).fields
        return {
            group.name: matrix_names(field, group.places, self.state.learned)
            for group, field in zip(groups, fields, strict=True)
        }

    @property
    def window(self) -> dict[str, Any] | None:
        """The options of the definition's window block, or None."""
        block = self.feature_set.window
        return None if block is None else block.options()

    def reads(self, group: Group) -> frozenset[str]:
        """The data's columns that a group needs."""
        return frozenset(data_columns(needed_columns(self.feature_set.derived, [group]), [group]))

    def source_of(self, frame: Any, roles: Sequence[Role] = ROLES) -> Source:
        """The frame's Source, with what these roles' features see of the past as further columns.

        Raises:
            ColumnNotFoundError: a column isn't there.
            StateError: a column is of another type than the fitted one.
            SelectionError: rows of a series aren't together and in order.
        """
        source = source_of(frame)
        groups = [group for group in self.groups if group.role in roles]
        histories = histories_of(groups)
        if histories:
            self.check_types(source.types(), groups)
        return with_histories(source, histories)

    def check_types(self, types: Mapping[str, str], groups: Sequence[Group] | None = None) -> None:
        """Refuses columns that the groups need and that aren't there or are of another kind than the fitted ones."""
        groups = self.groups if groups is None else groups
        check_columns(data_columns(needed_columns(self.feature_set.derived, groups), groups), types, self.state.columns)

    def _has(self, group: Group, types: Mapping[str, str]) -> bool:
        return self.reads(group) <= types.keys()

    def to_json(self) -> str:
        """The text of the state file."""
        steps = {place.key: tuple(step.name for step in place.steps) for group in self.groups for place in group.places}
        return state_file.to_text(self.feature_set.to_dict(), self.feature_set.fingerprint, steps, self.state)
