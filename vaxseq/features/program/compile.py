"""Definition, columns and learned values as one program and the arrays that it fills."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from vaxseq.errors import FeatureTypeError, StateError, VaxseqError
from vaxseq.expressions import Expression, compile_expression
from vaxseq.expressions.program import Function, ProgramBuilder
from vaxseq.expressions.values import Value
from vaxseq.features.definition.document import Problem
from vaxseq.features.program.cast import cast_to
from vaxseq.features.program.recipe import Field, Part, Recipe
from vaxseq.features.program.resolve import Group, Place
from vaxseq.features.transforms import check_steps, compile_chain

Derived = Mapping[str, Expression]  # derived columns, each after the ones that it needs
Learned = Mapping[str, Sequence[Mapping[str, Any]]]

_ARRAY_TYPE = re.compile(r"([a-z0-9]+(?:\[[A-Za-z]+\])?)(?:\[([\d, ]+)\])?")


def empty_value(type_name: str) -> Value:
    """Zero rows of a column whose type has this name.

    >>> empty_value("float32[8, 8]").data.shape
    (0, 8, 8)
    """
    if type_name == "text":
        return Value(pa.array([], pa.large_string()))
    match = _ARRAY_TYPE.fullmatch(type_name)
    if match is None:
        raise StateError(f"{type_name!r} isn't the name of a column's type")
    try:
        shape = tuple(int(size) for size in match[2].split(",")) if match[2] else ()
        return Value(np.zeros((0, *shape), np.dtype(match[1])))
    except (TypeError, ValueError, OverflowError, MemoryError) as error:
        raise StateError(f"{type_name!r} isn't the name of a column's type ({error})") from error


def needed_columns(derived: Derived, groups: Iterable[Group]) -> tuple[str, ...]:
    """The physical columns that the groups need, through derived columns too, in order of first use."""
    return tuple(
        name
        for name in all_needed(derived, (place for group in groups for place in group.places))
        if name not in derived
    )


def all_needed(derived: Derived, places: Iterable[Place]) -> tuple[str, ...]:
    """The physical and derived columns that these places need, in order of first use."""
    needed: dict[str, None] = {}
    stack = [name for place in places for name in names_of(place)][::-1]
    while stack:
        name = stack.pop()
        if name not in needed:
            needed[name] = None
            if name in derived:
                stack.extend(sorted(derived[name].names, reverse=True))
    return tuple(needed)


def names_of(place: Place) -> list[str]:
    """What the place reads, features that it uses taken apart."""
    used = {one.column for one in place.uses}
    names = [name for name in sorted(place.source.names) if name not in used]
    return [*(name for one in place.uses for name in names_of(one)), *names]


def type_problems(derived: Derived, groups: Sequence[Group], empty: Mapping[str, Value]) -> list[Problem]:
    """Runs every derived column and every feature on zero rows; all that can't be computed.

    ``empty`` has zero rows of each column that can be read; what reads another is passed over (`resolve` reports it).
    """
    problems: list[Problem] = []
    known = dict(empty)
    for name, expr in derived.items():
        if all(one in known for one in expr.names):
            try:
                known[name] = _run_one(expr, known)
            except VaxseqError as error:
                problems.append(Problem(("columns", name), str(error)))
    for group in groups:
        shapes: dict[tuple[int, ...], None] = {}
        for place in group.places:
            if not all(one in known for one in names_of(place)):
                continue
            try:
                shapes[_check_place(place, known).shape] = None
            except VaxseqError as error:
                problems.append(Problem(place.path, _named(place, str(error))))
        if len(group.places) > 1:
            problems.extend(
                Problem(
                    group.places[0].path[:-2],
                    f"an array of shape {shape} can't stand beside other features. {_FLATTEN}",
                )
                for shape in shapes
                if len(shape) > 1
            )
    return problems


def _check_place(place: Place, known: Mapping[str, Value]) -> Value:
    """Zero rows of the feature before anything is learned."""
    used = {one.column: _check_place(one, known) for one in place.uses}
    return cast_to(place.dtype)(check_steps(_run_one(place.source, {**known, **used}), place.steps))


_FLATTEN = "End it with flatten, or give it an input of its own"


def compile_recipe(derived: Derived, groups: Sequence[Group], learned: Learned, empty: Mapping[str, Value]) -> Recipe:
    """The program of these groups and the fields that its outputs fill.

    ``learned`` has the learned values of each place's steps; ``empty`` zero rows of each needed column.

    Raises:
        FeatureTypeError: a column's type isn't one that the features can take.
    """
    builder = ProgramBuilder()
    names = column_nodes(derived, builder, needed_columns(derived, groups))
    outputs = [place_node(builder, names, place, learned) for group in groups for place in group.places]
    program = builder.build(outputs)
    values = iter(program.run({name: empty[name] for name in program.columns}))
    fields = []
    first = 0
    for group in groups:
        shapes = [next(values).shape for _ in group.places]
        fields.append(_field(group, shapes, first))
        first += len(shapes)
    return Recipe(program, tuple(fields))


def column_nodes(derived: Derived, builder: ProgramBuilder, physical: Iterable[str]) -> dict[str, int]:
    """The nodes of the physical columns and of the derived columns that can be made of them."""
    names = {name: builder.column(name) for name in physical}
    for name, expr in derived.items():
        if all(one in names for one in expr.names):
            names[name] = compile_expression(expr, builder, names)
    return names


def place_node(builder: ProgramBuilder, names: Mapping[str, int], place: Place, learned: Learned) -> int:
    """The node of the whole feature, cast to its storage type."""
    node = compile_chain(builder, source_node(builder, names, place, learned), place.steps, learned[place.key])
    return builder.apply(told(place, cast_to(place.dtype)), node, key=("cast", place.dtype, place.key))


def source_node(builder: ProgramBuilder, names: Mapping[str, int], place: Place, learned: Learned) -> int:
    """The node of what the feature reads, before its steps."""
    used = {one.column: place_node(builder, names, one, learned) for one in place.uses}
    return compile_expression(place.source, builder, {**names, **used})


def told(place: Place, function: Function) -> Function:
    """The function, with the feature's name in its errors."""

    def run(value: Value) -> Value:
        try:
            return function(value)
        except FeatureTypeError as error:
            raise FeatureTypeError(f"{place.key}: {error}") from error

    return run


def _field(group: Group, shapes: Sequence[tuple[int, ...]], first: int) -> Field:
    widths = [int(np.prod(shape, dtype=np.int64)) for shape in shapes]
    starts = np.concatenate([[0], np.cumsum(widths)]).tolist()
    parts = tuple(
        Part(place.name, first + number, starts[number], widths[number]) for number, place in enumerate(group.places)
    )
    if len(shapes) > 1:
        if array := next((shape for shape in shapes if len(shape) > 1), None):
            raise FeatureTypeError(
                f"{group.name}: an array of shape {array} can't stand beside other features. {_FLATTEN}"
            )
        shape: tuple[int, ...] = (starts[-1],)
    else:
        shape = shapes[0] or ((1,) if group.role == "input" else ())
    return Field(group.role, group.name, np.dtype(group.dtype), shape, parts)


def _run_one(expr: Any, known: Mapping[str, Value]) -> Value:
    builder = ProgramBuilder()
    names = {name: builder.column(name) for name in expr.names}
    return builder.build([compile_expression(expr, builder, names)]).run(known)[0]


def _named(place: Place, what: str) -> str:
    """The message; names the column when the definition's line stands for several."""
    return f"{place.name}: {what}" if place.name else what
