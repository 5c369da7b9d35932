"""`FittedFeatures`: a definition and what a fit learned, applied to frames and records by one program."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from vaxseq.display.tables import Display, Shown
from vaxseq.errors import DefinitionError, OptionError, StateError, did_you_mean
from vaxseq.features import statefile
from vaxseq.features.agreement import check_columns, differences
from vaxseq.features.compile import compile_recipe, empty_value, needed_columns
from vaxseq.features.definition import FeatureSet
from vaxseq.features.history.checking import TYPE_NAME
from vaxseq.features.history.columns import with_histories
from vaxseq.features.history.history import History
from vaxseq.features.program.recipe import Recipe, Role
from vaxseq.features.records import Records
from vaxseq.features.resolve import Group, data_columns, histories_of, resolve
from vaxseq.features.statefile import FitState
from vaxseq.features.undoing import undone
from vaxseq.features.virtual import virtual_columns

if TYPE_CHECKING:
    from vaxseq.features.serving import Encoding
    from vaxseq.frame import Source
    from vaxseq.training.layer import FittedLayer

ROLES: tuple[Role, ...] = ("input", "target", "weight")


class FittedFeatures(Shown):
    """Features with all that they learned; made by `FeatureSet.fit` or `FittedFeatures.load`.

    ``feature_set`` is the definition, ``state`` what was learned and from what.
    """

    def __init__(self, feature_set: FeatureSet, state: FitState) -> None:
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

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the state as JSON, whole or not at all.

        Raises:
            SourceError: the file can't be written.
        """
        statefile.write_text(path, self.to_json())

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, feature_set: FeatureSet | None = None) -> FittedFeatures:
        """Reads a state file; with ``feature_set``, only if it was fitted from that definition.

        Raises:
            SourceNotFoundError: no such file.
            StateError: not a state file, damaged, edited, of another version, or of another definition.
        """
        fitted = cls.from_json(statefile.read_text(path), where=os.fspath(path))
        if feature_set is not None and feature_set.fingerprint != fitted.feature_set.fingerprint:
            changes = differences(fitted.feature_set.to_dict(), feature_set.to_dict())
            raise StateError(f"{os.fspath(path)}: fitted from another definition; {'; '.join(changes[:8])}. Fit again")
        return fitted

    def to_json(self) -> str:
        """The text of the state file."""
        steps = {place.key: tuple(step.name for step in place.steps) for group in self.groups for place in group.places}
        return statefile.to_text(self.feature_set.to_dict(), self.feature_set.fingerprint, steps, self.state)

    @classmethod
    def from_json(cls, text: str, *, where: str = "fitted state") -> Self:
        """Reads the text of a state file; ``where`` names it in errors."""
        definition, fingerprint, steps, state = statefile.from_text(text, where)
        try:
            feature_set = FeatureSet.from_dict(definition)
        except DefinitionError as error:
            raise StateError(f"{where}: this vaxseq can't read the definition in it. Fit again\n{error}") from error
        if feature_set.fingerprint != fingerprint:
            version = state.libraries.get("vaxseq")
            raise StateError(f"{where}: the definition in it means something else than to vaxseq {version}. Fit again")
        fitted = cls(feature_set, state)
        for group in fitted.groups:
            for place in group.places:
                if (names := tuple(step.name for step in place.steps)) != steps[place.key]:
                    raise StateError(f"{where}: {place.key} has steps {steps[place.key]}, expected {names}. Fit again")
        return fitted

    def transform(self, frame: Any) -> Any:
        """A copy of the vaex frame with a virtual column for each derived column and feature.

        Nothing is read, unless features look back: what they see of the past is computed in one pass over the frame's
        rows and kept in the cache folder.

        A feature ``distance`` of the input ``numeric`` becomes ``numeric__distance``, targets ``target__late``,
        weights ``weight__w``. A target or weight whose columns aren't in the frame is left out, so that rows
        without a known answer can be transformed.

        Raises:
            ColumnNotFoundError: the frame lacks a column of an input.
            StateError: a column of the frame is of another type than the fitted one.
        """
        from vaxseq.frame import bind, frame_of, source_of

        frame = frame_of(frame)
        source = source_of(frame)
        types = source.types()
        groups = [group for group in self.groups if group.role == "input" or self._has(group, types)]
        self.check_types(types, groups)
        if histories := histories_of(groups):
            frame = with_histories(source, histories).frame()
        return bind(frame, virtual_columns(self.feature_set.derived, groups, self.state.learned, types))

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

    def transform_records(self, records: Any) -> dict[str, npt.NDArray[Any]]:
        """The inputs of plain records, to the last bit what training reads.

        Features that look back see the records before: pass a series' records together and in order, from as far back
        as the features look.

        Args:
            records: a dict of lists or arrays, a dict of scalars (one record), a list of dicts, a pandas
                DataFrame or a pyarrow Table. None, NaN and null are missing. Further columns are passed over.

        Returns:
            Each input's array by name, shape (rows, width) or (rows, ...) of an array column.

        Raises:
            ColumnNotFoundError: columns are missing from the records (all of them are named).
            FeatureTypeError: a value isn't of its column's type.
            MissingValueError: a missing value where the definition doesn't say what then.
        """
        return self._inputs.arrays(records)

    def transform_targets(self, records: Any) -> dict[str, npt.NDArray[Any]]:
        """The targets of plain records, as `transform_records` gives the inputs; a missing target is refused."""
        return self._targets.arrays(records)

    def encode_records(self, records: Any) -> dict[str, npt.NDArray[Any]]:
        """What the serving layer takes: each input feature up to where a Keras layer can go on.

        Expressions are computed here, and text and times become codes or numbers; a number comes as float32 with
        NaN where it is missing. What is stored as whole numbers comes ready.

        Returns:
            An array for each feature by the name of its virtual column, float32 or int32.

        Raises:
            ColumnNotFoundError: columns are missing from the records (all of them are named).
            FeatureTypeError: a value isn't of its column's type, or beyond float32 or int32.
            MissingValueError: a missing value where the definition doesn't say what then.
        """
        return self._encoded.arrays(records)

    def encodings(self) -> tuple[Encoding, ...]:
        """What `encode_records` gives, array by array, and which steps are left for the layer."""
        from vaxseq.features.serving import encodings

        return encodings(self)

    def to_keras(self, *, name: str = "features") -> FittedLayer:
        """These features as a Keras layer, from `encode_records` to the inputs that the model was trained on.

        The numbers are those of `transform_records` to 1e-5, in float32. The layer is saved inside a ``.keras``
        file with the model that it feeds, and works on every backend.

        Args:
            name: the layer's name in a model.

        Raises:
            FeatureTypeError: float32 can't hold a column that the layer would scale; each is named, with a remedy.
        """
        from vaxseq.training.layer import FittedLayer

        return FittedLayer(self, name=name)

    def inverse_transform(self, name: str, array: npt.ArrayLike) -> npt.NDArray[Any]:
        """Predictions of a target back in its own unit, or as its classes.

        Args:
            name: the target.
            array: shape (rows,) or (rows, columns); for classes, codes or scores of shape (rows, classes).

        Raises:
            OptionError: no such target, or an array of another width.
            FeatureTypeError: a step of the target can't be undone.
        """
        group = next((group for group in self.groups if group.role == "target" and group.name == name), None)
        if group is None:
            known = [group.name for group in self.groups if group.role == "target"]
            raise OptionError(f"target {name!r}: not in the definition.{did_you_mean(name, known)}")
        if self.classes(name) is not None:
            place = group.places[0]
            return place.steps[0].inverse(np.asarray(array), self.state.learned[place.key][0])
        return undone(group, self.state.learned, np.asarray(array, dtype=np.float64))

    def classes(self, name: str) -> list[Any] | None:
        """The names of a target's classes in the order of their codes; None for a target of numbers."""
        target = self.feature_set.targets.get(name)
        if target is None or not target.classes:
            return None
        return list(self.state.learned[f"target.{name}"][0]["values"])

    @property
    def window(self) -> dict[str, Any] | None:
        """The options of the definition's window block, or None."""
        block = self.feature_set.window
        return None if block is None else block.options()

    def summary(self) -> Display:
        """A table of the features, their steps, what was learned and the share of missing values.

        It shows itself in a terminal and in a notebook.
        """
        from vaxseq.features.summary import fitted_table

        return fitted_table(self)

    def preview(self, frame: Any, *, rows: int = 1024, where: str | None = None) -> Display:
        """A table of the first rows as a model would get them: ranges, first values, and what looks wrong.

        Args:
            frame: a table (vaex, pandas, polars, Arrow, DuckDB, a dict of arrays) or a dataset's path.
            rows: how many rows to look at, at most.
            where: an expression that chooses them.

        Raises:
            SelectionError: no row is chosen.
        """
        from vaxseq.features.preview import preview

        return preview(self, frame, rows=rows, where=where)

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
        from vaxseq.frame import source_of

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

    def __getstate__(self) -> dict[str, Any]:
        return {"json": self.to_json()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(FittedFeatures.from_json(state["json"]).__dict__)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FittedFeatures) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash((self.feature_set.fingerprint, self.state.data_fingerprint, self.state.where))

    def __repr__(self) -> str:
        count = sum(len(group.places) for group in self.groups if group.role == "input")
        return f"<FittedFeatures: {count} features, fitted on {self.state.rows:,} rows>"

    def _display(self) -> Display:
        return self.summary()

    @cached_property
    def _inputs(self) -> Records:
        return Records(self.recipe(roles=("input",)), self.state.columns, past=self._past("input"))

    @cached_property
    def _targets(self) -> Records:
        return Records(self.recipe(roles=("target",)), self.state.columns, past=self._past("target"))

    @cached_property
    def _encoded(self) -> Records:
        from vaxseq.features.serving import encoding_recipe

        may_miss = [one.name for one in self.encodings() if one.may_miss]
        return Records(encoding_recipe(self), self.state.columns, may_miss=may_miss, past=self._past("input"))

    def _past(self, role: Role) -> tuple[History, ...]:
        return histories_of(group for group in self.groups if group.role == role)

    def _has(self, group: Group, types: Mapping[str, str]) -> bool:
        return self.reads(group) <= types.keys()
