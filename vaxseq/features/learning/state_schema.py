"""The form of a state file, value by value: what a stranger wrote is checked whole before any of it is used."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0, lt=1 << 62)]
_DEPTH = 4  # lists in lists
_LISTS = frozenset(("values", "counts", "quantiles"))


def _learned(step: dict[str, Any]) -> dict[str, Any]:
    """``{step: its learned values}``: numbers, text, lists and mappings of them, as many counts as values."""
    if len(step) != 1:
        raise ValueError(f"got {len(step)} names, expected the name of one step")
    (name, values) = next(iter(step.items()))
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ValueError(f"step {name!r:.40}: got {type(values).__name__}, expected a mapping of learned values")
    for key, one in values.items():
        if key in _LISTS and not isinstance(one, list):
            raise ValueError(f"step {name!r:.40}: {key}: got {type(one).__name__}, expected a list")
        if not _plain(one, _DEPTH):
            raise ValueError(f"step {name!r:.40}: {key!r:.40}: expected a number, text, mappings, or lists of one kind")
    counts, known = values.get("counts"), values.get("values")
    if counts is not None and not all(type(one) is int and 0 <= one < 1 << 62 for one in counts):
        raise ValueError(f"step {name!r:.40}: counts: expected whole numbers of at least 0")
    if counts is not None and known is not None and len(counts) != len(known):
        raise ValueError(f"step {name!r:.40}: got {len(counts)} counts, expected {len(known)}, one for each value")
    if known is not None and len(set(map(str, known))) < len(known):
        raise ValueError(f"step {name!r:.40}: values: one is there twice")
    rows = values.get("rows", 1)
    if type(rows) is not int or not 1 <= rows < 1 << 62:
        raise ValueError(f"step {name!r:.40}: rows: expected a whole number of at least 1")
    return step


def _plain(value: Any, depth: int) -> bool:
    if isinstance(value, list):
        kinds = {float if type(one) is int else type(one) for one in value}
        return depth > 0 and len(kinds) <= 1 and all(_plain(one, depth - 1) for one in value)
    if isinstance(value, dict):
        return depth > 0 and all(map(_encodes, value)) and all(_plain(one, depth - 1) for one in value.values())
    if type(value) is int:
        return -(1 << 63) <= value < 1 << 64
    return value is None or isinstance(value, (bool, float)) or (isinstance(value, str) and _encodes(value))


def _encodes(text: str) -> bool:
    return not any("\ud800" <= one <= "\udfff" for one in text)


class _Form(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class DataForm(_Form):
    """What was learned from."""

    fingerprint: str
    where: str | None
    rows: Count
    scans: Count
    columns: dict[str, Annotated[str, Field(max_length=400)]]


class FeatureForm(_Form):
    """What a feature's steps learned."""

    missing: Count
    steps: list[Annotated[dict[str, Any], AfterValidator(_learned)]]


class StateForm(_Form):
    """A state file."""

    format: str
    version: int
    libraries: dict[str, str]
    definition_fingerprint: str
    definition: dict[str, Any]
    data: DataForm
    learned: dict[str, FeatureForm]
