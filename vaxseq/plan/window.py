"""Windows of consecutive rows, known by their runs: the index grows with the runs, not with the windows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from vaxseq.errors import OptionError, SelectionError
from vaxseq.plan.row_index import Ids, smallest_unsigned

Target = Literal["last", "mode", "mean", "sequence"]

_Unit = Literal["D", "h", "m", "s", "ms", "us", "ns"]

_UNITS: dict[str, _Unit] = {"d": "D", "h": "h", "min": "m", "m": "m", "s": "s", "ms": "ms", "us": "us", "ns": "ns"}


def gap_of(text: str | float | np.timedelta64, where: str) -> float | np.timedelta64:
    """A gap as a number or a timedelta64; text as "30min" is a number and a unit.

    Raises:
        OptionError: text of another form.
    """
    if not isinstance(text, str):
        return text
    found = re.fullmatch(r"\s*(\d+)\s*([a-zA-Z]+)\s*", text)
    if not found or found[2] not in _UNITS:
        raise OptionError(f"{where}: got {text!r}, expected a number and one of {', '.join(_UNITS)}")
    gap: np.timedelta64 = np.timedelta64(int(found[1]), _UNITS[found[2]])
    return gap


@dataclass(frozen=True)
class Window:
    """Windows of ``length`` consecutive rows of one group, one every ``stride`` rows.

    Args:
        length: rows of a window.
        stride: rows from one window's start to the next one's.
        group_by: column or columns; no window spans two groups.
        order_by: the time column, ascending within a group; None if rows are in order already.
        horizon: rows after the window that the target reaches ahead; 0: the target is of the window's own rows.
        target: what of the target's rows is learned: "last", "mode", "mean" or the whole "sequence".
        target_length: rows that the target looks at, the last ones of the horizon's, or of the window's without a
            horizon; None: all of them.
        max_gap: a larger step of ``order_by`` ends a window: a number, a timedelta64, or text as "30min" (d, h, min,
            s, ms, us, ns).
        min_valid: of a series too short for one window, the share of ``length`` that suffices for one window padded
            with zeros on the left, told apart by a further input "mask"; 1.0 skips short series. The horizon is never
            padded.
        future_inputs: inputs that are known ahead: read over all the horizon's rows instead of the window's.
        static_inputs: inputs that don't change within a group: read once, without the axis of time.
        lanes: for recurrent layers with ``stateful=True``: row i of each batch goes on where row i of the last one
            stopped (``stride`` must be ``length``). The windows are cut into batch_size lanes of the same number; the
            few that are over are left out. ``Sequence.lane_starts`` tells which rows begin another series.

    Raises:
        OptionError: a value that can't be.

    Three days of hours, and the twelve hours after them; then only the last six of those twelve:

    >>> Window(72, horizon=12, target="sequence").target_span
    (72, 12)
    >>> Window(72, horizon=12, target="sequence", target_length=6).target_span
    (78, 6)
    """

    length: int
    stride: int = 1
    group_by: str | tuple[str, ...] | None = ()
    order_by: str | None = None
    horizon: int = 0
    target: Target = "last"
    max_gap: str | float | np.timedelta64 | None = None
    min_valid: float = 1.0
    future_inputs: str | tuple[str, ...] | None = ()
    static_inputs: str | tuple[str, ...] | None = ()
    target_length: int | None = None
    lanes: bool = False

    def __post_init__(self) -> None:
        for name, least in (("length", 1), ("stride", 1), ("horizon", 0), ("target_length", 1)):
            value = getattr(self, name)
            if value is None and name == "target_length":
                continue
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise OptionError(f"window {name}: got {value!r}, expected a whole number of at least {least}")
        if self.target_length is not None and self.target_length > (self.horizon or self.length):
            raise OptionError(_too_long(self.target_length, self.length, self.horizon))
        for name in ("group_by", "future_inputs", "static_inputs"):
            object.__setattr__(self, name, _names(getattr(self, name)))
        if self.future and not self.horizon:
            raise OptionError("window future_inputs: there is no future with horizon=0. Give a horizon.")
        for name in self.future:
            if name in self.static:
                raise OptionError(f"window static_inputs: {name!r} is among future_inputs, too. Name it once.")
        if self.target not in ("last", "mode", "mean", "sequence"):
            raise OptionError(f"window target: got {self.target!r}, expected 'last', 'mode', 'mean' or 'sequence'")
        if self.lanes and (self.stride != self.length or self.min_valid < 1):
            raise OptionError(
                f"window lanes: got stride={self.stride}, min_valid={self.min_valid}, expected stride={self.length} "
                "and min_valid=1.0: a window has to begin where the one before ends."
            )
        if not 0.0 < self.min_valid <= 1.0:
            raise OptionError(f"window min_valid: got {self.min_valid!r}, expected a share above 0 and up to 1")
        if self.max_gap is not None and self.order_by is None:
            raise OptionError("window max_gap: needs a time column to measure. Name it in order_by.")
        if self.gap is not None and not self.gap > type(self.gap)(0):
            raise OptionError(f"window max_gap: got {self.max_gap!r}, expected more than 0")

    @property
    def groups(self) -> tuple[str, ...]:
        """The columns of ``group_by``."""
        return _names(self.group_by)

    @property
    def future(self) -> tuple[str, ...]:
        """The names in ``future_inputs``."""
        return _names(self.future_inputs)

    @property
    def static(self) -> tuple[str, ...]:
        """The names in ``static_inputs``."""
        return _names(self.static_inputs)

    @property
    def target_span(self) -> tuple[int, int]:
        """The rows that the target looks at: the first, counted from the window's first row, and how many."""
        rows = self.target_length or self.horizon or self.length
        return self.length + self.horizon - rows, rows

    @property
    def gap(self) -> float | np.timedelta64 | None:
        """``max_gap`` as a number or a timedelta64."""
        return None if self.max_gap is None else gap_of(self.max_gap, "window max_gap")

    @property
    def min_rows(self) -> int:
        """Rows that a padded window needs at least; ``length`` when none is padded."""
        return ceil(self.min_valid * self.length - 1e-9)

    def index(self, starts: npt.NDArray[Any], lengths: npt.NDArray[Any]) -> WindowIndex:
        """The windows in these runs of rows."""
        return WindowIndex(
            starts, lengths, length=self.length, stride=self.stride, horizon=self.horizon, min_rows=self.min_rows
        )


