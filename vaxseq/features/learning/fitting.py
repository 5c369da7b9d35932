"""A definition, a frame, training rows: checked, learned from, and gathered into a state."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

from vaxseq.dataset.processes import with_workers
from vaxseq.errors import DefinitionError, FeatureTypeError
from vaxseq.expressions import parse
from vaxseq.expressions.values import Value
from vaxseq.features.definition.definition import Definition
from vaxseq.features.history.checking import past_problems
from vaxseq.features.history.columns import with_histories
from vaxseq.features.learning.feature_source import FeatureSource
from vaxseq.features.learning.fit import fit_features
from vaxseq.features.learning.fit_plan import Chain, FitPlan
from vaxseq.features.learning.state_file import FitState, library_versions
from vaxseq.features.program.compile import type_problems
from vaxseq.features.program.resolve import Group, Place, histories_of, resolve
from vaxseq.frame import source_of


def check(definition: Definition, frame: Any) -> tuple[Group, ...]:
    """The definition's groups for this frame; reads no rows.

    Raises:
        DefinitionError: columns that aren't there (and whatever else is wrong).
        FeatureTypeError: steps or inputs that can't take what reaches them. All problems are listed.
    """
    source = source_of(frame)
    types = source.types()
    groups, problems = resolve(definition, types)
    readable = [name for name, kind in types.items() if not kind.startswith("unreadable")]
    empty: dict[str, Value] = dict(source.empty(readable))
    past = past_problems(groups, empty)
    typed = [*past, *type_problems(definition.derived, groups, empty)]
    if problems or typed:
        raise definition.error([*problems, *typed], DefinitionError if problems else FeatureTypeError)
    return groups


def _levels(places: list[Place]) -> list[list[Place]]:
    """The places in the order of fits: those that use features come after these are fitted."""
    depths: dict[str, int] = {}

    def depth(place: Place) -> int:
        if place.key not in depths:
            depths[place.key] = 1 + max((depth(one) for one in place.uses), default=-1)
        return depths[place.key]

    levels: dict[int, list[Place]] = {}
    for place in places:
        levels.setdefault(depth(place), []).append(place)
    return [levels[number] for number in sorted(levels)]


def fit(
    definition: Definition, frame: Any, *, where: str | None, executor: Executor | None, progress: bool
) -> FitState:
    """See `FeatureSet.fit`."""
    source = source_of(frame)
    selection = None if where is None else parse(where, where="where")
    groups = check(definition, source)
    read = with_histories(source, histories_of(groups))
    columns = tuple((name, column.expr) for name, column in definition.columns.items())
    places = [place for group in groups for place in group.places]
    learned: dict[str, tuple[dict[str, Any], ...]] = {}
    missing: dict[str, int] = {}
    rows = scans = 0
    with with_workers(executor, worth=source.opens_elsewhere) as pool:
        for level in _levels(places):
            chains = tuple(
                Chain(one.key, one.source, one.steps, complete=one.role == "input", reads=one.reads.text)
                for one in level
            )
            used = tuple(dict.fromkeys(one for place in level for one in place.uses))
            rowed = FeatureSource(read, definition.derived, used, learned) if used else read
            result = fit_features(FitPlan(chains, columns, selection), rowed, executor=pool, progress=progress)
            learned |= {name: tuple(values) for name, values in result.learned.items()}
            missing |= result.missing
            rows, scans = result.rows, scans + result.scans
    return FitState(
        learned={place.key: learned[place.key] for place in places},
        rows=rows,
        scans=scans,
        where=None if selection is None else selection.text,
        data_fingerprint=source.fingerprint(),
        columns=dict(source.types()),
        missing=missing,
        libraries=library_versions(),
    )
