"""What to make of a column, by what it holds: steps, or a reason to leave it out. Plain values in and out."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from vaxseq.report.column import ColumnSummary
from vaxseq.report.drafting.words import reference, word
from vaxseq.report.formatting import number, share

Where = Literal["numeric", "codes", "array", "out"]

FEW_VALUES = 12  # categories that become columns of 0 and 1
FEW_NUMBERS = 40  # whole numbers that may be categories
_ROWS_A_VALUE = 100
_MOST_WORDS = 4096
_MANY_WORDS = 1000
_ROWS_A_CODE = 20  # an embedding of fewer learns them by heart
_NEARLY_ALL = 0.9
_HEAVY = 5.0
_TAIL = (0.01, 0.5, 0.99)
_CENTRE = 1000.0  # float32 has seven digits, so a number this many spreads from 0 loses three of them

_ID_NAME = re.compile(r"(^|_)(id|ids|uuid|guid|key|hash|index|rowid|row_id|row_number)$|^Unnamed: \d+$", re.IGNORECASE)
_PERIODS = (
    (re.compile(r"(^|_)hour(s|_of_day)?$", re.IGNORECASE), 0, 23, 24),
    (re.compile(r"(^|_)minutes?$", re.IGNORECASE), 0, 59, 60),
    (re.compile(r"(^|_)month$", re.IGNORECASE), 1, 12, 12),
    (re.compile(r"(^|_)(weekday|dayofweek|day_of_week|dow)$", re.IGNORECASE), 0, 7, 7),
    (re.compile(r"(^|_)(dayofyear|day_of_year|doy)$", re.IGNORECASE), 1, 366, 365.25),
    (re.compile(r"(^|_)(dir|direction|angle|azimuth|bearing|heading|deg|degrees)($|_)", re.IGNORECASE), 0, 360, 360),
)
_CYCLES = (("day", 1.5, "time of day"), ("week", 10.0, "day of the week"), ("year", 300.0, "season"))  # and least days
_DEGREES = ((0.0, 360.0), (-180.0, 180.0))


@dataclass(frozen=True)
class Choice:
    """One column's place in the draft. ``expr`` is read in place of the column; ``why`` becomes a comment."""

    column: str
    where: Where
    why: str
    steps: tuple[Any, ...] = ()
    name: str | None = None
    expr: str | None = None
    derived: dict[str, str] = field(default_factory=dict)


def choose(one: ColumnSummary, *, category: bool = False) -> list[Choice]:
    """The features of a column; ``category`` says that its numbers are codes."""
    out = _useless(one)
    if out is not None:
        return [Choice(one.name, "out", out)]
    if one.shape:
        return [_array(one)]
    if one.kind == "datetime":
        return _times(one)
    if one.kind == "timedelta":
        return [Choice(one.name, "numeric", "a duration", ("elapsed", *_filled(one), "standardize"))]
    if one.kind == "text" or category:
        return [_category(one)]
    if one.kind == "bool":
        steps = ({"impute": {"strategy": "mode", "indicator": True}},) if one.missing else ()
        return [Choice(one.name, "numeric", _said("yes or no", one), steps)]
    return [_number(one)]


def _useless(one: ColumnSummary) -> str | None:
    if not one.count:
        return "it is empty"
    distinct = one.distinct.estimate
    if distinct == 1 and not one.missing and not one.shape:
        only = one.top(1)
        return f"it is always {number(only[0][0])}" if only else "it never changes"
    if one.missing / max(1, one.rows) > 0.99:
        return f"{share(one.missing / one.rows)} of it is missing"
    top = one.top(1)
    if top and top[0][1] >= 0.999 * one.rows and not one.shape:
        return f"{number(top[0][0])} in {share(top[0][1] / one.rows)} of the rows"
    if one.shape or one.kind in ("float", "datetime", "timedelta", "bool"):
        return None
    unique = distinct / one.count
    if one.kind == "text" and unique >= _NEARLY_ALL and one.count > FEW_VALUES:
        return f"an identifier or free text: {_about(one)} values in {one.count:,} rows"
    if one.kind == "int" and unique >= _NEARLY_ALL and one.count > FEW_NUMBERS:
        span = float(one.max or 0) - float(one.min or 0) + 1
        if span <= 1.1 * one.count:
            return "it numbers the rows"
        if _ID_NAME.search(one.name):
            return f"an identifier: {_about(one)} values in {one.count:,} rows"
    if _ID_NAME.search(one.name) and unique > 0.5:
        return f"an identifier: {_about(one)} values in {one.count:,} rows"
    return None


