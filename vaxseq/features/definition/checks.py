"""What no block of a definition can know by itself: cycles, names that stand twice, steps out of place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vaxseq.errors import did_you_mean
from vaxseq.features.definition import blocks
from vaxseq.features.definition.blocks import DerivedColumn, Feature, Input, WindowBlock
from vaxseq.features.definition.document import Path, Problem, show_path
from vaxseq.features.definition.graph import order_columns


def meaning_problems(columns: Mapping[str, DerivedColumn], inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """What no block can know by itself: cycles among the columns, names that stand twice."""
    _, cycle = order_columns({name: column.expr.names for name, column in columns.items()})
    if cycle:
        yield Problem(("columns", cycle[0]), f"the columns need one another: {' -> '.join(cycle)}. Break the circle")
    virtual: dict[str, str] = {}
    for name, block in inputs.items():
        if name in blocks.RESERVED_INPUTS:
            yield Problem(
                ("inputs", name),
                f"an input can't be named {name!r}: columns of targets and weights begin so. Choose another name",
            )
        for number, feature in enumerate(block.features if isinstance(block, Input) else block):
            for one in feature_names(feature) if feature is not None else ():
                path: Path = ("inputs", name, "features", number)
                here = f"{name}__{one}"
                if here in virtual:
                    yield Problem(
                        path,
                        f"the feature {one!r} is declared twice; first as {virtual[here]}. Give one of them a name",
                    )
                virtual.setdefault(here, show_path(path))


def order_problems(inputs: Mapping[str, Any], targets: Mapping[str, Any], in_series: bool) -> Iterator[Problem]:
    """Steps that look back where they can't: after steps of a row alone, or without a series."""
    found: list[tuple[Path, Any]] = [(("targets", name), target) for name, target in targets.items()]
    for name, block in inputs.items():
        listed = block.features if isinstance(block, Input) else block
        found.extend((("inputs", name, "features", number), one) for number, one in enumerate(listed))
    for path, one in found:
        steps = one.steps if one is not None else ()
        for number, step in enumerate(steps):
            here: Path = (*path, "steps", number)
            if step.looks_back and number and not steps[number - 1].looks_back:
                what = f"{step.name!r} looks back, so it can't come after {steps[number - 1].name!r}"
                yield Problem(here, f"{what}. Put it first")
            if step.looks_back and not in_series:
                what = f"{step.name!r} looks back, but in what isn't said"
                yield Problem(here, f"{what}. Add series: {{group_by: ..., order_by: ...}} to the definition")


def window_problems(window: WindowBlock | None, inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Inputs that the window names and that aren't there."""
    for option in ("future_inputs", "static_inputs"):
        for name in getattr(window, option, None) or ():
            if name not in inputs:
                yield Problem(("window", option), f"no input {name!r}.{did_you_mean(name, inputs)}")


def feature_names(feature: Feature) -> tuple[str, ...]:
    """The names that the feature has before any data is seen (none for pattern and dtype)."""
    if feature.name is not None:
        return (feature.name,)
    if feature.column is not None:
        return (feature.column,)
    return feature.columns or ()
