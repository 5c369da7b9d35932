"""The least and the greatest value of each column of numbers, for the manifest: a check then reads no data."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.convert.stage import Stage
from vaxseq.convert.staged import Reread, staged_groups

Range = tuple[float, float]  # whole numbers stay whole


def ranges_of(stage: Stage, types: Mapping[str, pa.DataType], reread: Reread) -> dict[str, Range]:
    """Column -> (least, greatest), nulls and NaN left out; columns without a finite one aren't there."""
    names = [name for name, kind in types.items() if _numeric(kind) and _numeric(stage.types[name])]
    found: dict[str, Range] = {}
    if not names:
        return found
    for _, table, _ in staged_groups(stage, [draft for draft in stage.drafts if draft.groups], reread, names):
        for name in names:
            if _numeric(table[name].type):
                low, high = (value.as_py() for value in pc.min_max(table[name]).values())
                if low is not None:
                    found[name] = _wider(found.get(name), (low, high))
    return {name: both for name, both in found.items() if all(math.isfinite(one) for one in both)}


def together(before: Mapping[str, Range], after: Mapping[str, Range]) -> dict[str, Range]:
    """The ranges of rows and of others that are appended; of columns for which both are known."""
    return {name: _wider(before[name], both) for name, both in after.items() if name in before}


def _wider(known: Range | None, both: Range) -> Range:
    if known is None or any(math.isnan(one) for one in known):
        return both
    if any(math.isnan(one) for one in both):
        return known
    return min(known[0], both[0]), max(known[1], both[1])


def _numeric(kind: pa.DataType) -> bool:
    # Arrow has no least of half floats
    return bool(pa.types.is_integer(kind) or (pa.types.is_floating(kind) and not pa.types.is_float16(kind)))
