"""What is wrong with a definition, in words: pydantic's errors as ours, and all of them as one error with its lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vaxseq.errors import DefinitionError, did_you_mean
from vaxseq.features.definition.blocks import (
    Block,
    DerivedColumn,
    Feature,
    Input,
    SeriesBlock,
    Target,
    Weights,
    WindowBlock,
)
from vaxseq.features.definition.document import Document, Path, Problem, show_path

_BLOCKS: dict[str, Any] = {"series": SeriesBlock, "weights": Weights, "window": WindowBlock}
_NAMED: dict[str, Any] = {"columns": DerivedColumn, "inputs": Input, "targets": Target}


def problems_of(error: Any, whole: type[Block]) -> list[Problem]:
    """One of pydantic's errors as problems in our words; ``whole`` is the model of the whole definition."""
    path, kind, got = tuple(error["loc"]), error["type"], error.get("input")
    if kind == "problems":
        return [Problem((*path, *one.path), one.what) for one in error["ctx"]["problems"]]
    if kind == "extra_forbidden":
        known = _keys_at(path[:-1], whole)
        return [Problem(path, f"unknown key {str(path[-1])!r}.{did_you_mean(str(path[-1]), known)}")]
    if kind == "missing":
        return [Problem(path[:-1], f"the key {str(path[-1])!r} is needed here")]
    if path and path[-1] == "[key]":
        path = path[:-1]
    if kind in ("expression", "steps", "name", "kind"):
        return [Problem(path, error["msg"])]
    if kind == "literal_error":
        expected = error["ctx"]["expected"]
        words = [word.strip(" '") for word in expected.replace(" or ", ",").split(",")]
        return [Problem(path, f"got {_show(got)}, expected {expected}.{_near(got, words)}")]
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return [Problem(path, f"got {_show(got)}, expected a mapping (key: value)")]
    if kind in ("tuple_type", "list_type"):
        return [Problem(path, f"got {_show(got)}, expected a list")]
    if kind == "bool_type":
        return [Problem(path, f"got {_show(got)}, expected true or false")]
    if kind == "too_short":
        return [Problem(path, "got nothing, expected at least one entry")]
    message = error["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return [Problem(path, f"got {_show(got)}, expected {message}")]


def _near(got: Any, words: list[str]) -> str:
    hint = did_you_mean(str(got), words)
    return hint if hint.startswith(" Did") else ""


def _keys_at(path: Path, whole: type[Block]) -> list[str]:
    model: Any = whole
    if path:
        model = _BLOCKS.get(str(path[0])) or _NAMED[str(path[0])]
        if len(path) > 2 and path[2] == "features":
            model = Feature
    return list(model.model_fields)


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def as_error(
    problems: Sequence[Problem], document: Document, where: str, kind: type[Exception] = DefinitionError
) -> Exception:
    found = {
        (problem.line or document.line(problem.path) or 0, show_path(problem.path), problem.what): None
        for problem in problems
    }
    lines = []
    for line, path, what in sorted(found, key=lambda one: one[0]):
        place = f"{where}:{line}" if line else where
        lines.append(f"{place} {path}: {what}" if path else f"{place}: {what}")
    return kind("\n".join(lines))
