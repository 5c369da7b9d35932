"""Splits by time: where to cut, and the gap before each cut."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.errors import MissingValueError, OptionError
from vaxseq.expressions.values import Value
from vaxseq.plan.window import gap_of
from vaxseq.split.ranks import Counts, Words, smallest, sortable, unsorted
from vaxseq.split.rules import ByTime
from vaxseq.split.scan import Block, Scan
from vaxseq.split.shares import checked_fractions


def by_time(
    scan: Scan, empty: Value, key: str, fractions: Mapping[str, Any], gap: Any
) -> tuple[ByTime, list[int], int]:
    """The rule, the parts' rows, and the rows in a gap."""
    if empty.kind not in ("int", "float", "datetime") or empty.shape:
        remedy = "Make times of it (pandas.to_datetime, polars' str.to_datetime, or convert), or name another column."
        raise OptionError(f"split key {key!r}: got {empty.kind}, expected times or numbers. {remedy}")
    ends = list(fractions.values())
    if ends[-1] is None:
        cuts = _given_cuts(key, empty, fractions)
        _refuse_missing(scan, key)
    else:
        cuts = _cuts_at(scan, empty, key, np.cumsum(checked_fractions(fractions))[:-1])
    step = _gap(empty, gap)
    rule = ByTime((key,), cuts, step)
    counts = scan.count([key], rule.parts, len(ends))
    return rule, counts, scan.rows.n - sum(counts)


def _cuts_at(scan: Scan, empty: Value, key: str, edges: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """The times at which the fractions are passed."""
    _refuse_missing(scan, key)
    ranks = [min(round(edge * scan.rows.n), scan.rows.n - 1) for edge in edges.tolist()]
    words = smallest(ranks, lambda count: scan.each([key], partial(_counted, key, count)), 2**64 - 1)
    dtype = empty.data.dtype
    return np.concatenate([np.empty(0, dtype), *(unsorted(word, dtype) for word in words)])


def _counted(key: str, count: Callable[[Words], Counts], block: Block) -> Counts:
    return count(sortable(block[key].data))


def _missing(key: str, block: Block) -> int:
    return int(block[key].is_missing().sum())


def _refuse_missing(scan: Scan, key: str) -> None:
    missing = sum(scan.each([key], partial(_missing, key)))
    if missing:
        remedy = f"Filter them out first: frame[~frame[{key!r}].ismissing()]."
        raise MissingValueError(f"split key {key!r}: {missing:,} rows have no time. {remedy}")


def _given_cuts(key: str, empty: Value, fractions: Mapping[str, Any]) -> npt.NDArray[Any]:
    names, ends = list(fractions), list(fractions.values())[:-1]
    dtype = empty.data.dtype
    cuts: list[Any] = []
    for name, end in zip(names, ends, strict=False):
        try:
            if empty.kind == "datetime":
                cuts.append(_not_before(_moment(end), dtype))
            else:
                float(end)
                cuts.append(end)
        except (TypeError, ValueError) as error:
            expected = "a date" if empty.kind == "datetime" else "a number"
            raise OptionError(
                f"split fractions[{name!r}]: got {end!r}, expected {expected} where the part ends, as {key!r} has them"
            ) from error
    found = np.array(cuts, dtype if empty.kind == "datetime" else None)  # whole ends stay exact beside whole keys
    if (found[1:] <= found[:-1]).any():
        raise OptionError(
            f"split fractions: got ends {[str(end) for end in ends]}, expected each later than the one before"
        )
    return found


def _moment(end: Any) -> np.datetime64:
    """A date in ISO text, a datetime or a datetime64; one with an offset in UTC, as columns with a zone hold it.

    Raises:
        ValueError: it is none.
    """
    if isinstance(end, str) and len(end) > len("2014-12-01"):
        with contextlib.suppress(ValueError):  # NumPy tells what is wrong, and knows nanoseconds
            parsed = datetime.fromisoformat(end)
            end = parsed if parsed.tzinfo else end
    if isinstance(end, datetime) and end.tzinfo:
        end = end.astimezone(UTC).replace(tzinfo=None)
    moment: np.datetime64 = np.datetime64(end)
    if np.isnat(moment):
        raise ValueError("no date")
    return moment


def _not_before(moment: np.datetime64, dtype: np.dtype[Any]) -> Any:
    """The first time of the column's unit that isn't before ``moment``."""
    rounded = moment.astype(dtype)
    return rounded + 1 if rounded < moment else rounded


def _gap(empty: Value, gap: Any) -> Any:
    if gap is None:
        return None
    step = gap_of(gap, "split gap")
    if (empty.kind == "datetime") != isinstance(step, np.timedelta64):
        expected = "a length of time, as '12h'" if empty.kind == "datetime" else "a number, as the key is one"
        raise OptionError(f"split gap: got {gap!r}, expected {expected}")
    if not step > type(step)(0):
        raise OptionError(f"split gap: got {gap!r}, expected more than 0")
    return step
