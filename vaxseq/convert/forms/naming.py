"""What a column's name says of its values."""

from __future__ import annotations

import re

_DATE = re.compile(
    r"(?:^|[^a-z])(?:yyyymmdd|yyyymm|date|dates|datum|datetime|timestamp|time|day|days|month|months|monat|tag|fecha|dia|mes|"
    r"mois|jour|dato)(?:$|[^a-z])",
    re.IGNORECASE,
)


def says_date(name: str) -> bool:
    """Whether a name says that its column holds days, months or times.

    >>> [says_date(one) for one in ("YYYYMMDD", "# Date", "obs_date", "update", "id")]
    [True, True, True, False, False]
    """
    return _DATE.search(name) is not None
