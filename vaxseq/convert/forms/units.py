"""Words that are units, so that 5kW is a number with one, and 5n is a name."""

from __future__ import annotations

import re
import unicodedata

_BASE = frozenset((
    "m", "g", "s", "A", "K", "mol", "cd", "Hz", "N", "Pa", "J", "W", "V", "F", "Wh", "Ah", "VA", "var", "Ohm",
    "ohm", "Ω", "T", "lx", "lm", "l", "L", "bar", "eV", "B", "b", "Bq", "Sv", "dB", "dBm", "cal", "h", "d", "a",
    "t",
))  # fmt: skip
_PREFIXES = ("", "k", "M", "G", "T", "m", "u", "µ", "μ", "n", "c", "d", "h", "da", "p")
_ALONE = frozenset((
    "%", "‰", "°", "°C", "°F", "°K", "C", "F", "min", "hr", "hrs", "sec", "rpm", "ppm", "ppb", "ppt", "pH", "psi",
    "mph", "kn", "kt", "kts", "ft", "in", "yd", "mi", "lb", "lbs", "oz", "gal", "BTU", "px", "pcs", "Stk", "USD",
    "EUR", "GBP", "CHF", "JPY", "dBA", "inHg", "mmHg", "inch", "inches", "days", "weeks", "months", "years",
    "deg", "degC", "degF", "lux", "NTU", "PSU", "DU",
))  # fmt: skip
_POWER = re.compile(r"(?<=[A-Za-z])-[1-4](?!\d)[_ .]?|(?<=[A-Za-z])_(?=[A-Za-z]+-[1-4])")
_PRODUCT = re.compile(r"[/*·.^ ]|(?<=[A-Za-z])-(?=1|2|3)")


def is_unit(word: str) -> bool:
    """Whether the word is a unit, or a product of units: kWh, m/s, µg/m³, W m-2.

    >>> [is_unit(one) for one in ("kWh", "µg/m³", "$", "n", "st", "Wm-2", "pier-2")]
    [True, True, True, False, False, True, False]
    """
    if word in _ALONE or word == "" or unicodedata.category(word[-1]) == "Sc":
        return True
    parts = [part for part in _PRODUCT.split(word) if part]
    return bool(parts) and (all(_is_factor(part) for part in parts) or _has_powers(word))


def _has_powers(word: str) -> bool:
    """Whether powers below nought tell a word for a product without marks: Wm-2, umolm-2s-1, umol_m-2_s-1."""
    parts = [part for part in _POWER.split(word) if part]
    return len(parts) < len(word) and _POWER.search(word) is not None and all(
        any(_is_factor(part[:at]) and _is_factor(part[at:]) for at in range(len(part))) for part in parts
    )  # fmt: skip


def _is_factor(part: str) -> bool:
    part = part.rstrip("0123456789²³-")
    return (
        part == ""
        or part in _ALONE
        or any(part.startswith(prefix) and part[len(prefix) :] in _BASE for prefix in _PREFIXES)
    )
