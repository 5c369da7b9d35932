"""What a conversion noticed but didn't decide: said with the options that decide it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Notice:
    """Something in the sources that stayed as it was written, and what to pass to ``convert`` to take it.

    ``lossless``: its options lose nothing that was written. ``vaxseq convert --accept`` takes those.

    >>> Notice("kw", "numbers with a unit", ("line 2: '5 kW'",), {"forms": {"kw": "decimal_point"}}).options
    {'forms': {'kw': 'decimal_point'}}
    """

    column: str | None
    message: str
    lines: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    lossless: bool = False

    def __str__(self) -> str:
        at = f"column {self.column!r}: " if self.column is not None else ""
        return f"{at}{self.message}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "column": self.column, "message": self.message, "lines": list(self.lines), "options": dict(self.options),
            "lossless": self.lossless,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Notice:
        """The Notice in ``raw``."""
        return cls(raw["column"], raw["message"], tuple(raw["lines"]), dict(raw["options"]), bool(raw["lossless"]))


def merged_options(notices: Iterable[Notice]) -> dict[str, Any]:
    """The options of several notices as one call's: mappings and lists are joined, the first of two values stays.

    >>> merged_options(
    ...     [Notice("a", "", (), {"forms": {"a": "day_first"}}), Notice("b", "", (), {"forms": {"b": "decimal_comma"}})]
    ... )
    {'forms': {'a': 'day_first', 'b': 'decimal_comma'}}
    """
    found: dict[str, Any] = {}
    for notice in notices:
        for key, value in notice.options.items():
            found[key] = _joined(found[key], value) if key in found else value
    return found


def _joined(known: Any, value: Any) -> Any:
    if isinstance(known, Mapping) and isinstance(value, Mapping):
        both = {key: _joined(known[key], value[key]) for key in known if key in value}
        return {**known, **{key: one for key, one in value.items() if key not in known}, **both}
    if isinstance(known, list) and isinstance(value, list):
        return [*known, *(one for one in value if one not in known)]
    return known
