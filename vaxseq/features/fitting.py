"""A definition, a frame, training rows: checked, learned from, and gathered into `FittedFeatures`."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

from vaxseq.errors import DefinitionError, FeatureTypeError
from vaxseq.expressions import parse
from vaxseq.expressions.values import Value
from vaxseq.features.compile import type_problems
from vaxseq.features.fit import fit_features
from vaxseq.features.fit_plan import Chain, FitPlan
from vaxseq.features.resolve import Group, resolve
from vaxseq.features.state import FittedFeatures
from vaxseq.features.statefile import FitState, library_versions
from vaxseq.frame import source_of

if TYPE_CHECKING:
    from vaxseq.features.definition import FeatureSet


def check(definition: FeatureSet, frame: Any) -> tuple[Group, ...]:
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
    typed = type_problems(definition, groups, empty)
    if problems or typed:
        raise definition.error([*problems, *typed], DefinitionError if problems else FeatureTypeError)
    return groups


def fit(
    definition: FeatureSet, frame: Any, *, where: str | None, executor: Executor | None, progress: bool
) -> FittedFeatures:
    """See `FeatureSet.fit`."""
    source = source_of(frame)
    selection = None if where is None else parse(where, where="where")
    groups = check(definition, source)
    chains = tuple(
        Chain(place.key, place.source, place.steps, complete=place.role == "input")
        for group in groups
        for place in group.places
    )
    plan = FitPlan(chains, tuple((name, column.expr) for name, column in definition.columns.items()), selection)
    result = fit_features(plan, source, executor=executor, progress=progress)
    state = FitState(
        learned={chain.name: tuple(result.learned[chain.name]) for chain in chains},
        rows=result.rows,
        scans=result.scans,
        where=None if selection is None else selection.text,
        data_fingerprint=source.fingerprint(),
        columns=dict(source.types()),
        missing=dict(result.missing),
        libraries=library_versions(),
    )
    return FittedFeatures(definition, state)
