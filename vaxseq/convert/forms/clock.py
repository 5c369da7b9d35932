"""The time of day beside a date, and the zone that stands behind it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.convert.forms.base import Mask, Reading
from vaxseq.convert.forms.fields import Fields, Whole

# after a date: nothing, or a time of day with its zone
CLOCK = (
    r"(?:(?:[T_]|,? +|:)(?P<h>\d{1,2})(?::(?P<mi>\d{2})(?::(?P<s>\d{2})(?:[.,](?P<f>\d{1,9}))?)?)?"
    r" *(?P<ap>[AaPp]\.?[Mm]\.?)?"
    r" *(?P<z>Z|[+-]\d{2}:?\d{2}|[+-]\d{2}|\(?[A-Za-z]{2,5}\)?|[A-Z][A-Za-z]+/[A-Za-z_/]+)?)?$"
)
_DAY_S = 86_400
# names of zones that mean one offset wherever they are written, in hours; CST, IST and BST don't
_ZONES = {
    "Z": 0, "UTC": 0, "GMT": 0, "UT": 0, "WET": 0, "WEST": 1, "CET": 1, "CEST": 2, "MEZ": 1, "MESZ": 2, "EET": 2,
    "EEST": 3, "EST": -5, "EDT": -4, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "AKST": -9, "AKDT": -8,
    "HST": -10, "JST": 9, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13,
}  # fmt: skip
_NO_ZONE = ("", "Uhr", "uhr", "h", "hrs")
_NO_OFFSET = -(10**6)
_FIRST_NS, _LAST_NS = -9_223_372_036, 9_223_372_035  # seconds that an int64 of nanoseconds holds


def instants(days: Whole, fits: Mask, fields: Fields) -> Reading:
    """Dates as days since 1970 and the clock's fields as a date, a time, or an instant in UTC.

    ``fits``: which dates there are. 24:00 is the next day's midnight. A date alone among times is its midnight.
    """
    hour, minute, second = (fields.whole(name, 0) for name in ("h", "mi", "s"))
    half = pc.utf8_lower(pc.utf8_slice_codeunits(fields.text("ap"), 0, 1))
    am, pm = np.asarray(pc.equal(half, "a")), np.asarray(pc.equal(half, "p"))
    has_clock = ~np.asarray(pc.equal(fields.text("h"), ""))
    has_minute = ~np.asarray(pc.equal(fields.text("mi"), ""))
    halved = am | pm
    fits = fits & ~(halved & (hour > 12)) & ~(has_clock & ~has_minute & ~halved)
    hour = np.where(pm & (hour < 12), hour + 12, np.where(am & (hour == 12), 0, hour))
    fraction = fields.text("f")
    digits = np.asarray(pc.utf8_length(fraction), dtype=np.int64)
    parts = fields.whole("f", 0)
    fits &= (minute < 60) & (second < 60)
    fits &= (hour < 24) | ((hour == 24) & (minute == 0) & (second == 0) & (parts == 0) & ~halved)
    offsets, fits = _offsets(fields.text("z"), fits)
    zoned = offsets != _NO_OFFSET
    seconds = days * _DAY_S + hour * 3600 + minute * 60 + second
    if zoned[fits].any():
        fits &= zoned | ~has_clock  # an instant and a wall clock's time don't go together
        fits &= zoned if zoned[fits].sum() * 2 >= fits.sum() else ~zoned
    elsewhere = fits & zoned
    local = elsewhere & (offsets > 10**6 - 1)
    seconds = np.where(elsewhere & ~local, seconds - offsets * 60, seconds)
    for zone in pc.unique(fields.text("z")).to_pylist() if local.any() else ():
        here = local & np.asarray(pc.equal(fields.text("z"), zone))
        seconds, fits = _from_wall_clock(seconds, here, fits, zone)
    if not has_clock[fits].any():
        values = pa.array(np.where(fits, days, 0).astype(np.int32)).cast(pa.date32())
        return Reading(_masked(values, fits), ~fits)
    most = int(digits[fits].max(initial=0))
    unit, per_second = (("s", 0), ("ms", 3), ("us", 6), ("ns", 9))[-(-most // 3)]
    if unit == "ns":
        fits &= (seconds > _FIRST_NS) & (seconds < _LAST_NS)
    scaled = np.where(fits, seconds, 0) * 10**per_second + np.where(fits, parts, 0) * 10 ** (
        np.maximum(per_second - digits, 0)
    )
    kind = pa.timestamp(unit, "UTC" if (zoned & fits).any() else None)
    return Reading(_masked(pa.array(scaled).cast(pa.timestamp(unit)).cast(kind), fits), ~fits)


def _masked(values: pa.Array, fits: Mask) -> pa.Array:
    return pc.if_else(pa.array(fits), values, pa.scalar(None, values.type))


def _offsets(zones: pa.Array, fits: Mask) -> tuple[Whole, Mask]:
    """Minutes ahead of UTC; a number beyond a million where a zone's rules decide, far below it where none is told."""
    encoded = zones.dictionary_encode()
    minutes = np.array([_minutes(word) for word in encoded.dictionary.to_pylist()], dtype=object)
    known = np.array([one is not None for one in minutes], bool)
    plain = np.array([0 if one is None else one for one in minutes], np.int64)
    codes = np.asarray(encoded.indices)
    return plain[codes], fits & known[codes]


def _minutes(word: str) -> int | None:
    word = word.strip("()")
    if word in _NO_ZONE:
        return _NO_OFFSET
    if word.upper() in _ZONES:
        return _ZONES[word.upper()] * 60
    if word[0] in "+-":
        hours, minutes = int(word[1:3]), int(word[3:].lstrip(":") or 0)
        if hours > 15 or minutes > 59:
            return None
        return (hours * 60 + minutes) * (-1 if word[0] == "-" else 1)
    return 10**6 if "/" in word and _is_zone(word) else None


@cache
def _is_zone(name: str) -> bool:
    try:
        pc.assume_timezone(pa.array([0], pa.timestamp("s")), name)
    except pa.ArrowInvalid:
        return False
    return True


def _from_wall_clock(seconds: Whole, here: Mask, fits: Mask, zone: str) -> tuple[Whole, Mask]:
    """A zone's wall clock as UTC; an hour that comes twice or never doesn't fit."""
    wall = pa.array(seconds[here]).cast(pa.timestamp("s"))
    early, late = (
        pc.assume_timezone(wall, zone, ambiguous=way, nonexistent=way).cast(pa.int64())
        for way in ("earliest", "latest")
    )
    seconds, fits = seconds.copy(), fits.copy()
    seconds[here] = np.asarray(early)
    fits[here] &= np.asarray(pc.equal(early, late))
    return seconds, fits
