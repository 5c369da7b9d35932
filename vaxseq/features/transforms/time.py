"""Steps of dates and times: parts, cycles and elapsed time, in a named time zone.

Times are instants in UTC. With ``timezone`` they are first turned into that zone's local time.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from vaxseq.errors import FeatureTypeError
from vaxseq.expressions.functions import FUNCTIONS
from vaxseq.expressions.times import NS, counted
from vaxseq.expressions.values import Kind, Value, as_float
from vaxseq.features.transforms.base import NUMBERS, Apply, Learned, Step

Floats = npt.NDArray[np.float64]
Unit = Literal[
    "year", "quarter", "halfyear", "month", "weekofyear", "dayofyear", "day", "dayofweek", "weekday",
    "hour", "minute", "second",
]  # fmt: skip


def _known_zone(name: str | None) -> str | None:
    if name is not None:
        try:
            zoneinfo.ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError("not a time zone of the IANA database, such as Europe/Paris") from error
    return name


Zone = Annotated[str | None, AfterValidator(_known_zone)]


def local_time(value: Value, zone: str | None) -> npt.NDArray[Any]:
    """The times as datetime64 of D, s, ms, us or ns in a zone's local time, NaT where missing."""
    counts, unit = counted(value)
    if zone is None:
        return counts.view(f"M8[{unit}]")
    if unit == "D":
        counts, unit = counts.view("M8[D]").astype("M8[s]").view(np.int64), "s"
    instants = pa.array(counts, mask=counts == np.iinfo(np.int64).min).view(pa.timestamp(unit, zone))
    local: npt.NDArray[Any] = pc.local_timestamp(instants).to_numpy(zero_copy_only=False)
    return local


class Parts(Step):
    """Numbers of the calendar and the clock: hour, weekday, ..."""

    name: ClassVar[str] = "parts"
    short: ClassVar[str | None] = "units"
    accepts: ClassVar[frozenset[Kind]] = frozenset({"datetime"})
    docs: ClassVar[str] = "`units` of a time (hour, weekday with Monday 0, month, dayofyear, ...) in `timezone` (UTC)"
    width: ClassVar[str] = "units"

    units: Annotated[tuple[Unit, ...], Field(min_length=1), BeforeValidator(lambda u: [u] if isinstance(u, str) else u)]
    timezone: Zone = None

    def labels(self, learned: Learned) -> tuple[str, ...] | None:
        return tuple(self.units)

    def compile(self, learned: Learned) -> Apply:
        kernels: list[Callable[..., Any]] = [FUNCTIONS[f"dt.{unit}"].kernel for unit in self.units]

        def run(value: Value) -> Value:
            local = Value(local_time(value, self.timezone))
            parts: list[Value] = [kernel(local) for kernel in kernels]
            return parts[0] if len(parts) == 1 else Value(np.stack([as_float(part).data for part in parts], axis=1))

        return run

    def encode(self, learned: Learned) -> Apply | None:
        return self.compile(learned)

    def keras(self, ops: Any, x: Any, learned: Learned) -> Any:
        return x


