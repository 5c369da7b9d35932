"""The steps that the serving layer does, in keras.ops: from the arrays of `encode_records` to the inputs' tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vaxseq.features import FittedFeatures
from vaxseq.features.program.recipe import Field
from vaxseq.features.records.encoding import Encoding, encoding_recipe, is_whole
from vaxseq.features.transforms import Step
from vaxseq.training.backend import keras

ops = keras.ops

# What every backend has: JAX computes in 64 bits only when asked, torch hardly knows unsigned numbers.
_NARROWER = {"float64": "float32", "int64": "int32", "uint16": "int32", "uint32": "int32"}


@dataclass(frozen=True, slots=True)
class LayerProgram:
    """What the layer of some fitted features computes.

    Attributes:
        arrays: each array that goes in.
        fields: each tensor that comes out.
    """

    arrays: tuple[Field, ...]
    fields: tuple[Field, ...]
    _features: tuple[_Feature, ...]

    @classmethod
    def of(cls, fitted: FittedFeatures) -> LayerProgram:
        """The program of these features."""
        features = tuple(
            _Feature(one, tuple(fitted.state.learned[one.place.key][one.boundary :])) for one in fitted.encodings()
        )
        return cls(encoding_recipe(fitted).fields, fitted.recipe(roles=("input",)).fields, features)

    def run(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """Each input's tensor by name, shape (batch, ...) and of the field's `tensor_dtype`."""
        known = {
            field.name: ops.reshape(ops.cast(arrays[field.name], field.dtype.name), (-1, *field.shape))
            for field in self.arrays
        }
        features = iter(self._features)
        return {field.name: self._input(field, features, known) for field in self.fields}

    def _input(self, field: Field, features: Iterator[_Feature], known: Mapping[str, Any]) -> Any:
        columns = [
            ops.cast(ops.reshape(next(features).run(known), (-1, part.width)), tensor_dtype(field))
            for part in field.parts
        ]
        whole = columns[0] if len(columns) == 1 else ops.concatenate(columns, axis=1)
        return ops.reshape(whole, (-1, *field.shape))


def tensor_dtype(field: Field) -> str:
    """The dtype of an input's tensor: the declared one, or the widest of its kind that every backend has."""
    return _NARROWER.get(field.dtype.name, field.dtype.name)


@dataclass(frozen=True, slots=True)
class _Feature:
    """One feature's steps from its boundary on."""

    encoding: Encoding
    learned: tuple[Mapping[str, Any], ...]

    def run(self, known: Mapping[str, Any]) -> Any:
        """The feature's tensor: its own value, then its side columns."""
        x = known[self.encoding.name]
        if is_whole(self.encoding.place):
            return x
        sides = [known[name] for name in self.encoding.sides]
        for number, (step, learned) in enumerate(zip(self._steps, self.learned, strict=True)):
            if number or not self.encoding.encoded:
                x = ops.cast(x, "float32")
                if step.side(learned) is not None:
                    sides.append(step.keras_side(ops, x, learned))
            x = step.keras(ops, x, learned)
        x = ops.cast(x, "float32")
        return ops.concatenate([_flat(x), *map(_flat, sides)], axis=1) if sides else x

    @property
    def _steps(self) -> Sequence[Step]:
        return self.encoding.place.steps[self.encoding.boundary :]


def _flat(x: Any) -> Any:
    """One row a row, shape (batch, width)."""
    width = 1
    for size in x.shape[1:]:
        width *= size
    return ops.reshape(x, (-1, width))
