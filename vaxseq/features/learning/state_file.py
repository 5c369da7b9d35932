"""Fitted state as a file: versioned JSON that a person can read, exact floats, checked whole when it is read."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vaxseq.errors import SourceError, SourceNotFoundError, StateError, did_you_mean
from vaxseq.features.learning.state_schema import StateForm

FORMAT = "vaxseq fitted features"
VERSION = 1
LIBRARIES = ("numpy", "pandas", "pyarrow", "vaex-core")

_LINE = 110

Learned = dict[str, tuple[dict[str, Any], ...]]


@dataclass(frozen=True, slots=True)
class FitState:
    """What a fit learned and from what: plain values."""

    learned: Learned  # feature -> the learned values of each of its steps
    rows: int
    scans: int
    where: str | None
    data_fingerprint: str
    columns: dict[str, str]  # the data's columns and types
    missing: dict[str, int] = field(default_factory=dict)  # feature -> training rows where what it reads was missing
    libraries: dict[str, str] = field(default_factory=dict)


def library_versions() -> dict[str, str]:
    """The versions of the libraries whose numbers are in a fit."""
    return dict(_versions())


@functools.cache  # to read the packages' metadata took longer than to fit a small frame
def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in ("vaxseq", *LIBRARIES)}


def to_text(
    definition: Mapping[str, Any], fingerprint: str, steps: Mapping[str, tuple[str, ...]], state: FitState
) -> str:
    """The state file's text. ``steps`` has the names of each feature's steps, for the person who reads it."""
    features = {
        key: {
            "missing": state.missing.get(key, 0),
            "steps": [{name: values} for name, values in zip(steps[key], learned, strict=True)],
        }
        for key, learned in state.learned.items()
    }
    content = {
        "format": FORMAT,
        "version": VERSION,
        "libraries": state.libraries,
        "definition_fingerprint": fingerprint,
        "definition": definition,
        "data": {
            "fingerprint": state.data_fingerprint,
            "where": state.where,
            "rows": state.rows,
            "scans": state.scans,
            "columns": state.columns,
        },
        "learned": features,
    }
    encoded = _encode(content)
    return _compact_lists({**encoded, "sha256": _digest(encoded)})


def from_text(text: str, where: str) -> tuple[dict[str, Any], str, dict[str, tuple[str, ...]], FitState]:
    """The definition, its fingerprint, each feature's step names, and the state.

    Raises:
        StateError: not a state file, of another version, damaged or edited.
    """
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise StateError(f"{where}: not a state file; {error}.{_definition_hint(where)}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise StateError(
            f"{where}: not a state file; expected JSON with format {FORMAT!r}, as FittedFeatures.save writes"
        )
    version = content.get("version")
    if version != VERSION:
        raise StateError(f"{where}: state of version {version!r}, expected {VERSION}. Fit again with this vaxseq")
    digest = content.pop("sha256", None)
    if digest != _digest(content):
        raise StateError(f"{where}: the file was edited or damaged after it was saved (its sha256 differs). Fit again")
    try:
        content = _decode(content)
        StateForm.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(map(str, first["loc"]))
        raise StateError(f"{where}: the state file is damaged: {at}: {first['msg']}. Fit again") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise StateError(f"{where}: the state file is damaged: {error}. Fit again") from error
    try:
        data, features = content["data"], content["learned"]
        steps = {key: tuple(next(iter(one)) for one in entry["steps"]) for key, entry in features.items()}
        learned = {key: tuple(next(iter(one.values())) for one in entry["steps"]) for key, entry in features.items()}
        state = FitState(
            learned=learned,
            rows=int(data["rows"]),
            scans=int(data["scans"]),
            where=data["where"],
            data_fingerprint=str(data["fingerprint"]),
            columns=dict(data["columns"]),
            missing={key: int(entry["missing"]) for key, entry in features.items()},
            libraries=dict(content["libraries"]),
        )
        return dict(content["definition"]), str(content["definition_fingerprint"]), steps, state
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise StateError(
            f"{where}: the state file lacks a part or has it in another form ({error!r}). Fit again"
        ) from error


def _definition_hint(where: str) -> str:
    return " A definition file has to be fitted first: vaxseq fit" if where.endswith((".yaml", ".yml")) else ""


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a state file."""
    file = Path(path)
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        near = [one.name for one in file.parent.glob("*.json")] if file.parent.is_dir() else []
        raise SourceNotFoundError(f"{file}: no such state file.{did_you_mean(file.name, near)}") from error
    except (OSError, UnicodeDecodeError) as error:
        remedy = "A state file is JSON that fit writes. If this is the data, name it after the state file"
        raise SourceError(f"{file}: can't be read as a state file; {error}. {remedy}") from error


def _encode(value: Any) -> Any:
    """Plain JSON: a float that JSON can't write becomes ``{"$float": "nan"}``."""
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": repr(value)}
    if isinstance(value, Mapping):
        return {str(key): _encode(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encode(one) for one in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    raise StateError(f"a learned value of type {type(value).__name__} can't be saved as JSON")


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"$float"}:
            return float(value["$float"])
        return {key: _decode(one) for key, one in value.items()}
    return [_decode(one) for one in value] if isinstance(value, list) else value


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} isn't JSON")


def _compact_lists(content: Mapping[str, Any]) -> str:
    """Indented JSON with a list of plain values on one line, so that a thousand edges aren't a thousand lines."""
    return "\n".join(_lines(content, "")) + "\n"


def _lines(value: Any, indent: str) -> list[str]:
    flat = json.dumps(value)
    deeper = indent + "  "
    if len(flat) <= _LINE - len(indent):
        return [flat]
    if isinstance(value, Mapping) and value:
        items = [(f"{json.dumps(key)}: ", one) for key, one in value.items()]
        opening, closing = "{", "}"
    elif isinstance(value, list) and any(isinstance(one, (list, Mapping)) and one for one in value):
        items = [("", one) for one in value]
        opening, closing = "[", "]"
    else:
        return [flat]
    lines = [opening]
    for number, (label, one) in enumerate(items):
        inner = _lines(one, deeper)
        inner[0] = deeper + label + inner[0]
        inner[-1] += "," if number < len(items) - 1 else ""
        lines.extend(inner)
    return [*lines, indent + closing]
