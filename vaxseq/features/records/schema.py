"""A record's JSON Schema, from what a fit knows of the columns; and records that look like the training rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from vaxseq.features.learning.fitted import Fitted
from vaxseq.features.program.compile import needed_columns
from vaxseq.features.program.resolve import Place, data_columns

_SHAPE = re.compile(r"\[([\d, ]+)\]$")


def record_schema(fitted: Fitted) -> dict[str, Any]:
    """JSON Schema (2020-12) of one record, with the columns that the inputs read."""
    properties = {name: _property(kind) for name, kind in _columns(fitted).items()}
    for name, place in _direct(fitted):
        block = fitted.feature_set.inputs[place.block].features[int(place.path[-1])]
        notes = [note for note in (block.description, block.unit and f"in {block.unit}") if note]
        if notes:
            properties[name]["description"] = ", ".join(notes)
    for name in _may_be_missing(fitted):
        properties[name]["type"] = [properties[name]["type"], "null"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "record",
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }


def openapi(fitted: Fitted) -> dict[str, Any]:
    """An OpenAPI 3.1 document of a service that takes records by POST /predict and gives predictions."""
    record = {key: value for key, value in record_schema(fitted).items() if key != "$schema"}
    listed = {"type": "array", "items": {"$ref": "#/components/schemas/record"}, "minItems": 1}
    answer = {"type": "object", "properties": {"predictions": {"type": "array"}}, "required": ["predictions"]}
    given = {"description": "a prediction a record", "content": {"application/json": {"schema": answer}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "predictions", "version": fitted.feature_set.fingerprint[:12]},
        "paths": {
            "/predict": {
                "post": {
                    "requestBody": {"required": True, "content": {"application/json": {"schema": listed}}},
                    "responses": {
                        "200": given,
                        "422": {"description": "a record that the features refuse, and why"},
                    },
                }
            }
        },
        "components": {"schemas": {"record": record}},
    }


def like_training(fitted: Fitted, rows: int, seed: int = 0) -> dict[str, list[Any]]:
    """Made-up records: numbers about as the fit found them, categories that it knows and one that it doesn't."""
    rng = np.random.default_rng(seed)
    known: dict[str, Mapping[str, Any]] = {}
    for name, place in _direct(fitted):
        for learned in fitted.state.learned[place.key]:
            known[name] = {**learned, **known.get(name, {})}
    return {name: _made(kind, known.get(name, {}), rows, rng) for name, kind in _columns(fitted).items()}


def _made(kind: str, learned: Mapping[str, Any], rows: int, rng: np.random.Generator) -> list[Any]:
    if "values" in learned:
        values = [*learned["values"][:20], *(["something else"] if kind == "text" else [])]
        return [values[place] for place in rng.integers(0, len(values), rows)] if values else [None] * rows
    if kind == "text":
        return [f"word {place}" for place in rng.integers(0, 5, rows)]
    if kind == "bool":
        return [bool(one) for one in rng.random(rows) < 0.5]
    if kind.startswith("datetime"):
        return list(np.datetime64("2024-01-01T00:00:00", "s") + rng.integers(0, 366 * 86_400, rows))
    if kind.startswith("timedelta"):
        return list(rng.integers(0, 86_400, rows).astype("m8[s]"))
    shape = (rows, *_shape(kind))
    mean, std = learned.get("mean", 1.0), learned.get("std", 1.0)
    plain = isinstance(mean, float) and isinstance(std, float)
    numbers = rng.normal(mean, std or 1.0, shape) if plain else np.abs(rng.normal(1.0, 1.0, shape))
    if kind.startswith(("int", "uint")):
        numbers = np.round(np.abs(numbers))
        whole: list[Any] = numbers.astype(np.int64).tolist()
        return whole
    return list(numbers.tolist())


def _columns(fitted: Fitted) -> dict[str, str]:
    """The data's columns that the inputs read, with their types."""
    inputs = [group for group in fitted.groups if group.role == "input"]
    names = data_columns(needed_columns(fitted.feature_set.derived, inputs), inputs)
    return {name: fitted.state.columns[name] for name in names}


def _direct(fitted: Fitted) -> Iterator[tuple[str, Place]]:
    """Features that read one column as it is, with that column."""
    columns = _columns(fitted)
    for group in fitted.groups:
        for place in group.places if group.role == "input" else ():
            names = place.reads.names
            if len(names) == 1 and place.reads.text in (*names, *(f"col({name!r})" for name in names)):
                name = next(iter(names))
                if name in columns:
                    yield name, place


def _may_be_missing(fitted: Fitted) -> set[str]:
    """Columns that are read as they are, and whose missing values every feature says something for."""
    handled: dict[str, bool] = {}
    for name, place in _direct(fitted):
        handled[name] = handled.get(name, True) and any(step.sees_missing == "handles" for step in place.all_steps)
    used = [
        name
        for group in fitted.groups
        if group.role == "input"
        for place in group.places
        for name in place.reads.names
        if (name, place.key) not in {(one, other.key) for one, other in _direct(fitted)}
    ]
    return {name for name, fine in handled.items() if fine and name not in used}


def _shape(kind: str) -> tuple[int, ...]:
    found = _SHAPE.search(kind)
    return tuple(int(size) for size in found[1].split(",")) if found and not kind.startswith(("date", "time")) else ()


def _property(kind: str) -> dict[str, Any]:
    if kind == "text":
        return {"type": "string"}
    if kind == "bool":
        return {"type": "boolean"}
    if kind.startswith("datetime"):
        return {"type": "string", "format": "date-time"}
    if kind.startswith("timedelta"):
        return {"type": "string", "format": "duration"}
    one: dict[str, Any] = {"type": "integer" if kind.startswith(("int", "uint")) else "number"}
    for size in reversed(_shape(kind)):
        one = {"type": "array", "items": one, "minItems": size, "maxItems": size}
    return one
