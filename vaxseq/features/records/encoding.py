"""Where NumPy ends and the serving layer begins: each input feature up to what a Keras layer can go on from.

Expressions always run in NumPy, in float64: a layer's float32 would lose what ``seconds - 1.4e9`` is written to keep.
Of the steps, the layer does those after the last one that it can't do, or that float32 would do worse than 1e-5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaxseq.errors import FeatureTypeError
from vaxseq.expressions.program import ProgramBuilder
from vaxseq.expressions.values import Value
from vaxseq.features.history.checking import TYPE_NAME
from vaxseq.features.learning.fitted import Fitted
from vaxseq.features.program.cast import cast_to
from vaxseq.features.program.compile import column_nodes, empty_value, needed_columns, place_node, source_node, told
from vaxseq.features.program.recipe import Field, Part, Recipe
from vaxseq.features.program.resolve import Place, histories_of
from vaxseq.features.transforms import Step, compile_steps
from vaxseq.features.transforms.base import Learned

_FLOAT32_LOSS = 64.0  # a step that magnifies float32's rounding further would pass 1e-5
_INT32 = np.iinfo(np.int32)


@dataclass(frozen=True, slots=True)
class Encoding:
    """One input feature as the layer gets it.

    ``name`` names its array in ``encode_records``. Steps before ``boundary`` ran in NumPy; step ``boundary``
    ran up to its `Step.encode` when ``encoded``, and the layer goes on with `Step.keras` from there. ``sides``
    names the arrays of side columns that were made before the boundary, in order. ``may_miss``: whether a
    missing value can enter, because a step of the layer says what becomes of it.
    """

    place: Place
    name: str
    boundary: int
    encoded: bool
    sides: tuple[str, ...]
    may_miss: bool


def encodings(fitted: Fitted) -> tuple[Encoding, ...]:
    """All input features, in the inputs' order."""
    return _built(fitted)[0]


def encoding_recipe(fitted: Fitted) -> Recipe:
    """The program of `encodings`: one field an array."""
    return _built(fitted)[1]


def check_float32(fitted: Fitted) -> None:
    """Raises FeatureTypeError, naming all features whose columns float32 can't hold, each with its remedy."""
    problems = []
    for one in encodings(fitted):
        if is_whole(one.place):
            continue
        learned = fitted.state.learned[one.place.key]
        first = _after_encoder(one.place.steps, learned)
        for step, values in list(zip(one.place.steps, learned, strict=True))[first:]:
            if problem := step.float32_problem(values):
                problems.append(f"{one.place.key}: {problem}")
    if problems:
        raise FeatureTypeError("\n".join(problems))


def is_whole(place: Place) -> bool:
    """Whether it is stored as whole numbers; they enter the layer ready, since float32 has no room for them."""
    return np.dtype(place.dtype).kind != "f"


def _after_encoder(steps: Sequence[Step], learned: Sequence[Learned]) -> int:
    """The first step after the last one that has a part outside the layer."""
    encoders = [place for place, (step, one) in enumerate(zip(steps, learned, strict=True)) if step.encode(one)]
    return encoders[-1] + 1 if encoders else 0


def _boundary(place: Place, learned: Sequence[Learned]) -> tuple[int, bool]:
    """The layer's first step, and whether that one's `encode` ran before."""
    steps = place.steps
    if is_whole(place):
        return len(steps), False
    first = _after_encoder(steps, learned)
    lost, boundary = 0.0, None
    for number in range(first, len(steps)):  # what is lost by a step, the next one may magnify
        step, values = steps[number], learned[number]
        lost = (lost * step.float32_gain(values) if lost else 0.0) + step.float32_loss(values)
        if lost > _FLOAT32_LOSS:
            lost, boundary = 0.0, number + 1
    if boundary is not None:
        return boundary, False
    return (first - 1, True) if first else (0, False)


def _built(fitted: Fitted) -> tuple[tuple[Encoding, ...], Recipe]:
    derived = fitted.feature_set.derived
    groups = [group for group in fitted.groups if group.role == "input"]
    builder = ProgramBuilder()
    names = column_nodes(derived, builder, needed_columns(derived, groups))
    found: list[Encoding] = []
    outputs: list[tuple[str, int]] = []
    for place in (place for group in groups for place in group.places):
        learned = fitted.state.learned[place.key]
        boundary, encoded = _boundary(place, learned)
        sides: tuple[int, ...] = ()
        codes = is_whole(place)
        if codes:
            node = place_node(builder, names, place, fitted.state.learned)
        else:
            node = source_node(builder, names, place, fitted.state.learned)
            node, sides = compile_steps(builder, node, place.steps[:boundary], learned[:boundary])
        if encoded:
            encode = place.steps[boundary].encode(learned[boundary])
            assert encode is not None
            node = builder.apply(encode, node, key=("encode", place.key))
            codes = place.steps[boundary].sees_missing == "handles"
        side_names = tuple(f"{place.column}__side{number}" for number in range(len(sides)))
        left = place.steps[boundary:]
        may_miss = any(step.sees_missing == "handles" for step in left)
        found.append(Encoding(place, place.column, boundary, encoded, side_names, may_miss))
        outputs.append((place.column, builder.apply(told(place, _codes if codes else _numbers), node)))
        outputs.extend((name, builder.apply(_numbers, side)) for name, side in zip(side_names, sides, strict=True))
    program = builder.build([node for _, node in outputs])
    types = {**fitted.state.columns, **dict.fromkeys((one.column for one in histories_of(groups)), TYPE_NAME)}
    empty = {name: empty_value(types[name]) for name in program.columns}
    fields = []
    for number, ((name, _), value) in enumerate(zip(outputs, program.run(empty), strict=True)):
        width = int(np.prod(value.shape, dtype=np.int64))
        fields.append(Field("input", name, value.data.dtype, value.shape, (Part(name, number, 0, width),)))
    return tuple(found), Recipe(program, tuple(fields))


_numbers = cast_to("float32")  # NaN where missing; refuses what float32 can't reach


def _codes(value: Value) -> Value:
    """Whole numbers as int32; an encoder may give others, which stay float32."""
    if value.kind == "float":
        return _numbers(value)
    if value.kind == "int" and value.data.size and not np.can_cast(value.data.dtype, np.int32):
        present = value.data if value.missing is None else value.data[~value.missing]
        if present.size and (present.min() < _INT32.min or present.max() > _INT32.max):
            raise FeatureTypeError(
                f"got {present.min()} to {present.max()}, expected whole numbers of 32 bits, as a layer takes them. "
                "Give them codes by a step: vocabulary or hash"
            )
    return Value(value.data.astype(np.int32), value.missing)
