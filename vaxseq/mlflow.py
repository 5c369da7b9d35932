"""A trained model with its fitted features as an MLflow model: loaded back, it takes records and gives its numbers."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.errors import MissingExtraError, OptionError, SourceError, SourceNotFoundError
from vaxseq.features import FittedFeatures
from vaxseq.features.records.schema import like_training, record_schema
from vaxseq.training.backend import keras
from vaxseq.training.layer import FittedLayer

try:
    from mlflow import pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec
    from mlflow.types.schema import AnyType, Array
except ImportError as error:
    raise MissingExtraError("vaxseq.mlflow: MLflow isn't installed. Run: pip install 'vaxseq[mlflow]'") from error

__all__ = ["log_model"]

_MODEL, _FEATURES = "model.keras", "fitted.json"
_TYPES = {"number": DataType.double, "integer": DataType.long, "string": DataType.string, "boolean": DataType.boolean}
_BACKENDS = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "torch": ("torch",), "jax": ("jax",)}
_ROWS = 4


class Served:
    """What MLflow loads: ``predict`` takes records and gives what the model's own ``predict`` gives.

    Attributes:
        model: the Keras model.
        fitted: its features; ``fitted.inverse_transform`` undoes a target's steps.
    """

    def __init__(self, model: Any, fitted: FittedFeatures) -> None:
        self.model, self.fitted = model, fitted
        self._encoded = any(isinstance(layer, FittedLayer) for layer in model.layers)

    def predict(self, records: Any, params: Mapping[str, Any] | None = None) -> Any:
        """An array, shape (rows, outputs); of a model of several outputs a dict or list of them. ``params``: none."""
        if self._encoded:
            return self.model.predict(dict(self.fitted.encode_records(records)), verbose=0)
        arrays = self.fitted.transform_records(records)
        return self.model.predict(arrays if len(arrays) > 1 else next(iter(arrays.values())), verbose=0)

    def get_raw_model(self) -> Served:
        """Itself, for ``PyFuncModel.get_raw_model``."""
        return self


def log_model(model: Any, fitted: FittedFeatures | str | os.PathLike[str], name: str = "model", **options: Any) -> Any:
    """Logs a trained model with its features as an MLflow model, in the active run or in a new one.

    ``mlflow.pyfunc.load_model(info.model_uri).predict(records)`` gives the numbers of the model's own ``predict`` on
    ``fitted.transform_records(records)``. Files: the model as ``.keras``, the fitted state as JSON; nothing is
    pickled. The signature comes from ``fitted.record_schema()`` and from predictions of a few made-up records.

    Args:
        model: a Keras model or its ``.keras`` file: trained on these features, or with their layer inside already.
        fitted: fitted features, or their state file.
        name: the MLflow model's name.
        options: what else ``mlflow.pyfunc.log_model`` takes, as ``registered_model_name`` or ``pip_requirements``.

    Returns:
        MLflow's ``ModelInfo``.

    Raises:
        OptionError: the model doesn't take what the features give.
        SourceNotFoundError, SourceError: the model's file isn't there, or can't be read.
    """
    features = fitted if isinstance(fitted, FittedFeatures) else FittedFeatures.load(fitted)
    served = Served(_loaded(model) if isinstance(model, str | os.PathLike) else model, features)
    given = {"signature": _signature(served), "pip_requirements": _requirements(features), **options}
    with tempfile.TemporaryDirectory(prefix="vaxseq-mlflow-") as outer, warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*input example was not provided")  # rows of the data stay out of the log
        folder = Path(outer) / "vaxseq"
        folder.mkdir()
        served.model.save(folder / _MODEL)
        features.save(folder / _FEATURES)
        return pyfunc.log_model(name=name, loader_module=__name__, data_path=str(folder), **given)


def _load_pyfunc(path: str) -> Served:
    """MLflow calls this by its name, with the folder of the files."""
    return Served(_loaded(Path(path) / _MODEL), FittedFeatures.load(Path(path) / _FEATURES))


def _loaded(path: str | os.PathLike[str]) -> Any:
    if not Path(path).is_file():
        raise SourceNotFoundError(f"{os.fspath(path)}: no such model file. Save it: model.save('model.keras').")
    try:
        return keras.saving.load_model(path, custom_objects={"FittedLayer": FittedLayer})
    except (ValueError, TypeError, OSError) as error:
        raise SourceError(f"{os.fspath(path)}: can't be read as a Keras model: {error}") from error


def _signature(served: Served) -> Any:
    made = like_training(served.fitted, _ROWS)
    try:
        predicted = served.predict(made)
    except (ValueError, TypeError) as error:
        gives = {name: array.shape[1:] for name, array in served.fitted.transform_records(made).items()}
        what = str(error).strip().partition("\n")[0]
        raise OptionError(
            f"log_model: the model doesn't take what the features give, {gives}: {what}. Pass the model that was "
            "trained on them."
        ) from error
    outputs = predicted if isinstance(predicted, Mapping | list | tuple) else [predicted]
    named = outputs.items() if isinstance(outputs, Mapping) else enumerate(outputs)
    several = len(outputs) > 1
    specs = [_tensor(one, str(key) if several else None) for key, one in named]
    schema = record_schema(served.fitted)["properties"]
    return ModelSignature(Schema([ColSpec(_type(told), name) for name, told in schema.items()]), Schema(specs))


def _tensor(array: npt.NDArray[Any], name: str | None) -> Any:
    return TensorSpec(np.asarray(array).dtype, (-1, *np.asarray(array).shape[1:]), name)


def _type(told: Mapping[str, Any]) -> Any:
    """MLflow's type of a property of a record's schema.

    Durations have none. Whole numbers with missing ones come as int64 or as float64, and MLflow takes neither for the
    other: the features check them.
    """
    kind = told["type"]
    if kind == "array":
        return Array(_type(told["items"]))
    plain = kind if isinstance(kind, str) else next(one for one in kind if one != "null")
    if told.get("format") == "date-time":
        return DataType.datetime
    if told.get("format") or (plain == "integer" and plain != kind):
        return AnyType()
    return _TYPES[plain]


def _requirements(features: FittedFeatures) -> list[str]:
    """What the loaded model needs, as it is installed here."""
    backend = keras.config.backend()
    found = ["vaxseq", "keras", *_BACKENDS.get(backend, ()), *features.feature_set.packages]
    listed = []
    for package in found:
        try:
            listed.append(f"{package}=={version(package)}")
        except PackageNotFoundError:
            continue  # a backend has several packages, of which one is there
    return listed
