"""Steps that look back inside a series: lag, diff, rolling statistics, exponentially weighted mean, time since.

They come first in a feature. They aren't functions of a row, so they are computed in one pass over the data's rows
(features/history), and the steps after them read the result like a column.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from vaxseq.errors import FeatureTypeError
from vaxseq.expressions.values import Mask, Value
from vaxseq.features.transforms.base import Apply, Learned, Missing, Step
from vaxseq.features.transforms.running_sums import Floats, Ids, Parts, add, add_spread, before, counts, over_windows
from vaxseq.features.transforms.stages import Reaching, SinceEvent, Stage

MAX_ROWS = 1 << 20
_FORGOTTEN = 96  # half-lives after which a value counts 1e-29 of a new one
_UNITS = {"s": np.timedelta64(1, "s"), "min": np.timedelta64(1, "m"), "h": np.timedelta64(1, "h")}
_UNITS["d"] = np.timedelta64(1, "D")

Rows = Annotated[int, Field(ge=1, le=MAX_ROWS)]


class LookBack(Step):
    """A step whose result for a row depends on earlier rows of its series."""

    looks_back: ClassVar[bool] = True
    missing_rule: ClassVar[Missing] = "makes"
    width: ClassVar[str] = "1"

    @abstractmethod
    def stage(self) -> Stage:
        """What computes the step, block by block."""

    def check_time(self, time: Value | None) -> None:
        """Raises FeatureTypeError when the series' order isn't one that the step can use."""

    def check_kind(self, value: Value) -> None:
        """Raises FeatureTypeError when the step can't take this kind of column."""
        super().check_kind(value)
        if value.shape:
            raise FeatureTypeError(
                f"step {self.name!r}: can't take an array column; got shape {value.shape}. Look back at one element"
            )

    def compile(self, learned: Learned) -> Apply:
        raise FeatureTypeError(f"step {self.name!r}: looks back at earlier rows, so it comes first in a feature")


class Lag(LookBack):
    """The value some rows ago."""

    name: ClassVar[str] = "lag"
    short: ClassVar[str | None] = "rows"
    docs: ClassVar[str] = "the value `rows` rows earlier in the series"
    on_missing: ClassVar[str] = "stays missing; a series' first `rows` rows are missing"

    rows: Rows = 1

    def stage(self) -> Stage:
        return Reaching(self.rows, lambda values, position: before(values, self.rows, position, np.nan))


class Diff(LookBack):
    """The change since some rows ago."""

    name: ClassVar[str] = "diff"
    short: ClassVar[str | None] = "rows"
    docs: ClassVar[str] = "the value less that of `rows` rows earlier in the series"
    on_missing: ClassVar[str] = "missing where either is; a series' first `rows` rows are missing"

    rows: Rows = 1

    def stage(self) -> Stage:
        return Reaching(self.rows, lambda values, position: values - before(values, self.rows, position, np.nan))


class Rolling(LookBack):
    """A statistic of the last rows."""

    name: ClassVar[str] = "rolling"
    docs: ClassVar[str] = (
        "`mean`, `std` (of a sample), `min`, `max` or `sum` of the last `rows` rows of the series, the row itself "
        "included; `min_rows` of them (all, when left out) must have a value"
    )
    on_missing: ClassVar[str] = "left out, as infinity is; missing while fewer than `min_rows` rows have a value"

    rows: Rows
    statistic: Literal["mean", "std", "min", "max", "sum"] = "mean"
    min_rows: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.min_rows is not None and self.min_rows > self.rows:
            raise ValueError(f"min_rows: expected at most rows ({self.rows})")
        return self

    def stage(self) -> Stage:
        return Reaching(self.rows - 1, self._compute)

    def _compute(self, values: Floats, position: Ids) -> Floats:
        present = np.isfinite(values)
        count = counts(present, position, self.rows)
        if self.statistic in ("min", "max"):
            kept = np.where(present, values, np.nan)
            pick = np.fmin if self.statistic == "min" else np.fmax
            (found,) = over_windows((kept,), position, self.rows, lambda a, b, _: (pick(a[0], b[0]),), fill=np.nan)
        else:
            found = self._of_sums(np.where(present, values, 0.0), present, position, count)
        least = self.rows if self.min_rows is None else self.min_rows
        result: Floats = np.where(count >= least, found, np.nan)
        return result

    def _of_sums(self, kept: Floats, present: Mask, position: Ids, count: Ids) -> Floats:
        zero = np.zeros_like(kept)
        if self.statistic == "std":
            leaf = (present.astype(np.float64), kept, zero, zero)
            squares = over_windows(leaf, position, self.rows, add_spread)[3]
            return np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1)), np.nan)
        total = over_windows((kept, zero), position, self.rows, add)[0]
        return total if self.statistic == "sum" else total / np.maximum(count, 1)


class Ewm(LookBack):
    """The exponentially weighted mean."""

    name: ClassVar[str] = "ewm"
    short: ClassVar[str | None] = "halflife_rows"
    docs: ClassVar[str] = (
        "exponentially weighted mean of the series up to the row: a value `halflife_rows` rows old weighs half; one "
        "older than 96 half-lives is forgotten"
    )
    on_missing: ClassVar[str] = "left out, as infinity is; missing before the series' first value"

    halflife_rows: Annotated[float, Field(gt=0, le=MAX_ROWS / _FORGOTTEN)]

    @property
    def reach(self) -> int:
        """Rows that are looked at, the row itself included: a power of two."""
        return 1 << int(np.ceil(np.log2(max(2.0, _FORGOTTEN * self.halflife_rows))))

    def stage(self) -> Stage:
        return Reaching(self.reach - 1, self._compute)

    def _compute(self, values: Floats, position: Ids) -> Floats:
        present = np.isfinite(values)

        def fade(recent: Parts, older: Parts, rows: int) -> Parts:
            weight = 0.5 ** (rows / self.halflife_rows)
            return recent[0] + weight * older[0], recent[1] + weight * older[1]

        leaf = (np.where(present, values, 0.0), present.astype(np.float64))
        total, weights = over_windows(leaf, position, self.reach, fade)
        return np.where(weights > 0, total / np.where(weights > 0, weights, 1.0), np.nan)


class Since(LookBack):
    """The time since the last event."""

    name: ClassVar[str] = "since"
    short: ClassVar[str | None] = "unit"
    docs: ClassVar[str] = (
        "time since the last row of the series where the value is true (not 0), 0 at the row itself: in `unit` (`s`, "
        "`min`, `h`, `d`; seconds when left out) of a time, in its own unit of a number, in rows without an order or "
        "with `rows`"
    )
    on_missing: ClassVar[str] = "no event; missing before the series' first event"

    unit: Literal["s", "min", "h", "d", "rows"] | None = None

    def check_time(self, time: Value | None) -> None:
        if self.unit in _UNITS and (time is None or time.kind != "datetime"):
            got = "no order_by" if time is None else f"order_by of {time.kind}"
            raise FeatureTypeError(f"step 'since': unit {self.unit!r} needs a series ordered by times; got {got}")

    def stage(self) -> Stage:
        return SinceEvent(rows=self.unit == "rows", unit=_UNITS.get(self.unit or "s"))