def _array(one: ColumnSummary) -> Choice:
    width = math.prod(one.shape)
    side = math.isqrt(width)
    filled = _filled(one)
    low, high = float(one.min or 0), float(one.max or 0)
    steps: tuple[Any, ...]
    grey = one.kind == "int" and low >= 0 and high <= 255
    if grey and len(one.shape) == 1 and side * side == width and side >= 4:
        steps = ({"scale": {"factor": 1 / high}}, {"reshape": {"shape": [side, side, 1]}}) if high else ()
        why = f"{width} whole numbers from 0 to {high:g}: grey values of {side} × {side}? If not, delete reshape"
        return Choice(one.name, "array", why, (*filled, *steps))
    if grey and high:
        steps = ({"scale": {"factor": 1 / high}},)
        return Choice(one.name, "array", f"whole numbers from 0 to {high:g}", (*filled, *steps))
    steps = ({"standardize": {"per": "channel" if len(one.shape) > 1 else "element"}},)
    return Choice(one.name, "array", f"an array of {' × '.join(map(str, one.shape))} a row", (*filled, *steps))


def _times(one: ColumnSummary) -> list[Choice]:
    span = _days(one)
    found = []
    for period, least, name in _CYCLES:
        steps: tuple[Any, ...] = ({"cyclical": {"period": period}},)
        if one.missing:
            steps = (*steps, {"impute": {"strategy": "constant", "value": 0}})
        whole_days = period == "day" and _whole_days(one)
        if span >= least and not whole_days:
            why = f"{name}: the data spans {span:,.0f} days"
            found.append(Choice(one.name, "numeric", why, steps, name=f"{one.name}_{period}"))
    if not found:
        return [Choice(one.name, "out", f"a time, all within {span * 24:,.1f} hours")]
    return found


def _days(one: ColumnSummary) -> float:
    low, high = one.moment(one.min), one.moment(one.max)
    return float((high - low) / np.timedelta64(1, "s")) / 86_400


def _whole_days(one: ColumnSummary) -> bool:
    if not one.bins.exact:
        return False
    times = one.bins.edges()[0].astype(np.int64).view(np.dtype(one.time_type))
    return bool((times == times.astype("M8[D]")).all())


