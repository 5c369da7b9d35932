"""``FittedLayer``: fitted features inside a Keras model, so that one file goes from encoded records to predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from vaxseq.errors import ColumnNotFoundError, OptionError, did_you_mean
from vaxseq.features import FittedFeatures
from vaxseq.features.records.encoding import check_float32
from vaxseq.training.backend import keras
from vaxseq.training.layer_program import LayerProgram, tensor_dtype


@keras.saving.register_keras_serializable(package="vaxseq")
class FittedLayer(keras.layers.Layer):
    """Fitted features as a Keras layer; made by `FittedFeatures.to_keras`.

    It takes the arrays of ``fitted.encode_records``, a dict by name, and gives what ``transform_records`` gives
    to 1e-5, computed in float32 whatever the dtype policy: one tensor, or a dict when there are several inputs.
    64-bit inputs come as 32 bits, and uint16 and uint32 as int32. What the layer can't refuse, as a graph has no
    errors, stays visible: a value that a step makes missing, such as the log of a negative number, is NaN.

    It is saved as the fitted state's JSON, and nothing of it runs code when a ``.keras`` file is loaded. Name this
    class before ``keras.saving.load_model``, so that Keras knows it.

    Attributes:
        fitted: The features.

    Raises:
        FeatureTypeError: float32 can't hold a column that the layer would scale.
        StateError: the state isn't one that this vaxseq can read.
    """

    def __init__(self, state: FittedFeatures | str, *, name: str = "features", **options: Any) -> None:
        options.update(dtype="float32", trainable=False, autocast=False)
        super().__init__(name=name, **options)
        self.fitted = FittedFeatures.from_json(state, where=f"layer {name!r}") if isinstance(state, str) else state
        check_float32(self.fitted)
        self._program = LayerProgram.of(self.fitted)
        self._takes = {field.name: field for field in self._program.arrays}

    def new_inputs(self) -> dict[str, Any]:
        """A fresh ``keras.Input`` for each array that the layer takes, by name."""
        return {
            name: keras.Input(shape=field.shape, dtype=field.dtype.name, name=name)
            for name, field in self._takes.items()
        }

    def serving_model(self, model: Any) -> Any:
        """A model from ``encode_records`` to the predictions of ``model``, which takes this layer's inputs.

        Args:
            model: a Keras model that was trained on these features.

        Returns:
            A functional Keras model, ready for ``predict`` and ``save``.

        Raises:
            OptionError: it is no model.
        """
        if not callable(model):
            raise OptionError(f"serving_model: got {type(model).__name__}, expected the Keras model that was trained.")
        inputs = self.new_inputs()
        return keras.Model(inputs, model(self(inputs)))

    @property
    def feature_names(self) -> list[str] | dict[str, list[str]]:
        """The names of the columns that it gives; of several outputs a dict by name."""
        return self.fitted.feature_names

    def encode(self, records: Any) -> dict[str, npt.NDArray[Any]]:
        """``fitted.encode_records(records)``."""
        return self.fitted.encode_records(records)

    def call(self, inputs: Mapping[str, Any]) -> Any:
        """The inputs' tensors of encoded records.

        Raises:
            OptionError: not a dict of arrays.
            ColumnNotFoundError: an array isn't there.
        """
        if not isinstance(inputs, Mapping):
            raise OptionError(
                f"layer {self.name!r}: got {type(inputs).__name__}, expected the dict that fitted.encode_records gives"
            )
        absent = [name for name in self._takes if name not in inputs]
        if absent:
            raise ColumnNotFoundError(
                f"layer {self.name!r}: no array {absent[0]!r}.{did_you_mean(absent[0], inputs)} "
                "Pass what fitted.encode_records gives"
            )
        outputs = self._program.run(inputs)
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shapes of the tensors, (batch, ...)."""
        shapes = {field.name: (None, *field.shape) for field in self._program.fields}
        return next(iter(shapes.values())) if len(shapes) == 1 else shapes

    def compute_output_spec(self, inputs: Mapping[str, Any]) -> Any:
        """Shapes and dtypes of the tensors."""
        batch = next(iter(inputs.values())).shape[0] if inputs else None
        specs = {
            field.name: keras.KerasTensor((batch, *field.shape), dtype=tensor_dtype(field))
            for field in self._program.fields
        }
        return next(iter(specs.values())) if len(specs) == 1 else specs

    def get_config(self) -> dict[str, Any]:
        """The name and the fitted state's JSON."""
        return {"name": self.name, "state": self.fitted.to_json()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FittedLayer:
        """The layer of a saved config; a state that was edited or damaged is refused by name."""
        return cls(**config)
