"""What a look at a column says: a form that is certain, or a notice with the options that decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from vaxseq.convert.forms.looking import Candidate, Look

_NEAR = 0.5  # of the way from time to time in another reading: then this one is the likelier
_PREFERRED = ("day_first", "month_first", "year_first", "decimal_point", "decimal_comma")


@dataclass(frozen=True, slots=True)
class Decided:
    """The form that a text column is read by, and the type that holds its values."""

    form: str
    kind: pa.DataType


@dataclass(frozen=True, slots=True)
class Said:
    """A notice before its lines are known: ``examples`` are the cells to find them by."""

    message: str
    examples: tuple[str, ...]
    options: Mapping[str, Any]
    lossless: bool


def decide(look: Look) -> Decided | None:
    """The form that leaves no doubt."""
    one = look.certain()
    return None if one is None else Decided(one.form.name, one.kind)


def say(look: Look, column: str, first: str | None, *, point_elsewhere: bool) -> Said | None:
    """What is likely about a column that stays text. ``column`` is its name in the source, ``first`` a cell of it.

    ``point_elsewhere``: other columns of the source have decimal points, so that a comma parts thousands.
    """
    left = sorted(look.left(), key=lambda one: _PREFERRED.index(one.form.name) if one.form.name in _PREFERRED else 9)
    examples = () if first is None else (first,)
    if left:
        if first is not None and "/" in first:  # a slash is more often the month's than the day's
            left.sort(key=lambda one: one.form.name != "month_first")
        least = min(other.travel for other in left)
        left.sort(key=lambda one: one.travel * _NEAR > least)  # rows of a logger follow one another
        one = left[0]
        if len(left) > 1 and one.form.of == "times":
            readings = " or ".join(f'{other.form.says}: forms={{"{column}": "{other.form.name}"}}' for other in left)
            steps = "; in the order of the first, the rows follow closer" if left[-1].travel * _NEAR > least else ""
            return Said(
                f"times that can be read in {len(left)} ways: {readings}{steps}", examples,
                _options(look, column, one), False,
            )  # fmt: skip
        doubt = len(left) > 1 and not (point_elsewhere and one.form.name == "decimal_point")
        if look.signs:
            marks = ", ".join(f"{word!r} {count:,} times" for word, count in look.signs.items())
            said = f"{one.form.of}, but for marks of missing values: {marks}"
            return Said(said, tuple(look.signs), _options(look, column, one), not doubt and not one.loose)
        if one.form.of == "numbers":
            what = (
                f" with {one.affix!r}"
                if one.affix is not None
                else " with parentheses or a minus behind"
                if one.loose
                else ""
            )
            other = f'; or {left[1].form.says}: forms={{"{column}": "{left[1].form.name}"}}' if doubt else ""
            return Said(f"{one.form.says}{what}{other}", examples, _options(look, column, one), not doubt)
        return Said(one.form.says, examples, _options(look, column, one), one.form.of == "true and false")
    nearly = look.nearly()
    if not nearly:
        return None
    one = nearly[0]
    odd = {**one.odd, **look.signs}
    count, total = one.fitting, one.fitting + sum(odd.values())
    words = ", ".join(repr(word) for word in list(odd)[:3]) + (", ..." if len(odd) > 3 else "")
    said = f"{count:,} of {total:,} are {one.form.of}, others: {words}"
    return Said(said, tuple(odd)[:3], _options(look, column, one), False)


def _options(look: Look, column: str, one: Candidate) -> dict[str, Any]:
    found: dict[str, Any] = {}
    usual = one.form.name == ("decimal_point" if look.decimal == "." else "decimal_comma") and one.affix is None
    if not (usual and not one.loose and not look.marked):  # else any parser reads it
        found["forms"] = {column: one.form.name}
    if marks := [*one.odd, *look.signs]:
        found["null_values"] = {column: marks}
    return found
