"""Something odd about a file's first lines, and the options that set it right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaxseq.convert.layouts.head import Record


@dataclass(frozen=True, slots=True)
class LayoutIssue:
    """``stops``: the rows can't be read as they are; else they can, and the options make more of them.

    ``certain``: no other reading fits what was seen, and no line that may be a row is left out.
    """

    message: str
    options: dict[str, Any]
    lines: tuple[int, ...]  # counted from 1
    stops: bool = False
    sure: bool = True  # the options lose no row
    asks: bool = False  # another reading fits as well: offered, and taken by nobody but who reads it
    certain: bool = False
    ends: Record | None = None  # begins what stands below the one that the options read
