"""A feature's chain of steps as one node of the program."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from vaxseq.errors import FeatureTypeError
from vaxseq.expressions.program import ProgramBuilder
from vaxseq.expressions.values import Value, as_float
from vaxseq.features.transforms.base import Apply, Learned, Step


def compile_chain(builder: ProgramBuilder, node: int, steps: Sequence[Step], learned: Sequence[Learned]) -> int:
    """The node of the whole feature: the chain's value, then the side columns in the order of their steps.

    ``learned`` has one mapping a step (empty where nothing is learned). Without side columns the node is
    the last step's value as it is; with some it is a float64 matrix (rows, width).
    """
    node, sides = compile_steps(builder, node, steps, learned)
    return builder.apply(_beside, node, *sides) if sides else node


def compile_steps(
    builder: ProgramBuilder, node: int, steps: Sequence[Step], learned: Sequence[Learned]
) -> tuple[int, tuple[int, ...]]:
    """The node of the chain's own value, and the nodes of its side columns."""
    sides: list[int] = []
    for step, values in zip(steps, learned, strict=True):
        key = (step.name, step.model_dump_json(), json.dumps(values, sort_keys=True))
        side = step.side(values)
        if side is not None:
            sides.append(builder.apply(_checked(step, side), node, key=("side", *key)))
        node = builder.apply(_checked(step, step.compile(values)), node, key=("step", *key))
    return node, tuple(sides)


def check_steps(value: Value, steps: Sequence[Step]) -> Value:
    """The chain of zero rows before anything is learned: right kind, and width where that isn't learned.

    Raises:
        FeatureTypeError: a step can't take what reaches it.
    """
    sides: list[Value] = []
    for step in steps:
        step.check_kind(value)
        if (learner := step.learner()) is not None:
            try:
                learner.check(value)
            except FeatureTypeError as error:
                raise FeatureTypeError(f"step {step.name!r}: {error}") from None
        learned = step.placeholder(value)
        side = step.side(learned)
        if side is not None:
            sides.append(side(value))
        value = step.compile(learned)(value)
    return _beside(value, *sides) if sides else value


def _checked(step: Step, function: Apply) -> Callable[[Value], Value]:
    def run(value: Value) -> Value:
        step.check_kind(value)
        return function(value)

    return run


def _beside(*values: Value) -> Value:
    """Columns side by side as a float64 matrix, arrays flattened row by row."""
    if any(value.kind not in ("bool", "int", "float") for value in values):
        raise FeatureTypeError(f"a feature with a missing indicator must end in numbers; got {values[0].kind}")
    return Value(np.concatenate([_matrix(as_float(value)) for value in values], axis=1))


def _matrix(value: Value) -> npt.NDArray[np.float64]:
    matrix: npt.NDArray[np.float64] = value.data.reshape(len(value), math.prod(value.shape))
    return matrix
