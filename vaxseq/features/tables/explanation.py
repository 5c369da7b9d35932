"""Why a feature is what it is: a record's raw values, each step with what it learned, and the value that is served."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from vaxseq.display.html import Head, Heading, Row
from vaxseq.display.tables import Display
from vaxseq.errors import OptionError, did_you_mean
from vaxseq.expressions.program import ProgramBuilder
from vaxseq.expressions.values import Value
from vaxseq.features.learning.fitted import Fitted
from vaxseq.features.program.compile import column_nodes, needed_columns, place_node, source_node
from vaxseq.features.program.history import History
from vaxseq.features.program.recipe import Recipe
from vaxseq.features.program.resolve import Place, histories_of
from vaxseq.features.records.records import Records
from vaxseq.features.tables.summary import learned_text, reads, show_step
from vaxseq.features.transforms import compile_steps

_HEADINGS = (
    Heading("feature"),
    Heading("step"),
    Heading("value", "code"),
    Heading("learned", "quiet", spare=True),
)
_SHOWN = 4


def explanation(fitted: Fitted, records: Any, *, features: str | Sequence[str] | None = None) -> Display:
    """See `FittedFeatures.explain`."""
    groups = [group for group in fitted.groups if group.role == "input"]
    places = [(group.name, place) for group in groups for place in group.places]
    wanted = [features] if isinstance(features, str) else features
    if wanted is not None:
        known = dict.fromkeys(name for _, place in places for name in (place.name, place.key))
        for name in wanted:
            if name not in known:
                raise OptionError(f"explain: no feature {name!r}.{did_you_mean(str(name), known)}")
        places = [(block, place) for block, place in places if place.name in wanted or place.key in wanted]
    histories = histories_of(groups)
    traces = _traces(fitted, [place for _, place in places], records, histories)
    rows: list[Row] = []
    data: dict[str, Any] = {}
    block = None
    for (name, place), trace in zip(places, traces, strict=True):
        if name != block:
            rows.append(Head(f"input {name}", place.dtype))
            block = name
        learned = fitted.state.learned[place.key]
        steps = [show_step(step) for step in place.steps]
        said = [learned_text(step, values) if values else "" for step, values in zip(place.steps, learned, strict=True)]
        past = "" if place.history is None else f" after {', '.join(show_step(step) for step in place.history.steps)}"
        rows.append((place.name, f"reads {reads(place)}{past}", show_value_of(trace[0]), ""))
        for step, value, what in zip(steps, trace[1:-1], said, strict=True):
            rows.append(("", step, show_value_of(value), what))
        labels = _labels(place, learned, trace[-1])
        rows.append(("", f"served as {place.dtype}", show_value_of(trace[-1]), labels))
        data[place.key] = {
            "reads": reads(place),
            "raw": plain_value(trace[0]),
            "steps": [
                {"step": step, "value": plain_value(value), "learned": dict(values)}
                for step, value, values in zip(steps, trace[1:-1], learned, strict=True)
            ],
            "served": plain_value(trace[-1]),
        }
    return Display("", _HEADINGS, tuple(rows), (), data)


def _traces(fitted: Fitted, places: Sequence[Place], records: Any, histories: tuple[History, ...]) -> list[list[Value]]:
    """Of each place the last record's value at its source, after each step, and as it is served."""
    derived, learned = fitted.feature_set.derived, fitted.state.learned
    inputs = [group for group in fitted.groups if group.role == "input"]
    builder = ProgramBuilder()
    names = column_nodes(derived, builder, needed_columns(derived, inputs))
    nodes: list[int] = []
    for place in places:
        source = source_node(builder, names, place, learned)
        nodes.append(source)
        for count in range(1, len(place.steps) + 1):
            nodes.append(compile_steps(builder, source, place.steps[:count], learned[place.key][:count])[0])
        nodes.append(place_node(builder, names, place, learned))
    program = builder.build(nodes)
    taken = Records(Recipe(program, ()), fitted.state.columns, past=histories)
    values, rows = taken.values(records)
    if not rows:
        raise OptionError("explain: got no record, expected one, or a series' records of which the last is explained")
    outputs = iter([value.slice(rows - 1, rows) for value in program.run(values)])
    return [[next(outputs) for _ in range(len(place.steps) + 2)] for place in places]


def _labels(place: Place, learned: Sequence[Mapping[str, Any]], served: Value) -> str:
    """Which of several named columns are 1, or their names."""
    labels = None
    for step, values in zip(place.steps, learned, strict=True):
        labels = step.labels(values) or labels
    if not labels or isinstance(served.data, pa.Array):
        return ""
    numbers = np.asarray(served.data, np.float64).reshape(-1)[: len(labels)]
    if len(numbers) == len(labels) and np.isin(numbers, (0.0, 1.0)).all():
        return ", ".join(label for label, one in zip(labels, numbers, strict=True) if one == 1.0)
    return ", ".join(labels[:_SHOWN])


def plain_value(value: Value) -> Any:
    """The one row's value for JSON; None where it is missing."""
    if isinstance(value.data, pa.Array):
        return value.data[0].as_py()
    one = value.data[0]
    if value.missing is not None and bool(value.missing[0]):
        return None
    if value.data.dtype.kind in "Mm":
        return None if np.isnat(one) else str(one)
    listed = np.asarray(one).tolist()
    if isinstance(listed, float) and math.isnan(listed):
        return None
    return listed


def show_value_of(value: Value) -> str:
    plain = plain_value(value)
    if plain is None:
        return "missing"
    if isinstance(plain, list):
        flat = np.asarray(value.data[0], np.float64).reshape(-1).tolist()
        places = np.flatnonzero(flat)
        if len(flat) > _SHOWN and len(places) < 2:  # one-hot: the place says it
            return f"{flat[places[0]]:.6g} at [{places[0]}] of {len(flat)}" if len(places) else f"0 in all {len(flat)}"
        shown = ", ".join(f"{one:.6g}" for one in flat[:_SHOWN])
        return f"({shown}{f', ... {len(flat)} in all' if len(flat) > _SHOWN else ''})"
    if not isinstance(value.data, pa.Array) and value.kind == "datetime" and "." in str(plain):
        return str(plain).rstrip("0").rstrip(".")  # nanoseconds that are none
    return f"{plain:.6g}" if isinstance(plain, float) else str(plain)
