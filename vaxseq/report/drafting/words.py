"""Names as a definition's blocks have them."""

from __future__ import annotations

import re


def word(name: str) -> str:
    """A name of letters, digits and _ that begins with a letter.

    >>> word("wind speed (m/s)"), word("7th"), word("€")
    ('wind_speed_m_s', 'c_7th', 'column')
    """
    found = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
    return found if found[:1].isalpha() else f"c_{found}" if found else "column"


def reference(name: str) -> str:
    """A column as an expression names it."""
    return name if name.isidentifier() and name not in ("pi", "e", "nan", "inf") else f"col({name!r})"


def distinct(names: list[str], taken: frozenset[str]) -> list[str]:
    """The names, with a number where one is taken or stands before."""
    found: list[str] = []
    for name in names:
        free, number = name, 2
        while free in taken or free in found:
            free, number = f"{name}_{number}", number + 1
        found.append(free)
    return found