def _too_long(target_length: int, length: int, horizon: int) -> str:
    if not horizon:
        return (
            f"window target_length: got {target_length:,}, expected at most the window's {length:,} rows. "
            f"For the {target_length:,} rows after the window give horizon={target_length}."
        )
    return (
        f"window target_length: got {target_length:,} with horizon={horizon}, so the target would reach back into the "
        f"window. For the {target_length:,} rows after the window give horizon={target_length}."
    )


def _names(given: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given or ())


class Windows(NamedTuple):
    """Windows by their first row ids, their numbers of rows (fewer than the length: pad on the left), their runs."""

    starts: Ids
    rows: Ids
    runs: Ids


class WindowIndex:
    """Numbers the windows of runs of rows.

    A run of r rows gives max(0, floor((r - length - horizon) / stride) + 1) windows; one too short for that but of at
    least min_rows + horizon rows gives a single, padded one.

    Args:
        starts: first row id of each run, ascending, shape (n_runs,).
        lengths: rows of each run, shape (n_runs,).
        length: rows of a window.
        stride: rows between starts.
        horizon: rows that must follow a window in its run.
        min_rows: rows that a padded window needs; None or ``length``: short runs are skipped.

    Raises:
        SelectionError: no run is long enough for a single window.

    >>> index = WindowIndex(np.array([0, 100]), np.array([10, 7]), length=4, stride=3)
    >>> index.n, index.starts(np.arange(index.n)).tolist()
    (5, [0, 3, 6, 100, 103])
    """

    def __init__(
        self,
        starts: npt.NDArray[Any],
        lengths: npt.NDArray[Any],
        *,
        length: int,
        stride: int = 1,
        horizon: int = 0,
        min_rows: int | None = None,
    ) -> None:
        self.length, self.stride, self.horizon = length, stride, horizon
        self.min_rows = length if min_rows is None else min_rows
        starts, lengths = np.asarray(starts, np.int64), np.asarray(lengths, np.int64)
        usable = lengths - horizon
        counts = np.maximum(0, (usable - length) // stride + 1)
        counts[(usable < length) & (usable >= self.min_rows) & (usable > 0)] = 1
        kept = counts > 0
        self.n = int(counts.sum())
        self.skipped_runs, self.skipped_rows = int((~kept).sum()), int(lengths[~kept].sum())
        if not self.n:
            longest = int(lengths.max()) if len(lengths) else 0
            need = f"at least {self.min_rows + horizon:,} (length {length:,}, horizon {horizon:,})"
            remedy = "Shorten the window, or allow short series with min_valid."
            raise SelectionError(
                f"window: the longest run of rows is too short; got {longest:,}, expected {need}. {remedy}"
            )
        self.row_stop = int(starts[kept][-1] + lengths[kept][-1])
        word = smallest_unsigned(max(self.row_stop, self.n))
        self._starts = starts[kept].astype(word)
        self._lengths = lengths[kept].astype(word)
        self._before = np.concatenate([[0], np.cumsum(counts[kept])]).astype(word)

    @property
    def n_runs(self) -> int:
        """Runs that hold a window."""
        return len(self._starts)

    @property
    def nbytes(self) -> int:
        """Bytes held: 12 or 24 a run."""
        return int(self._starts.nbytes + self._lengths.nbytes + self._before.nbytes)

    @property
    def pads(self) -> bool:
        """Whether a window may have fewer rows than ``length``: by the options alone, so all parts of a split agree."""
        return self.min_rows < self.length

    def windows(self, numbers: npt.NDArray[Any]) -> Windows:
        """The windows of these numbers, 0, ..., n - 1, in any order; arrays of shape (n_numbers,), int64."""
        wanted = np.asarray(numbers, self._before.dtype)
        run = np.searchsorted(self._before, wanted, side="right") - 1
        starts = self._starts[run].astype(np.int64) + (wanted - self._before[run]).astype(np.int64) * self.stride
        rows = np.minimum(self.length, self._lengths[run].astype(np.int64) - self.horizon)
        return Windows(starts, rows, run)

    def starts(self, numbers: npt.NDArray[Any]) -> Ids:
        """First row ids of these windows, int64."""
        return self.windows(numbers).starts

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """The physical rows [row_start, row_stop) that windows start, ..., stop - 1 and their horizons cover."""
        if not 0 <= start < stop <= self.n:
            raise SelectionError(f"windows: span out of range; got {start}:{stop}, expected within 0:{self.n:,}")
        ends = self.windows(np.array([start, stop - 1]))
        return int(ends.starts[0]), int(ends.starts[1] + ends.rows[1] + self.horizon)

    def part(self, start: int, stop: int) -> WindowIndex:
        """An index of its own that begins with windows start, ..., stop - 1: number k is this one's start + k.

        >>> index = WindowIndex(np.array([0, 100]), np.array([10, 7]), length=4, stride=3)
        >>> index.part(2, 4).starts(np.arange(2)).tolist()
        [6, 100]
        """
        ends = self.windows(np.array([start, stop - 1]))
        first, last = ends.runs.tolist()
        starts = self._starts[first : last + 1].astype(np.int64)
        lengths = self._lengths[first : last + 1].astype(np.int64)
        before = int(ends.starts[0] - starts[0])
        starts[0] += before
        lengths[0] -= before
        return WindowIndex(
            starts, lengths, length=self.length, stride=self.stride, horizon=self.horizon, min_rows=self.min_rows
        )

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The index as plain arrays, to be written to a file; ``from_arrays`` reads them."""
        shape = np.array([self.length, self.stride, self.horizon, self.min_rows], np.int64)
        skipped = np.array([self.skipped_runs, self.skipped_rows], np.int64)
        return {"starts": self._starts, "lengths": self._lengths, "shape": shape, "skipped": skipped}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> WindowIndex:
        """The index that ``to_arrays`` took apart."""
        length, stride, horizon, min_rows = (int(one) for one in arrays["shape"])
        index = cls(
            arrays["starts"], arrays["lengths"], length=length, stride=stride, horizon=horizon, min_rows=min_rows
        )
        index.skipped_runs, index.skipped_rows = (int(one) for one in arrays["skipped"])
        return index

    def __len__(self) -> int:
        return self.n

    def __repr__(self) -> str:
        skipped = f", skipped_runs={self.skipped_runs:,}" if self.skipped_runs else ""
        return f"WindowIndex(n={self.n:,}, n_runs={self.n_runs:,}, length={self.length}, stride={self.stride}{skipped})"
