"""Fitted features as a scikit-learn transformer, for pipelines, search and what scikit-learn explains models with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vaxseq.dataset.input_tables import is_query, is_table, is_vaex
from vaxseq.errors import MissingExtraError, OptionError, did_you_mean
from vaxseq.features import FeatureSet, FittedFeatures
from vaxseq.frame import Source, source_of
from vaxseq.loading.query import Query
from vaxseq.loading.readers.frame import FrameReader

try:
    from sklearn.base import BaseEstimator, TransformerMixin
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    what = "scikit-learn isn't installed. Run: pip install 'vaxseq[sklearn]'"
    raise MissingExtraError(f"vaxseq.sklearn: {what}") from error

__all__ = ["FeatureTransformer"]

_CHUNK_ROWS = 65_536


class FeatureTransformer(TransformerMixin, BaseEstimator):
    """A definition as a transformer: ``fit`` learns what its steps need, ``transform`` gives one matrix.

    It takes any table that vaxseq takes, and arrays, whose columns are then called x0, x1, ... The inputs' columns
    stand side by side, arrays flattened; codes stay codes. Targets and weights of the definition are passed over.
    It clones, pickles (as JSON, without the data) and names its columns, so that ``set_output`` works.

    Args:
        definition: a FeatureSet, its file, or the same as a dict. None: numbers are imputed by their mean and
            standardized, everything else one-hot.
        inputs: names of the definition's inputs to give; all by default.

    >>> import pandas as pd
    >>> data = pd.DataFrame({"x": [1.0, 3.0], "way": ["up", "down"]})
    >>> FeatureTransformer().set_output(transform="pandas").fit_transform(data).columns.tolist()
    ['numeric__x', 'numeric__way_missing', 'numeric__way_unseen', 'numeric__way_down', 'numeric__way_up']
    """

    def __init__(self, definition: Any = None, *, inputs: Any = None) -> None:
        self.definition = definition
        self.inputs = inputs

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803
        """Learns from all rows; ``y`` is passed over.

        Raises:
            DefinitionError, ColumnNotFoundError, FeatureTypeError, FitError: as `FeatureSet.fit`.
        """
        source = self._source(X, reset=True)
        feature_set = _feature_set(self.definition, source)
        self.fitted_: FittedFeatures = feature_set.fit(source, progress=False)
        chosen = list(feature_set.inputs) if self.inputs is None else list(self.inputs)
        for name in chosen:
            if name not in feature_set.inputs:
                raise OptionError(f"inputs: no input {name!r}.{did_you_mean(str(name), feature_set.inputs)}")
        self.inputs_ = tuple(chosen)
        return self

    def transform(self, X: Any) -> npt.NDArray[Any]:  # noqa: N803
        """The matrix, shape (rows, columns): float32, or float64 where codes stand beside numbers.

        Raises:
            ColumnNotFoundError, StateError, MissingValueError: as a Sequence of the same rows.
        """
        check_is_fitted(self)
        query = Query(self._source(X, reset=False), self.fitted_)
        fields = [field for field in query.recipe.of("input") if field.name in self.inputs_]
        fields.sort(key=lambda field: self.inputs_.index(field.name))
        reader = FrameReader(query.source, query.recipe.of_fields(fields))
        index = query.index
        widths = np.concatenate([[0], np.cumsum([field.width for field in fields])])
        made = np.empty((index.n, int(widths[-1])), np.result_type(*(field.dtype for field in fields)))
        for start, stop in index.chunks(_CHUNK_ROWS):
            arrays = reader.gather(index.ids(start, stop))
            for array, low, high in zip(arrays, widths[:-1], widths[1:], strict=True):
                made[start:stop, low:high] = array.reshape(stop - start, -1)
        return made

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """One name a column: ``numeric__distance``."""
        check_is_fitted(self)
        names = self.fitted_.matrix_names()
        return np.array([f"{name}__{column}" for name in self.inputs_ for column in names[name]], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = []
        tags.input_tags.string = tags.input_tags.categorical = True
        return tags

    def _source(self, table: Any, *, reset: bool) -> Source:
        """The table; an array's columns are named by their places, and it is checked as scikit-learn checks arrays."""
        if isinstance(table, Source):
            return table
        if _is_array(table):
            array = validate_data(self, table, reset=reset, dtype="numeric", ensure_all_finite="allow-nan")
            if array.dtype.kind not in "biufMm":
                array = array.astype(np.float64)
            return source_of({f"x{place}": array[:, place] for place in range(array.shape[1])})
        if not (is_vaex(table) or is_query(table)) and hasattr(table, "columns"):
            validate_data(self, table, reset=reset, skip_check_array=True)
        return source_of(table)


def _is_array(table: Any) -> bool:
    """What scikit-learn takes for a matrix: no names of columns, and nothing that Arrow or vaex would read."""
    if is_vaex(table) or is_query(table) or is_table(table) or isinstance(table, os.PathLike):
        return False
    return isinstance(table, list | tuple) or hasattr(table, "__array__") or hasattr(table, "toarray")


def _feature_set(definition: Any, source: Source) -> FeatureSet:
    """The definition's inputs, with the columns that they are made of."""
    if definition is None:
        return _every_column(source)
    if isinstance(definition, str | os.PathLike):
        definition = FeatureSet.load(os.fspath(definition))
    elif isinstance(definition, Mapping):
        definition = FeatureSet.from_dict(definition)
    if not isinstance(definition, FeatureSet):
        got = type(definition).__name__
        raise OptionError(f"definition: got {got}, expected a FeatureSet, a definition file or the same as a dict")
    kept = {key: value for key, value in definition.to_dict().items() if key not in ("targets", "weights", "window")}
    return FeatureSet.from_dict(kept)


def _every_column(source: Source) -> FeatureSet:
    features = []
    for name, kind in source.types().items():
        if kind.startswith(("int", "uint", "float")):
            steps: list[Any] = [{"impute": {"strategy": "mean"}}, "standardize"]
        elif kind in ("text", "bool"):
            steps = ["one_hot"]
        else:
            raise OptionError(f"definition: none given, and column {name!r} of {kind} has no steps unasked. Give one.")
        features.append({"column": name, "steps": steps})
    return FeatureSet.from_dict({"inputs": {"numeric": {"features": features}}})
