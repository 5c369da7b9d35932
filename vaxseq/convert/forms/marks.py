"""Marks that stand for a missing value."""

from __future__ import annotations

# of these nobody means anything else, whatever their case; beside the tokens that are missing everywhere
WORDS = ("na", "n/a", "#n/a", "nan", "-nan", "null", "none", "nil", "nat", "#na", "<na>", "missing", "\\n", "(null)")
WORDS_IN_CASES = tuple(
    dict.fromkeys(made for one in WORDS for made in (one, one.upper(), one.title(), one.capitalize()))
)
# likely: a dash may be a nought, a question mark a doubt
SIGNS = (
    "-", "--", "---", "----", "?", "??", "*", ".", "..", "...", "/", "//", "///", "n.a.", "n.d.", "k.a.", "n.v.", "nd",
    "#value!", "#div/0!", "#ref!", "#name?", "#num!", "#n/v", "#bezug!", "err", "error", "bad", "invalid", "no data",
    "nodata", "no value", "not available", "unknown", "blank", "empty", "overflow", "overrange",
)  # fmt: skip
_NINES = (99.9, 999, 999.9, 999.99, 9999, 9999.9, 9999.99, 99999, 99999.9, 999999, 9999999)
_OTHERS = (6999, 7999, 8999, 9998, 32767, 9.96921e36, 1e20, 1e30, 1e31, 1e34, 1e35, 1e36, 1e37)
_BELOW = (-99.0, -98.0, -777.0, -888.0, -7777.0, -8888.0, -32768.0, -2147483648.0)
# numbers that loggers write where there is no value
SENTINELS = tuple(
    sorted({sign * one for one in _NINES + _OTHERS for sign in (1.0, -1.0)} | set(_BELOW) | {2147483647.0})
)
