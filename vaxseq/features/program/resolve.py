"""Which column or expression each declared feature reads, once the data's columns are known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from vaxseq.errors import did_you_mean
from vaxseq.expressions import Expression, parse
from vaxseq.features.definition.blocks import Feature
from vaxseq.features.definition.definition import Definition
from vaxseq.features.definition.document import Path, Problem
from vaxseq.features.definition.graph import order_columns
from vaxseq.features.program.history import History, distinct, history_of
from vaxseq.features.program.recipe import Role
from vaxseq.features.transforms import Step
from vaxseq.features.transforms.classes import Classes
from vaxseq.features.transforms.history import LookBack


@dataclass(frozen=True, slots=True)
class Place:
    """One feature, target or weight: what it reads, its steps, and where in the definition it stands.

    ``uses`` are the features that its expression reads by their virtual columns' names. With a ``history``, the
    steps that look back are in there, and ``source`` is the column that it becomes.
    """

    role: Role
    block: str  # the input's or the target's name
    name: str
    dtype: str
    source: Expression
    steps: tuple[Step, ...]
    path: Path
    uses: tuple[Place, ...] = ()
    history: History | None = None

    @property
    def reads(self) -> Expression:
        """What it reads in the data, before all its steps."""
        return self.source if self.history is None else self.history.source

    @property
    def all_steps(self) -> tuple[Step, ...]:
        """Its steps, those that look back included."""
        return self.steps if self.history is None else (*self.history.steps, *self.steps)

    @property
    def key(self) -> str:
        """Its name in messages and state, as ``numeric.distance``."""
        return ".".join(self._parts)

    @property
    def column(self) -> str:
        """Its virtual column's name, as ``numeric__distance``."""
        return "__".join(self._parts)

    @property
    def _parts(self) -> tuple[str, ...]:
        if self.role == "input":
            return (self.block, self.name)
        if self.role == "target" and self.name != self.block:
            return ("target", self.block, self.name)
        return (self.role, self.name)


@dataclass(frozen=True, slots=True)
class Group:
    """The features of one input, or the columns of one target, that become one array."""

    role: Role
    name: str
    dtype: str
    places: tuple[Place, ...]


def resolve(definition: Definition, types: Mapping[str, str]) -> tuple[tuple[Group, ...], list[Problem]]:
    """The definition's groups in declaration order, and what is wrong with them for these columns.

    ``types`` has the name of each column's type, as ``Source.types`` gives it.
    """
    problems: list[Problem] = []
    groups: list[Group] = []
    known = {**types, **dict.fromkeys(definition.columns, "")}
    for name, column in definition.columns.items():
        if name in types:
            what = "the data has a column of that name already. Choose another name"
            problems.append(Problem(("columns", name), what))
        problems.extend(_unknown(("columns", name), column.expr.names, known))
    protected = _protected(definition)
    for name, block in definition.inputs.items():
        places: list[Place] = []
        for number, feature in enumerate(block.features):
            path: Path = ("inputs", name, "features", number)
            found = list(_columns_of(feature, definition, types, protected))
            if not found:
                problems.append(
                    Problem(path, f"{_selector(feature)} picks no column.{did_you_mean(_wanted(feature), known)}")
                )
            for one, source in found:
                place = Place("input", name, one, block.dtype, source, feature.steps, path)
                if any(one == earlier.name for earlier in places):
                    problems.append(
                        Problem(path, f"picks {one!r}, which the input has already. Exclude it, or name one")
                    )
                places.append(_placed(place))
        groups.append(Group("input", name, block.dtype, tuple(places)))
    for name, target in definition.targets.items():
        steps: tuple[Step, ...] = (Classes(),) if target.classes else target.steps
        sources = [(name, target.expr)] if target.expr is not None else []
        if target.column is not None:
            sources = [(name, column_expression(target.column))]
        elif target.columns is not None:
            sources = [(one, column_expression(one)) for one in target.columns]
        path = ("targets", name)
        groups.append(
            Group(
                "target",
                name,
                target.storage,
                tuple(
                    _placed(Place("target", name, one, target.storage, source, steps, path)) for one, source in sources
                ),
            )
        )
    if definition.weights is not None:
        name = definition.weights.column or "weight"
        expr = definition.weights.expr or column_expression(name)
        place = _placed(Place("weight", name, name, definition.weights.dtype, expr, (), ("weights",)))
        groups.append(Group("weight", name, definition.weights.dtype, (place,)))
    groups = _linked(groups, known, problems)
    for group in groups:
        for place in group.places:
            used = dict.fromkeys((one.column for one in place.uses), "")
            problems.extend(_unknown(place.path, place.source.names, {**known, **used}))
    if definition.window is not None:
        wanted = (*(definition.window.group_by or ()), *filter(None, [definition.window.order_by]))
        problems.extend(_unknown(("window",), wanted, known))
    if definition.series is not None and definition.past is not None:
        problems.extend(_unknown(("series",), definition.past.columns, known))
    return tuple(_looking_back(group, definition, problems) for group in groups), problems


def _looking_back(group: Group, definition: Definition, problems: list[Problem]) -> Group:
    """The group with the steps that look back taken into each place's history."""
    return replace(group, places=tuple(_with_history(place, definition, problems) for place in group.places))


