"""Numbers, times and shares as a person reads them."""

from __future__ import annotations

from typing import Any

import numpy as np


def number(value: Any) -> str:
    """A value, shortened.

    >>> number(1234567), number(2013), number(0.000123456), number(np.datetime64("2013-01-01T05:00:00", "ns"))
    ('1,234,567', '2013', '0.0001235', '2013-01-01 05:00')
    """
    if value is None:
        return ""
    if isinstance(value, np.datetime64):
        text = str(value.astype("M8[s]")).replace("T", " ")
        return text.removesuffix(":00").removesuffix(" 00:00")
    if isinstance(value, np.timedelta64):
        return f"{value / np.timedelta64(1, 's'):,.6g} s"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)  # a year is 2013
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e15:
            return number(int(value))
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.1f}" if abs(value) < 1e9 else f"{value:.4g}"
    text = str(value)
    return text if len(text) <= 32 else text[:29] + "..."


def share(part: float) -> str:
    """A share as per cent.

    >>> share(0.5), share(0.0004), share(0)
    ('50 %', '< 0.1 %', '0 %')
    """
    if part == 0:
        return "0 %"
    if part < 0.001:
        return "< 0.1 %"
    return f"{100 * part:.3g} %" if part < 1 else "100 %"
