"""Whether data and a definition are what a fit was made from, and what differs if not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vaxseq.errors import ColumnNotFoundError, StateError, did_you_mean
from vaxseq.expressions.values import Value
from vaxseq.features.program.compile import empty_value


def check_columns(needed: Iterable[str], types: Mapping[str, str], fitted: Mapping[str, str]) -> None:
    """Refuses columns that are needed and aren't there, or are of another kind than the fitted ones.

    Raises:
        ColumnNotFoundError: columns aren't there.
        StateError: columns are of another kind.
    """
    needed = list(needed)
    absent = [name for name in needed if name not in types]
    if absent:
        raise ColumnNotFoundError(
            "\n".join(
                f"column {name!r}: needed by the features, isn't in the data.{did_you_mean(name, types)}"
                for name in absent
            )
        )
    other = [
        f"column {name!r}: got {types[name]}, expected {fitted[name]} as in the fit"
        for name in needed
        if not same_kind(types[name], fitted[name])
    ]
    if other:
        raise StateError("\n".join(other) + "\nConvert the column, or fit on this data")


def same_kind(one: str, other: str) -> bool:
    """Whether two types hold the same kind of values in the same shape, whatever their width."""
    return _kind(one) == _kind(other)


def _kind(type_name: str) -> tuple[Any, ...]:
    if type_name.startswith("unreadable"):
        return (type_name,)
    value: Value = empty_value(type_name)
    return (value.kind, value.shape)


def differences(old: Any, new: Any, path: str = "") -> list[str]:
    """What differs between two plain values, each with its path.

    >>> differences({"a": 1, "b": [2]}, {"a": 1, "b": [3]})
    ['b[0]: got 3, fitted with 2']
    """
    if isinstance(old, dict) and isinstance(new, dict):
        found: list[str] = []
        for key in dict.fromkeys([*old, *new]):
            inner = f"{path}.{key}" if path else str(key)
            if key not in new:
                found.append(f"{inner}: is gone")
            elif key not in old:
                found.append(f"{inner}: is new")
            else:
                found.extend(differences(old[key], new[key], inner))
        return found
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [one for number, (a, b) in pairs for one in differences(a, b, f"{path}[{number}]")]
    return [] if old == new else [f"{path}: got {new!r:.60}, fitted with {old!r:.60}"]
