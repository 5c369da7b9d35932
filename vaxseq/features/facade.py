"""`FeatureSet` and `FittedFeatures`: load, fit, transform, serve.

They stand in one file because each makes the other: a fit gives fitted features, and these carry their definition.
What is declared, learned, computed, served and shown stands below, in a folder each.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from vaxseq.display.tables import Display, Shown
from vaxseq.display.text_file import write_text
from vaxseq.errors import DefinitionError, OptionError, StateError, did_you_mean
from vaxseq.features.definition.definition import Definition
from vaxseq.features.history.columns import with_histories
from vaxseq.features.learning import fitting, state_file
from vaxseq.features.learning.fitted import Fitted
from vaxseq.features.learning.state_check import check_learned
from vaxseq.features.program.agreement import differences
from vaxseq.features.program.history import History
from vaxseq.features.program.recipe import Role
from vaxseq.features.program.resolve import histories_of
from vaxseq.features.program.virtual import virtual_columns
from vaxseq.features.records.encoding import Encoding, encoding_recipe, encodings
from vaxseq.features.records.inverse import undone
from vaxseq.features.records.records import Records
from vaxseq.features.records.schema import record_schema
from vaxseq.features.tables.comparison import definitions_compared, fits_compared
from vaxseq.features.tables.explanation import explanation
from vaxseq.features.tables.plot import plot_feature
from vaxseq.features.tables.preview import preview
from vaxseq.features.tables.summary import definition_table, fitted_table
from vaxseq.frame import bind, frame_of, source_of


class FeatureSet(Shown, Definition):
    """Which columns become which inputs, targets and weights, and through which steps.

    Load one, ``fit`` it on training rows, and ``transform`` frames or records with what comes back.

    >>> fs = FeatureSet.from_dict(
    ...     {
    ...         "inputs": {"x": {"features": [{"column": "distance", "steps": ["log1p", "standardize"]}]}},
    ...         "targets": {"late": {"expr": "arr_delay >= 30"}},
    ...     }
    ... )
    >>> fs.inputs["x"].dtype
    'float32'
    """

    def fit(
        self, frame: Any, *, where: str | None = None, executor: Executor | None = None, progress: bool = True
    ) -> FittedFeatures:
        """Learns from the frame's rows (of those, where ``where`` holds) what the steps need.

        Args:
            frame: a table (vaex, pandas, polars, Arrow, DuckDB, a dict of arrays) or a dataset's path.
            where: an expression that is true for the training rows; a missing answer counts as no.
            executor: any ``concurrent.futures.Executor`` to share the scan's units with; the result is the
                same to the last bit.
            progress: show a progress bar in a terminal.

        Raises:
            ColumnNotFoundError: a column of the definition isn't in the frame.
            FeatureTypeError: a step or an input can't take what reaches it.
            MissingValueError: a feature that may be missing and doesn't say what then.
            FitError: no training rows, or nothing to learn from.
        """
        state = fitting.fit(self, frame, where=where, executor=executor, progress=progress)
        return FittedFeatures(self, state)

    def check(self, frame: Any) -> None:
        """Checks the definition against a frame's columns and their types; reads no rows.

        Args:
            frame: a table (vaex, pandas, polars, Arrow, DuckDB, a dict of arrays) or a dataset's path.

        Raises:
            DefinitionError: columns that aren't there (and whatever else is wrong).
            FeatureTypeError: steps or inputs that can't take what reaches them. All problems are listed.
        """
        fitting.check(self, frame)

    def diff(self, other: FeatureSet) -> Display:
        """A table of what changed from this definition to another.

        Raises:
            OptionError: the other isn't a feature set.
        """
        return definitions_compared(self, other)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the definition file, with its comments if it was read from one.

        Raises:
            SourceError: the file can't be written, or there is one that isn't text.
        """
        write_text(path, self.to_yaml(), what="a definition file", mark=None)

    def __repr__(self) -> str:
        return f"<FeatureSet: {self._display().title}>"

    def _display(self) -> Display:
        return definition_table(self)