def _category(one: ColumnSummary) -> Choice:
    distinct = one.distinct.estimate
    few = max(_ROWS_A_CODE if distinct > _MANY_WORDS else 2, one.rows // 5000)
    if distinct <= FEW_VALUES:
        steps: tuple[Any, ...] = ({"one_hot": {"max_size": _room(distinct)}},)
        return Choice(one.name, "numeric", _said(f"{distinct} values", one), steps)
    if distinct <= _MOST_WORDS and one.distinct.exact:
        options: dict[str, Any] = {"max_size": _room(distinct)}
        rare = sum(1 for _, count in one.top(distinct) if count < few)
        said = f"{distinct:,} values: codes for an embedding"
        if rare:
            options["min_count"] = few
            said += f"; those in fewer than {few} rows ({rare:,}) count as unseen"
        return Choice(one.name, "codes", _said(said, one), ({"vocabulary": options},))
    covered = sum(count for _, count in one.top(_MOST_WORDS)) / max(1, one.count)
    if covered >= 0.8:
        said = f"{_about(one)} values, of which the {_MOST_WORDS:,} commonest are {share(covered)} of the rows"
        steps = ({"vocabulary": {"max_size": _MOST_WORDS, "min_count": few}},)
        return Choice(one.name, "codes", _said(said, one), steps)
    buckets = min(1 << 16, _room(distinct))
    said = f"{_about(one)} values, none of them common: hashed, so several share a code"
    return Choice(one.name, "codes", _said(said, one), ({"hash": {"buckets": buckets}},))


def _number(one: ColumnSummary) -> Choice:
    low, high = float(one.min or 0), float(one.max or 0)
    for pattern, least, most, period in _PERIODS:
        if pattern.search(one.name) and least <= low and high <= most and (high - low) > (most - least) / 4:
            steps: tuple[Any, ...] = ({"cyclical": {"period": period}},)
            why = _said(f"goes round: {period:g} is 0 again", one)
            return Choice(one.name, "numeric", why, (*_filled(one), *steps))
    if one.kind == "float" and any(least <= low < least + 5 and most - 5 < high <= most for least, most in _DEGREES):
        why = _said(f"from {number(low)} to {number(high)}: degrees of a circle?", one)
        return Choice(one.name, "numeric", why, (*_filled(one), {"cyclical": {"period": 360}}))
    if _clock(one):
        name = f"{word(one.name)}_minutes"
        column = reference(one.name)
        derived = {name: f"{column} // 100 * 60 + {column} % 100"}
        why = _said("a clock's time, as 1345 for 13:45: minutes after midnight", one)
        return Choice(name, "numeric", why, (*_filled(one), {"cyclical": {"period": 1440}}), derived=derived)
    distinct = one.distinct.estimate
    if distinct == 2:
        return Choice(one.name, "numeric", _said("two values", one), (*_filled(one), "min_max"))
    if one.kind == "int" and distinct <= FEW_NUMBERS and one.rows >= _ROWS_A_VALUE * distinct:
        why = f"{distinct} whole numbers from {low:g} to {high:g}: each by itself; standardize if more means more"
        return Choice(one.name, "numeric", _said(why, one), ({"one_hot": {"max_size": _room(distinct)}},))
    return _scaled(one, low, high)


def _scaled(one: ColumnSummary, low: float, high: float) -> Choice:
    first, middle, last = one.quantiles(_TAIL)
    spread, mean = one.std or 0.0, one.mean or 0.0
    filled: Sequence[Any] = _filled(one)
    if spread and abs(mean) > _CENTRE * spread:
        centre = round(mean)
        column = reference(one.name)
        why = f"its mean, {number(mean)}, is {abs(mean) / spread:,.0f} times its spread: float32 would lose digits"
        expr = f"{column} - {centre}" if centre >= 0 else f"{column} + {-centre}"
        return Choice(one.name, "numeric", _said(why, one), (*filled, "standardize"), name=word(one.name), expr=expr)
    up, down = (high - middle), (middle - low)
    right = (last - middle) / max(middle - first, 1e-12 * max(1.0, abs(middle)))
    if low >= 0 and right > _HEAVY and up > _HEAVY * down:
        why = f"a heavy tail: half below {number(float(middle))}, 1 % above {number(float(last))}, up to {number(high)}"
        return Choice(one.name, "numeric", _said(why, one), (*filled, "log1p", "standardize"))
    inner = max(last - first, 1e-12)
    if max(high - last, first - low) > _HEAVY * inner:
        inside = f"{number(float(first))} to {number(float(last))}"
        why = f"outliers: 98 % within {inside}, all within {number(low)} to {number(high)}"
        steps = (*filled, {"clip": {"quantiles": [0.01, 0.99]}}, "standardize")
        return Choice(one.name, "numeric", _said(why, one), steps)
    return Choice(one.name, "numeric", _said(f"from {number(low)} to {number(high)}", one), (*filled, "standardize"))


def _filled(one: ColumnSummary) -> tuple[Any, ...]:
    """What becomes of missing values; a column that says where they were, if they are many enough to tell something."""
    if not one.missing:
        return ()
    options: dict[str, Any] = {"strategy": "median"}
    if one.missing >= 0.005 * one.rows and not one.shape:
        options["indicator"] = True
    return ({"impute": options},)


def _clock(one: ColumnSummary) -> bool:
    """Whether all its numbers read as times of a clock, as 1345."""
    if one.kind not in ("int", "float") or not one.bins.exact or one.distinct.estimate < 60:
        return False
    values = one.bins.edges()[0].astype(np.float64)
    whole = bool((values == np.floor(values)).all())
    return whole and bool(((values % 100 < 60) & (values >= 0) & (values <= 2400)).all()) and float(values.max()) > 1000


def _room(distinct: int) -> int:
    """A power of two with some room for values that come later."""
    return max(8, 1 << (distinct - 1).bit_length())


def _about(one: ColumnSummary) -> str:
    return f"{'' if one.distinct.exact else 'about '}{one.distinct.estimate:,}"


def _said(why: str, one: ColumnSummary) -> str:
    return f"{why}; {share(one.missing / one.rows)} missing" if one.missing else why
