"""What the attributes of scientific files say of numbers: missing marks, scale, offset, times since a day.

Source: NetCDF Climate and Forecast (CF) Metadata Conventions 1.11, sections 2.5.1, 4.4 and 8.1.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vaxseq.convert.readers.arrays import arrow_type, to_arrow
from vaxseq.errors import SchemaError

_SINCE = re.compile(
    r"(?P<unit>[A-Za-zµ]+)\s+since\s+(?P<date>\d{1,4}-\d{1,2}-\d{1,2})"
    r"(?:[T ]+(?P<hour>\d{1,2})(?::(?P<minute>\d{1,2})(?::(?P<second>\d{1,2}(?:\.\d*)?))?)?)?"
    r"\s*(?P<zone>Z|UTC|GMT|[+-]\d{1,2}(?::?\d{2})?)?\s*"
)
_NS = {"d": 86_400 * 10**9, "h": 3_600 * 10**9, "min": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_WORDS = {
    "d": ("d", "day", "days"), "h": ("h", "hr", "hrs", "hour", "hours"), "min": ("min", "mins", "minute", "minutes"),
    "s": ("s", "sec", "secs", "second", "seconds"), "ms": ("ms", "msec", "msecs", "millisecond", "milliseconds"),
    "us": ("us", "µs", "microsecond", "microseconds"), "ns": ("ns", "nanosecond", "nanoseconds"),
}  # fmt: skip
_CALENDARS = ("", "standard", "gregorian", "proleptic_gregorian")


@dataclass(frozen=True, slots=True)
class Since:
    """Numbers that count ``step_ns`` from ``start``, which is in units of the result."""

    step_ns: int
    start: int
    unit: str  # of the timestamps that come out

    def times(self, counts: npt.NDArray[Any], where: str) -> npt.NDArray[Any]:
        """datetime64 of the counts; NaN is NaT.

        Raises:
            SchemaError: a time beyond what the unit holds.
        """
        per = _NS[self.unit]
        if counts.dtype.kind == "f":
            lost = ~np.isfinite(counts)
            whole = np.floor(np.where(lost, 0, counts))
            scaled = whole * (self.step_ns // per) if self.step_ns >= per else whole / (per // self.step_ns)
            rest = np.rint((np.where(lost, 0, counts) - whole) * (self.step_ns / per)) if self.step_ns >= per else 0
            if (np.abs(scaled) > 2.0**62).any():
                raise SchemaError(f"{where}: a time beyond what timestamp[{self.unit}] holds.")
            found = np.rint(scaled).astype(np.int64) + np.asarray(rest).astype(np.int64) + self.start
            return np.where(lost, np.datetime64("NaT"), found.view(f"M8[{self.unit}]"))
        factor = self.step_ns // per
        if counts.size and max(abs(int(counts.min())), abs(int(counts.max()))) * factor > 2**62:
            raise SchemaError(f"{where}: a time beyond what timestamp[{self.unit}] holds.")
        return (counts.astype(np.int64) * factor + self.start).view(f"M8[{self.unit}]")


@dataclass(frozen=True, slots=True)
class Convention:
    """How the numbers of one array are meant."""

    missing: tuple[Any, ...] = ()
    scale: float | None = None
    offset: float | None = None
    since: Since | None = None
    unit: str | None = None
    unsigned: bool = False

    @property
    def plain(self) -> bool:
        """Whether the numbers stand for themselves."""
        return not (self.missing or self.scale is not None or self.offset is not None or self.since or self.unsigned)

    def kind(self, dtype: np.dtype[Any], shape: tuple[int, ...], where: str) -> pa.DataType:
        """The type of the values that are meant."""
        if self.since is not None:
            return arrow_type(np.dtype(f"M8[{self.since.unit}]"), shape, where)
        if self.scale is not None or self.offset is not None:
            dtype = np.dtype(np.float64)
        elif self.unsigned:
            dtype = np.dtype(f"u{dtype.itemsize}")
        return arrow_type(dtype, shape, where)

    def values(self, array: npt.NDArray[Any], where: str) -> pa.Array:
        """The values that are meant, missing where a mark says so."""
        absent = np.zeros(array.shape, bool)
        for mark in self.missing:
            absent |= np.isnan(array) if mark != mark else array == mark
        if self.unsigned:
            array = array.view(f"u{array.dtype.itemsize}")
        if self.scale is not None or self.offset is not None:
            array = array.astype(np.float64)
            array = array * (1.0 if self.scale is None else self.scale) + (0.0 if self.offset is None else self.offset)
        if self.since is not None:
            array = self.since.times(np.where(absent, array.dtype.type(0), array), where)
        return to_arrow(array, absent if absent.any() else None, where)


def convention(attributes: Mapping[str, Any], dtype: np.dtype[Any]) -> Convention:
    """What the attributes of an array of numbers say."""
    if dtype.kind not in "iuf":
        return Convention(unit=_text(attributes.get("units")))
    missing: list[Any] = []
    for name in ("_FillValue", "missing_value"):
        if name in attributes:
            for mark in np.ravel(attributes[name]):
                if isinstance(mark, np.number | int | float) and not any(one == mark for one in missing):
                    missing.append(dtype.type(mark) if dtype.kind == "f" or float(mark) == int(mark) else mark)
    unsigned = dtype.kind == "i" and str(_text(attributes.get("_Unsigned"))).lower() == "true"
    unit = _text(attributes.get("units"))
    scale, offset = _number(attributes.get("scale_factor")), _number(attributes.get("add_offset"))
    since = None
    if unit is not None and str(_text(attributes.get("calendar")) or "").lower() in _CALENDARS:
        since = since_of(unit, fractions=dtype.kind == "f" or scale is not None or offset is not None)
    return Convention(tuple(missing), scale, offset, since, None if since else unit, unsigned)


def since_of(unit: str, *, fractions: bool) -> Since | None:
    """What ``hours since 1900-01-01`` means; None for what is no such unit, and for months and years.

    >>> since_of("hours since 1970-01-02 01:00", fractions=False)
    Since(step_ns=3600000000000, start=90000, unit='s')
    """
    found = _SINCE.fullmatch(unit.strip())
    step = next((one for one, words in _WORDS.items() if found and found["unit"].lower() in words), None)
    if found is None or step is None:
        return None
    try:
        year, month, day = map(int, found["date"].split("-"))
        days = (dt.date(year, month, day) - dt.date(1970, 1, 1)).days
        hour, minute = int(found["hour"] or 0), int(found["minute"] or 0)
    except ValueError:
        return None
    seconds = float(found["second"] or 0)
    zone = found["zone"] or ""
    shift = 0
    if zone[:1] in ("+", "-"):
        hours, minutes = zone[1:].replace(":", "")[:2], zone[1:].replace(":", "")[2:] or "0"
        shift = (int(hours) * 60 + int(minutes)) * 60 * (-1 if zone[0] == "-" else 1)
    whole = days * 86_400 + hour * 3_600 + minute * 60 - shift
    finest = "us" if (fractions and _NS[step] > 1) or seconds != int(seconds) else "s"
    result = min(finest, step if _NS[step] < _NS["s"] else "s", key=_NS.__getitem__)
    per = _NS["s"] // _NS[result]
    return Since(_NS[step], whole * per + round(seconds * per), result)


def _text(value: Any) -> str | None:
    if isinstance(value, bytes | np.bytes_):
        return value.decode(errors="replace")
    if isinstance(value, np.ndarray) and value.size == 1:
        return _text(value.ravel()[0])
    return str(value) if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    found = np.ravel(value) if value is not None else np.empty(0)
    return float(found[0]) if found.size == 1 and found.dtype.kind in "iuf" else None