class FittedFeatures(Fitted, Shown):
    """Features with all that they learned; made by `FeatureSet.fit` or `FittedFeatures.load`.

    ``feature_set`` is the definition, ``state`` what was learned and from what.
    """

    feature_set: FeatureSet
    _layer: ClassVar[Callable[..., Any]]  # makes the Keras layer; the package puts it in, since Keras lives above here

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the state as JSON, whole or not at all.

        Raises:
            SourceError: the file can't be written, or there is one that isn't a state file.
        """
        write_text(path, self.to_json(), what="a state file", mark=state_file.FORMAT.encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, feature_set: FeatureSet | None = None) -> FittedFeatures:
        """Reads a state file; with ``feature_set``, only if it was fitted from that definition.

        Raises:
            SourceNotFoundError: no such file.
            StateError: not a state file, damaged, edited, of another version, or of another definition.
        """
        fitted = cls.from_json(state_file.read_text(path), where=os.fspath(path))
        if feature_set is not None and feature_set.fingerprint != fitted.feature_set.fingerprint:
            changes = differences(fitted.feature_set.to_dict(), feature_set.to_dict())
            raise StateError(f"{os.fspath(path)}: fitted from another definition; {'; '.join(changes[:8])}. Fit again")
        return fitted

    @classmethod
    def from_json(cls, text: str, *, where: str = "fitted state") -> Self:
        """Reads the text of a state file; ``where`` names it in errors."""
        definition, fingerprint, steps, state = state_file.from_text(text, where)
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
        check_learned(fitted, where)
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
        frame = frame_of(frame)
        source = source_of(frame)
        types = source.types()
        groups = [group for group in self.groups if group.role == "input" or self._has(group, types)]
        self.check_types(types, groups)
        if histories := histories_of(groups):
            frame = with_histories(source, histories).frame()
        return bind(frame, virtual_columns(self.feature_set.derived, groups, self.state.learned, types))

    def transform_records(self, records: Any) -> dict[str, npt.NDArray[Any]]:
        """The inputs of plain records, to the last bit what training reads.

        Features that look back see the records before: pass a series' records together and in order, from as far back
        as the features look.

        Args:
            records: a dict of lists or arrays, a dict of scalars (one record), a list of dicts, or whatever else `fit`
                takes: pandas, polars, Arrow, vaex, a `pathlib.Path` (text isn't taken for one). None, NaN and null are
                missing. Further columns are passed over.

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

    def record_schema(self) -> dict[str, Any]:
        """JSON Schema of one record, with the columns that the inputs read: for services, forms and checks.

        >>> fs = FeatureSet.from_dict({"inputs": {"x": {"features": [{"column": "a", "steps": ["standardize"]}]}}})
        >>> fs.fit({"a": [1.0, 3.0]}, progress=False).record_schema()["properties"]
        {'a': {'type': 'number'}}
        """
        return record_schema(self)

    def encodings(self) -> tuple[Encoding, ...]:
        """What `encode_records` gives, array by array, and which steps are left for the layer."""
        return encodings(self)

    def to_keras(self, *, name: str = "features") -> Any:
        """These features as a Keras layer, from `encode_records` to the inputs that the model was trained on.

        The numbers are those of `transform_records` to 1e-5, in float32. The layer is saved inside a ``.keras``
        file with the model that it feeds, and works on every backend.

        Args:
            name: the layer's name in a model.

        Raises:
            FeatureTypeError: float32 can't hold a column that the layer would scale; each is named, with a remedy.
        """
        return self._layer(self, name=name)

    @property
    def feature_names(self) -> list[str] | dict[str, list[str]]:
        """The names of the input matrix's columns; of several inputs a dict by name."""
        names = {name: list(columns) for name, columns in self.matrix_names().items()}
        return next(iter(names.values())) if len(names) == 1 else names

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """The names of all inputs' columns, as scikit-learn has them: ``numeric__distance``, ``numeric__origin_JFK``.

        >>> fs = FeatureSet.from_dict({"inputs": {"x": {"features": [{"column": "way", "steps": ["one_hot"]}]}}})
        >>> fs.fit({"way": ["up", "down", "up"]}, progress=False).get_feature_names_out().tolist()
        ['x__way_missing', 'x__way_unseen', 'x__way_up', 'x__way_down']
        """
        names = [f"{name}__{column}" for name, columns in self.matrix_names().items() for column in columns]
        return np.array(names, dtype=object)

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

    def summary(self) -> Display:
        """A table of the features, their steps, what was learned and the share of missing values.

        It shows itself in a terminal and in a notebook.
        """
        return fitted_table(self)

    def explain(self, record: Any, *, features: str | Sequence[str] | None = None) -> Display:
        """A table of how a record becomes its features: the raw value, each step with what it learned, what is served.

        It shows itself in a terminal and in a notebook; ``plain()`` gives it as plain values.

        Args:
            record: one record, as `transform_records` takes it. Of several the last is explained, and features that
                look back see the others.
            features: names of those to explain, as ``"distance"`` or ``"numeric.distance"``; all inputs' by default.

        Raises:
            OptionError: no record, or no such feature.
            ColumnNotFoundError, FeatureTypeError: as `transform_records`.

        >>> fs = FeatureSet.from_dict({"inputs": {"x": {"features": [{"column": "a", "steps": ["standardize"]}]}}})
        >>> fitted = fs.fit({"a": [1.0, 3.0]}, progress=False)
        >>> [row[2] for row in fitted.explain({"a": 5.0}).rows[1:]]
        ['5', '3', '3']
        """
        return explanation(self, record, features=features)

    def plot(self, name: str, frame: Any = None, *, ax: Any = None) -> Any:
        """Draws a feature before and after its steps, with what they learned as lines. Returns matplotlib Axes.

        Two of them with a frame, rows before and after; one without, what the steps make of the range that they know,
        or of categories their training rows.

        Args:
            name: the feature, as ``"distance"`` or ``"numeric.distance"``.
            frame: a table or a dataset's path, of which up to 65,536 rows are drawn.
            ax: Axes to draw on, two of numbers with a frame.

        Raises:
            MissingExtraError: matplotlib isn't installed.
            OptionError: no such feature, or one that isn't a number and has no categories.
        """
        return plot_feature(self, name, frame, ax=ax)

    def diff(self, other: FittedFeatures) -> Display:
        """A table of what changed from this fit to another: rows, missing shares, centres, spreads, values.

        Moves are in spreads of this fit, shares in the population stability index, so that a person can judge them.

        Raises:
            OptionError: the other isn't fitted features.
        """
        return fits_compared(self, other)

    def preview(self, frame: Any, *, rows: int = 1024, where: str | None = None) -> Display:
        """A table of the first rows as a model would get them: ranges, first values, and what looks wrong.

        Args:
            frame: a table (vaex, pandas, polars, Arrow, DuckDB, a dict of arrays) or a dataset's path.
            rows: how many rows to look at, at most.
            where: an expression that chooses them.

        Raises:
            SelectionError: no row is chosen.
        """
        return preview(self, frame, rows=rows, where=where)

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
        may_miss = [one.name for one in self.encodings() if one.may_miss]
        return Records(encoding_recipe(self), self.state.columns, may_miss=may_miss, past=self._past("input"))

    def _past(self, role: Role) -> tuple[History, ...]:
        return histories_of(group for group in self.groups if group.role == role)
