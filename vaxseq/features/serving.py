"""Where NumPy ends and the serving layer begins: each input feature up to its last step that a layer can't do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vaxseq.errors import FeatureTypeError
from vaxseq.expressions.program import ProgramBuilder
from vaxseq.expressions.values import Value, as_float
from vaxseq.features.compile import column_nodes, empty_value, needed_columns, source_node
from vaxseq.features.resolve import Place
from vaxseq.features.transforms import compile_steps
from vaxseq.layout import Field, Part, Recipe

if TYPE_CHECKING:
    from vaxseq.features.state import FittedFeatures


@dataclass(frozen=True, slots=True)
class Encoding:
    """One input feature as the layer gets it.

    ``name`` names its array in ``encode_records``. Steps before ``boundary`` ran in NumPy; step ``boundary``
    ran up to its `Step.encode` when ``encoded``, and the layer goes on with `Step.keras` from there. ``sides``
    names the arrays of side columns that were made before the boundary, in order.
    """

    place: Place
    name: str
    boundary: int
    encoded: bool
    sides: tuple[str, ...]


def encodings(fitted: FittedFeatures) -> tuple[Encoding, ...]:
    """All input features, in the inputs' order."""
    return _built(fitted)[0]


def encoding_recipe(fitted: FittedFeatures) -> Recipe:
    """The program of `encodings`: one field an array."""
    return _built(fitted)[1]


def _built(fitted: FittedFeatures) -> tuple[tuple[Encoding, ...], Recipe]:
    derived = fitted.feature_set.derived
    groups = [group for group in fitted.groups if group.role == "input"]
    builder = ProgramBuilder()
    columns = needed_columns(derived, groups)
    names = column_nodes(derived, builder, columns)
    found: list[Encoding] = []
    outputs: list[tuple[str, int]] = []
    for group in groups:
        for place in group.places:
            learned = fitted.state.learned[place.key]
            encoders = [step.encode(values) for step, values in zip(place.steps, learned, strict=True)]
            last = max((number for number, encode in enumerate(encoders) if encode is not None), default=None)
            boundary = last or 0
            node = source_node(builder, names, place, fitted.state.learned)
            node, sides = compile_steps(builder, node, place.steps[:boundary], learned[:boundary])
            if last is not None:
                encode = encoders[last]
                assert encode is not None
                node = builder.apply(encode, node, key=("encode", place.key))
            codes = last is not None and place.steps[last].sees_missing == "handles"
            node = builder.apply(_codes if codes else _numbers, node)
            side_names = tuple(f"{place.column}__side{number}" for number in range(len(sides)))
            found.append(Encoding(place, place.column, boundary, last is not None, side_names))
            outputs.append((place.column, node))
            outputs.extend((name, builder.apply(_numbers, side)) for name, side in zip(side_names, sides, strict=True))
    program = builder.build([node for _, node in outputs])
    empty = {name: empty_value(fitted.state.columns[name]) for name in program.columns}
    fields = []
    for number, ((name, _), value) in enumerate(zip(outputs, program.run(empty), strict=True)):
        width = int(np.prod(value.shape, dtype=np.int64))
        fields.append(Field("input", name, value.data.dtype, value.shape, (Part(name, number, 0, width),)))
    return tuple(found), Recipe(program, tuple(fields))


def _codes(value: Value) -> Value:
    """What an encoder that leaves nothing missing gave: whole numbers as int32, others as float32."""
    return Value(value.data.astype(np.int32)) if value.kind == "int" else _numbers(value)


def _numbers(value: Value) -> Value:
    """Numbers as float32 with NaN where missing."""
    if value.kind not in ("bool", "int", "float"):
        raise FeatureTypeError(f"a layer can't take {value.kind}. End with a step that makes numbers of it")
    return value if value.data.dtype == np.float32 else Value(as_float(value).data.astype(np.float32))
