"""What a definition declares, and what a fit learned for each feature, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vaxseq.display.html import Head, Heading, Row
from vaxseq.display.tables import Display
from vaxseq.features.definition.blocks import Feature, Target, write_step
from vaxseq.features.definition.definition import Definition
from vaxseq.features.learning.fitted import Fitted
from vaxseq.features.learning.state_file import library_versions
from vaxseq.features.program.recipe import Field
from vaxseq.features.program.resolve import Place
from vaxseq.features.transforms import Step

_FITTED = (
    Heading("feature"),
    Heading("reads", "code"),
    Heading("steps"),
    Heading("learned", "quiet"),
    Heading("width", "number"),
    Heading("missing", "number"),
)
_DECLARED = (Heading("feature"), Heading("reads", "code"), Heading("steps"), Heading("notes", "quiet"))


def fitted_table(fitted: Fitted) -> Display:
    """One line a feature: its steps, what they learned, and the share of training rows where it was missing."""
    state = fitted.state
    recipe = fitted.recipe()
    rows: list[Row] = []
    data: dict[str, Any] = {}
    for group, field in zip(fitted.groups, recipe.fields, strict=True):
        rows.append(Head(f"{group.role} {group.name}", _shape(field)))
        for place, part in zip(group.places, field.parts, strict=True):
            learned = state.learned[place.key]
            share = state.missing.get(place.key, 0) / state.rows
            rows.append(
                (
                    place.name,
                    reads(place),
                    ", ".join(show_step(step) for step in place.all_steps) or "as it is",
                    "; ".join(
                        learned_text(one, values) for one, values in zip(place.steps, learned, strict=True) if values
                    ),
                    str(part.width),
                    _percent(share),
                )
            )
            data[place.key] = {
                "column": place.column,
                "reads": reads(place),
                "steps": [write_step(step) for step in place.all_steps],
                "learned": [dict(one) for one in learned],
                "width": part.width,
                "missing": share,
            }
    chosen = f" where {state.where}" if state.where else ""
    title = f"Fitted on {state.rows:,} rows{chosen}, in {state.scans} scan{'s' if state.scans != 1 else ''}"
    here = library_versions()
    other = [f"{name} {was}, here {here[name]}" for name, was in state.libraries.items() if here.get(name, was) != was]
    notes = ("Fitted with other versions: " + "; ".join(other),) if other else ()
    return Display(title, _FITTED, tuple(rows), notes, data)


def definition_table(definition: Definition) -> Display:
    """One line a declared feature, before any data is seen."""
    rows: list[Row] = []
    if definition.columns:
        rows.append(Head("columns"))
        rows += [(name, column.expr.text, "", _notes(column)) for name, column in definition.columns.items()]
    for name, block in definition.inputs.items():
        rows.append(Head(f"input {name}", block.dtype))
        rows += [declared(feature) for feature in block.features]
    for name, target in definition.targets.items():
        rows.append(Head(f"target {name}", target.storage))
        rows.append(declared(target))
    if definition.weights is not None:
        rows.append(Head("weights", definition.weights.dtype))
        rows.append((definition.weights.column or "weight", _source(definition.weights), "", ""))
    features = sum(len(block.features) for block in definition.inputs.values())
    inputs, targets = _count(len(definition.inputs), "input"), _count(len(definition.targets), "target")
    title = f"{_count(features, 'feature')} in {inputs}, {targets}"
    return Display(title, _DECLARED, tuple(rows), (), definition.to_dict())


def show_step(step: Step) -> str:
    """A step as a person writes it: ``clip(quantiles=[0.01, 0.99])``."""
    written = write_step(step)
    if isinstance(written, str):
        return written
    options = ", ".join(f"{name}={_option(value)}" for name, value in next(iter(written.values())).items())
    return f"{step.name}({options})"


def _option(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_option(one) for one in value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def declared(block: Feature | Target) -> tuple[str, str, str, str]:
    name = block.name if isinstance(block, Feature) else None
    steps = (
        "classes" if isinstance(block, Target) and block.classes else ", ".join(show_step(one) for one in block.steps)
    )
    return (name or block.column or "", _source(block), steps or "as it is", _notes(block))


def _source(block: Any) -> str:
    for key in ("expr", "column", "columns", "pattern", "dtype"):
        value = getattr(block, key, None)
        if value is not None:
            text = ", ".join(value) if isinstance(value, tuple) else str(value)
            return text if key in ("expr", "column", "columns") else f"{key} {text}"
    return ""


def _notes(block: Any) -> str:
    known = f"known {block.known_when}" if block.known_when else ""
    return "; ".join(one for one in (block.unit, known, block.description) if one)


def reads(place: Place) -> str:
    """What a feature reads, as a person writes it."""
    names = place.reads.names
    if len(names) == 1 and place.reads.text in (f"col({name!r})" for name in names):
        return next(iter(names))
    return place.reads.text


def learned_text(step: Step, values: Mapping[str, Any]) -> str:
    return f"{step.name} " + ", ".join(_entries(values))


def _entries(values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield f"{name} ({', '.join(_entries(value))})"
        else:
            yield f"{name} {show_value(value)}"


def show_value(value: Any) -> str:
    """A learned value, shortened.

    >>> show_value([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    '1, 2, 3, ... (6)'
    """
    if isinstance(value, (list, tuple)):
        shown = ", ".join(show_value(one) for one in value[: 4 if len(value) <= 4 else 3])
        return shown if len(value) <= 4 else f"{shown}, ... ({len(value):,})"
    if isinstance(value, float):
        return f"{value:.5g}"
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return text if len(text) <= 24 else text[:21] + "..."


def _shape(field: Field) -> str:
    inner = ", ".join(["rows", *(str(size) for size in field.shape)])
    return f"{field.dtype} ({inner})"


def _percent(share: float) -> str:
    return "" if share == 0 else "< 0.1 %" if share < 0.001 else f"{share:.1%}".replace("%", " %")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