def _with_history(place: Place, definition: Definition, problems: list[Problem]) -> Place:
    place = replace(place, uses=tuple(_with_history(one, definition, problems) for one in place.uses))
    steps = tuple(step for step in place.steps if isinstance(step, LookBack))
    series = definition.past
    if not steps or series is None:
        return place
    if place.uses:
        what = f"{steps[0].name!r} looks back, so it can't read the feature {place.uses[0].column!r}"
        problems.append(Problem(place.path, f"{what}. Read the data's columns, or derive one"))
        return replace(place, steps=place.steps[len(steps) :])
    history = history_of(place.source, steps, series, definition.derived)
    placed = replace(place, source=column_expression(history.column), steps=place.steps[len(steps) :], history=history)
    return _placed(placed)


def histories_of(groups: Iterable[Group]) -> tuple[History, ...]:
    """The columns of the past that the groups need, through the features that they use too."""
    found: list[History] = []
    stack = [place for group in groups for place in group.places]
    while stack:
        place = stack.pop()
        found.extend([place.history] if place.history is not None else [])
        stack.extend(place.uses)
    return distinct(found[::-1])


def data_columns(columns: Iterable[str], groups: Iterable[Group]) -> tuple[str, ...]:
    """These columns with those of the past replaced by the data's own columns that they are made of."""
    made = {one.column: one.reads for one in histories_of(groups)}
    return tuple(dict.fromkeys(name for column in columns for name in made.get(column, (column,))))


def _linked(groups: Sequence[Group], known: Mapping[str, str], problems: list[Problem]) -> list[Group]:
    """The groups with each input feature's ``uses`` filled in; a name of the data goes before a feature's."""
    features = {place.column: place for group in groups if group.role == "input" for place in group.places}
    needs = {
        name: [one for one in place.source.names if one in features and one not in known]
        for name, place in features.items()
    }
    if not any(needs.values()):
        return list(groups)
    order, cycle = order_columns(needs)
    if cycle:
        what = f"the features need one another: {' -> '.join(cycle)}. Break the circle"
        problems.append(Problem(features[cycle[0]].path, what))
        return list(groups)
    for name in order:
        uses = tuple(features[one] for one in sorted(needs[name]))
        features[name] = replace(features[name], uses=uses)
    return [
        replace(group, places=tuple(features[place.column] for place in group.places))
        if group.role == "input"
        else group
        for group in groups
    ]


def column_expression(name: str) -> Expression:
    """The expression that is just this column, whatever its name looks like."""
    return parse(f"col({name!r})", where="column")


def _placed(place: Place) -> Place:
    """The place with its own name in the errors of its expression."""
    return replace(place, source=parse(place.source.text, where=place.key))


def _columns_of(
    feature: Feature, definition: Definition, types: Mapping[str, str], protected: frozenset[str]
) -> Iterator[tuple[str, Expression]]:
    if feature.expr is not None:
        yield str(feature.name), feature.expr
        return
    if feature.column is not None:
        yield feature.name or feature.column, column_expression(feature.column)
        return
    chosen: Iterable[str]
    if feature.columns is not None:
        chosen = feature.columns
    elif feature.pattern is not None:
        chosen = [name for name in (*types, *definition.columns) if fnmatchcase(name, feature.pattern)]
    else:
        chosen = [name for name, kind in types.items() if is_of_kind(kind, str(feature.dtype))]
    if feature.columns is None:
        left_out = feature.exclude or ()
        chosen = [one for one in chosen if one not in protected and not any(fnmatchcase(one, out) for out in left_out)]
    for one in chosen:
        yield one, column_expression(one)


def is_of_kind(type_name: str, kind: str) -> bool:
    """Whether a column's type is of a kind (or is exactly the type) that a definition can ask for; arrays never are."""
    if kind == type_name:
        return True
    if kind == "number":
        return bool(re.fullmatch(r"(float|u?int)\d+", type_name))
    patterns = {
        "float": r"float\d+",
        "int": r"u?int\d+",
        "datetime": r"datetime64\[\w+\]",
        "timedelta": r"timedelta64\[\w+\]",
    }
    return bool(re.fullmatch(patterns.get(kind, re.escape(kind)), type_name))


def _protected(definition: Definition) -> frozenset[str]:
    """Columns that pattern and dtype never pick: what targets and weights are made of, and columns made of those."""
    named: set[str] = set()
    blocks: list[Any] = [*definition.targets.values(), *filter(None, [definition.weights])]
    for block in blocks:
        named.update(block.expr.names if block.expr is not None else ())
        named.update([block.column] if block.column is not None else [])
        named.update(getattr(block, "columns", None) or ())
    needs = {name: column.expr.names for name, column in definition.columns.items()}
    stack = list(named)
    while stack:  # down to what the targets read ...
        for one in needs.get(stack.pop(), ()):
            if one not in named:
                named.add(one)
                stack.append(one)
    for name in order_columns(needs)[0]:  # ... and up to what else is made of it
        if named.intersection(needs[name]):
            named.add(name)
    return frozenset(named)


def _unknown(path: Path, names: Iterable[str], known: Mapping[str, str]) -> Iterator[Problem]:
    for name in sorted(set(names)):
        if name not in known:
            yield Problem(path, f"column {name!r} isn't in the data.{did_you_mean(name, known)}")
        elif known[name].startswith("unreadable"):
            yield Problem(path, f"column {name!r} is {known[name]}")


def _selector(feature: Feature) -> str:
    return f"pattern {feature.pattern!r}" if feature.pattern is not None else f"dtype {feature.dtype}"


def _wanted(feature: Feature) -> str:
    return (feature.pattern or "").strip("*?")
