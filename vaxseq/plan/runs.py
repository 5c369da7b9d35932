"""Where series of rows begin and end: at a filter's hole, another group, a gap in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.errors import MissingValueError, SelectionError
from vaxseq.plan.row_index import Ids, Mask


class RunFinder:
    """Takes selected rows in row order, chunk by chunk, with their groups and times; finds the runs.

    Memory grows with the runs, and with the groups: one hash each, to notice a group that comes back.

    Args:
        max_gap: a larger step in time ends a run: a number, a timedelta64, or None.
        where: begins the errors.
        untimed: what to do about rows without a time, as the error says it.
        sort_by: the columns of the groups and the time, as the errors' remedy names them.
        shown: a group's value by the number of its column and what was added, as the errors show it.

    >>> finder = RunFinder(max_gap=10)
    >>> finder.add(0, groups=[np.array([1, 1, 1, 2])], times=np.array([0, 5, 50, 0]))
    array([0, 2, 3])
    >>> starts, lengths = finder.runs()
    >>> starts.tolist(), lengths.tolist()
    ([0, 2, 3], [2, 1, 1])
    """

    def __init__(
        self,
        *,
        max_gap: float | np.timedelta64 | None = None,
        where: str = "window",
        untimed: str = "Drop them with where=.",
        sort_by: Sequence[str] = ("group", "time"),
        shown: Callable[[int, Any], Any] = lambda _, value: value,
    ) -> None:
        self.max_gap = max_gap
        self._remedy = f"Sort the data: vaxseq convert --sort-by {','.join(sort_by)}."
        self._shown = shown
        self._where, self._untimed = where, untimed
        self.duplicates = 0  # rows with the time of the row before, in one group
        self.first_duplicate: int | None = None
        self.gaps = 0  # runs that ended at max_gap
        self._starts: list[Ids] = []
        self._stop = 0  # one past the last selected row
        self._ends: list[Ids] = []
        self._last_row: Ids = np.empty(0, np.int64)
        self._last_groups: list[npt.NDArray[Any]] = []
        self._last_time: npt.NDArray[Any] | None = None
        self._seen: set[int] = set()

    def add(
        self,
        row_start: int,
        mask: Mask | None = None,
        *,
        length: int | None = None,
        groups: Sequence[npt.NDArray[Any]] = (),
        times: npt.NDArray[Any] | None = None,
    ) -> Ids:
        """The rows from ``row_start`` on; gives the row ids at which runs begin.

        Args:
            row_start: row id of the chunk's first row.
            mask: which rows are selected; None is all.
            length: rows of the chunk; needed only without mask, groups and times.
            groups: a column each, shape (rows,); numbers, dates, or objects that compare and hash.
            times: shape (rows,), numbers or datetime64.

        Raises:
            SelectionError: a time before that of the row before, or a group that comes back after another one.
            MissingValueError: a missing time.
        """
        sized = [one for one in (mask, times, *groups) if one is not None]
        rows = np.arange(len(sized[0]) if sized else length or 0, dtype=np.int64)
        if mask is not None:
            rows = np.flatnonzero(mask)
            groups = [one[mask] for one in groups]
            times = None if times is None else times[mask]
        if not len(rows):
            return np.empty(0, np.int64)
        if times is not None and (missing := np.flatnonzero(times != times)).size:
            where = f"first in row {row_start + int(rows[missing[0]]):,}"
            raise MissingValueError(f"{self._where}: {missing.size:,} rows have no time, {where}. {self._untimed}")
        first = not len(self._last_row)
        rows = np.concatenate([self._last_row, rows + row_start])
        if not first:
            groups = [np.concatenate([old, new]) for old, new in zip(self._last_groups, groups, strict=True)]
            times = None if times is None or self._last_time is None else np.concatenate([self._last_time, times])
        changed = np.zeros(len(rows) - 1, bool)
        for one in groups:
            changed |= _differs(one)
        self._note_groups(rows, groups, changed, first)
        breaks = changed | (np.diff(rows) != 1)
        if times is not None:
            breaks |= self._time_breaks(rows, times, changed)
        at = np.flatnonzero(breaks) + 1
        starts = rows[at] if not first else np.concatenate([rows[:1], rows[at]])
        self._starts.append(starts)
        self._ends.append(rows[at - 1] + 1)
        self._stop = int(rows[-1]) + 1
        self._last_row, self._last_groups = rows[-1:], [one[-1:] for one in groups]
        self._last_time = None if times is None else times[-1:]
        return starts

    def _time_breaks(self, rows: Ids, times: npt.NDArray[Any], changed: Mask) -> Mask:
        same = ~changed
        back = np.flatnonzero((times[1:] < times[:-1]) & same)
        if back.size:
            row, this, before = rows[back[0] + 1], times[back[0] + 1], times[back[0]]
            raise SelectionError(
                f"{self._where}: row {row:,} goes back in time; got {this} after {before}. {self._remedy}"
            )
        twice = np.flatnonzero((times[1:] == times[:-1]) & same)
        if twice.size:
            self.duplicates += twice.size
            if self.first_duplicate is None:
                self.first_duplicate = int(rows[twice[0] + 1])
        if self.max_gap is None:
            return np.zeros(len(changed), bool)
        wide: Mask = (np.diff(times) > self.max_gap) & same
        self.gaps += int(wide.sum())
        return wide

    def _note_groups(self, rows: Ids, groups: Sequence[npt.NDArray[Any]], changed: Mask, first: bool) -> None:
        if not groups:
            return
        at = np.flatnonzero(changed) + 1
        if first:
            at = np.concatenate([[0], at])
        columns = [one[at].tolist() for one in groups]
        for row, *key in zip(rows[at].tolist(), *columns, strict=True):
            # NaN is one group; numbers' own hashes meet, as those of -1 and -2
            known = hash(repr([None if part != part else part for part in key]))
            if known in self._seen:
                shown = ", ".join(str(self._shown(column, part)) for column, part in enumerate(key))
                raise SelectionError(
                    f"{self._where}: group {shown} comes back in row {row:,} after another group. {self._remedy}"
                )
            self._seen.add(known)

    def runs(self) -> tuple[Ids, Ids]:
        """(starts, lengths) of all runs so far, shape (n_runs,), int64."""
        empty = np.empty(0, np.int64)
        starts = np.concatenate([empty, *self._starts])
        ends = np.concatenate([empty, *self._ends, [self._stop] if len(starts) else empty])
        return starts, ends - starts


def _differs(column: npt.NDArray[Any]) -> Mask:
    """Where a row's group isn't the row before's; missing equals missing."""
    after, before = column[1:], column[:-1]
    missing = np.asarray(column != column, bool)
    differs: Mask = np.asarray(after != before, bool) & ~(missing[1:] & missing[:-1])
    return differs
