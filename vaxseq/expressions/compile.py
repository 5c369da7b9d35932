"""A vetted tree as nodes of the one program: shared sub-expressions once, constants folded."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from vaxseq.errors import ColumnNotFoundError, ExpressionError, FeatureTypeError, did_you_mean
from vaxseq.expressions.broadcast import operand
from vaxseq.expressions.functions import CONSTANTS, FUNCTIONS
from vaxseq.expressions.program import ProgramBuilder
from vaxseq.expressions.table import SIGNS, Function, Operand, kind_of
from vaxseq.expressions.tree import Call, Column, Constant, Expression, Node, Option
from vaxseq.expressions.values import Mask, Value
from vaxseq.expressions.vetting import parse

_HOLE = object()


@dataclass(frozen=True, slots=True)
class _Bound:
    """A table function with its constants in place: what the program calls with the columns' Values."""

    function: Function
    arguments: tuple[Any, ...]  # _HOLE where a column's Value goes
    holes: tuple[int, ...]
    label: str

    def __call__(self, *values: Value) -> Any:
        arguments = list(self.arguments)
        for place, value in zip(self.holes, values, strict=True):
            arguments[place] = value
        try:
            for place in self.holes:
                self._check(place, arguments[place])
            return self.function.kernel(*arguments)
        except (FeatureTypeError, ExpressionError) as error:
            raise type(error)(f"{self.label}: {error}") from None

    def check_constants(self) -> None:
        """Raises FeatureTypeError for a constant of a kind that its place doesn't take."""
        for place, (argument, parameter) in enumerate(zip(self.arguments, self.function.parameters, strict=True)):
            if argument is not _HOLE and not parameter.literal:
                try:
                    self._check(place, argument)
                except FeatureTypeError as error:
                    raise FeatureTypeError(f"{self.label}: {error}") from None

    def _check(self, place: int, argument: Operand) -> None:
        kind = "text" if isinstance(argument, str) else argument.kind
        parameter = self.function.parameters[place]
        if kind not in parameter.kinds:
            name = SIGNS.get(self.function.name, self.function.name)
            raise FeatureTypeError(f"{name!r} takes {parameter.takes} as {parameter.name}; got {kind_of(argument)}.")


def compile_expression(expr: Expression, builder: ProgramBuilder, names: Mapping[str, int]) -> int:
    """The node of ``builder`` that computes ``expr``.

    Args:
        expr: A vetted expression.
        builder: Where the nodes go; equal sub-expressions become one node.
        names: Node of each column and derived column. A bare column is that node itself, unwidened.

    Raises:
        ColumnNotFoundError: a name that isn't in ``names``.
        ExpressionError: a constant part that has no value, or a column named like a constant.
        FeatureTypeError: a constant of a kind that its function doesn't take (columns are checked by running
            the program, on zero rows too).
    """
    where = expr._where
    unknown = sorted(expr.names - names.keys())
    if unknown:
        raise ColumnNotFoundError(f"{where}: no column {unknown[0]!r}.{did_you_mean(unknown[0], names)}")

    def visit(node: Node) -> int | Value | str:
        if isinstance(node, Column):
            return builder.apply(operand, names[node.name])
        if isinstance(node, Constant):
            if node.name is not None and node.name in names:
                raise ExpressionError(
                    f"{where}: {node.name!r} is both a column and the constant {CONSTANTS[node.name]!r}. "
                    f"Write col({node.name!r}) for the column, or the number itself."
                )
            return node.value if isinstance(node.value, str) else Value(np.array(node.value))
        return call(node)

    def call(node: Call) -> int | Value | str:
        parts: list[Any] = [one.value if isinstance(one, Option) else visit(one) for one in node.arguments]
        holes = tuple(
            place
            for place, (one, part) in enumerate(zip(node.arguments, parts, strict=True))
            if isinstance(part, int) and not isinstance(one, Option)
        )
        arguments = tuple(_HOLE if place in holes else part for place, part in enumerate(parts))
        bound = _Bound(FUNCTIONS[node.function], arguments, holes, f"{where}: {node.label}")
        bound.check_constants()
        if not holes:
            return _folded(bound)
        key = (node.function, tuple("" if part is _HOLE else _key(part) for part in arguments))
        return builder.apply(bound, *[parts[place] for place in holes], key=key)

    if isinstance(expr._tree, Column):
        return names[expr._tree.name]
    result = visit(expr._tree)
    if not isinstance(result, int):
        raise ExpressionError(f"{where}: {expr.text} reads no column.")
    return result


def evaluate(expr: Expression | str, columns: Mapping[str, Value]) -> Value:
    """One expression of in-memory columns.

    >>> evaluate("x * 2", {"x": Value(np.array([1, 2], dtype=np.uint8))}).data
    array([2, 4])
    """
    if isinstance(expr, str):
        expr = parse(expr)
    builder = ProgramBuilder()
    node = compile_expression(expr, builder, {name: builder.column(name) for name in columns})
    return builder.build([node]).run(columns)[0]


def selection_mask(value: Value) -> Mask:
    """A truth value as a row mask, shape (rows,): missing is False.

    Raises:
        FeatureTypeError: not one truth value a row.
    """
    if value.kind != "bool" or value.shape:
        got = kind_of(value)
        raise FeatureTypeError(f"a selection is one truth value a row; got {got}. Write a comparison, such as x != 0.")
    data: Mask = value.data
    return data if value.missing is None else data & ~value.missing


def _folded(bound: _Bound) -> Value | str:
    """A call of constants alone, computed once: its first one as a row of length 1."""
    first = bound.arguments[0]
    arguments = list(bound.arguments)
    if isinstance(first, Value):
        arguments[0] = Value(first.data.reshape(1))
    elif isinstance(first, str) and bound.function.group != "times":  # as_datetime reads the text itself
        arguments[0] = Value(pa.array([first], pa.large_string()))
    try:
        with np.errstate(all="ignore"):
            result = bound.function.kernel(*arguments)
    except (FeatureTypeError, ExpressionError) as error:
        raise type(error)(f"{bound.label}: {error}") from None
    if isinstance(result, str):
        return result
    if result.kind == "text":
        return str(result.data[0].as_py())
    if result.missing is not None:
        raise ExpressionError(f"{bound.label}: it is missing in every row.")
    return Value(np.array(result.data.reshape(-1)[0]))


def _key(part: Any) -> Hashable:
    if isinstance(part, Value):
        return part.data.dtype.str, part.data.tobytes()
    return repr(part)