class Cyclical(Step):
    """Sine and cosine of a number's place in its period, or of a time's place in the hour, day, week, month, year."""

    name: ClassVar[str] = "cyclical"
    short: ClassVar[str | None] = "period"
    accepts: ClassVar[frozenset[Kind]] = NUMBERS | {"datetime"}
    docs: ClassVar[str] = (
        "sin, cos of 2π·x / `period`; of a time, `period: hour, day, week, month or year` in `timezone` (UTC)"
    )
    width: ClassVar[str] = "2"

    period: Annotated[float, Field(gt=0)] | Literal["hour", "day", "week", "month", "year"]
    timezone: Zone = None

    def check_kind(self, value: Value) -> None:
        super().check_kind(value)
        if (value.kind == "datetime") != isinstance(self.period, str):
            wanted = "a number" if value.kind != "datetime" else "hour, day, week, month or year"
            raise FeatureTypeError(
                f"step 'cyclical': a column of {value.kind} with period {self.period!r}; expected {wanted}"
            )
        if value.shape:
            raise FeatureTypeError(f"step 'cyclical': got an array of shape {value.shape} per row, expected one number")

    def labels(self, learned: Learned) -> tuple[str, ...] | None:
        return ("sin", "cos")

    def compile(self, learned: Learned) -> Apply:
        return lambda value: Value(_circle(self._phase(value)))

    def encode(self, learned: Learned) -> Apply | None:  # of a number as well: float32 may not hold its remainder
        return lambda value: Value(self._phase(value))

    def keras(self, ops: Any, x: Any, learned: Learned) -> Any:
        angle = x * (2 * np.pi)
        return ops.stack([ops.sin(angle), ops.cos(angle)], axis=-1)

    def _phase(self, value: Value) -> Floats:
        """The place in the period, 0 to 1."""
        if not isinstance(self.period, str):
            return np.asarray(np.remainder(as_float(value).data, self.period) / self.period)
        local = local_time(value, self.timezone)
        if self.period in ("month", "year"):
            first = local.astype("M8[Y]" if self.period == "year" else "M8[M]")
            start, end = first.astype(local.dtype), (first + 1).astype(local.dtype)
            return np.asarray((local - start) / (end - start))
        counts, unit = local.view(np.int64), np.datetime_data(local.dtype)[0]
        if unit == "D" and self.period != "week":
            return np.where(np.isnat(local), np.nan, 0.0)
        day = NS["D"] // NS[unit]
        length = {"hour": max(day // 24, 1), "day": day, "week": 7 * day}[self.period]
        missing = np.isnat(local)
        counts = np.where(missing, 0, counts)
        shift = np.remainder(3 * day, length) if self.period == "week" else 0  # 1970-01-01 was a Thursday
        phase: Floats = np.remainder(np.remainder(counts, length) + shift, length) / length
        phase[missing] = np.nan
        return phase


def _circle(phase: Floats) -> Floats:
    angle = phase * (2 * np.pi)
    return np.stack([np.sin(angle), np.cos(angle)], axis=1)


def _instant(raw: Any) -> Any:
    """A date or time of the definition file as ISO 8601 text, checked; without an offset it is UTC."""
    text = raw.isoformat() if isinstance(raw, dt.date) else raw
    if isinstance(text, str):
        try:
            dt.datetime.fromisoformat(text)
        except ValueError as error:
            raise ValueError("not an ISO 8601 time, such as 2014-01-31T12:00:00+01:00") from error
    return text


class Elapsed(Step):
    """The time since a moment, or the length of a time difference, in a unit."""

    name: ClassVar[str] = "elapsed"
    accepts: ClassVar[frozenset[Kind]] = frozenset({"datetime", "timedelta"})
    docs: ClassVar[str] = "time since the moment `since`, or a time difference's length, in `unit` (seconds)"
    width: ClassVar[str] = "1"

    since: Annotated[str | None, BeforeValidator(_instant)] = None
    unit: Literal["seconds", "minutes", "hours", "days"] = "seconds"
    timezone: Zone = None

    @model_validator(mode="after")
    def _consistent(self) -> Elapsed:
        if self.timezone is not None and self.since is None:
            raise ValueError("timezone says where since is, so it needs since")
        if self.timezone is not None and dt.datetime.fromisoformat(str(self.since)).tzinfo is not None:
            raise ValueError("since has an offset of its own; leave timezone out")
        return self

    def check_kind(self, value: Value) -> None:
        super().check_kind(value)
        if (value.kind == "datetime") != (self.since is not None):
            raise FeatureTypeError(
                "step 'elapsed': a datetime needs since, such as {elapsed: {since: 2014-01-01}}"
                if value.kind == "datetime"
                else "step 'elapsed': a time difference has its own length; leave since out"
            )

    def compile(self, learned: Learned) -> Apply:
        since, length = self._since(), NS[{"seconds": "s", "minutes": "m", "hours": "h", "days": "D"}[self.unit]]

        def run(value: Value) -> Value:
            counts, unit = counted(value)
            whole, rest = divmod(since, NS[unit])
            missing = counts == np.iinfo(np.int64).min
            apart = np.where(missing, 0, counts)
            apart = (
                apart - whole
                if -(2**62) < whole < 2**62 and np.abs(apart).max(initial=0) < 2**62
                else apart.astype(float) - whole
            )
            floats = apart / (length // NS[unit]) if length >= NS[unit] else apart * float(NS[unit] // length)
            floats = floats - rest / length if rest else floats
            floats[missing] = np.nan
            return Value(floats)

        return run

    def encode(self, learned: Learned) -> Apply | None:
        return self.compile(learned)

    def keras(self, ops: Any, x: Any, learned: Learned) -> Any:
        return x

    def _since(self) -> int:
        """Nanoseconds since 1970 UTC."""
        if self.since is None:
            return 0
        moment = dt.datetime.fromisoformat(self.since)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zoneinfo.ZoneInfo(self.timezone) if self.timezone else dt.UTC)
        apart = moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
        return (apart.days * 86_400 + apart.seconds) * 10**9 + apart.microseconds * 1000
