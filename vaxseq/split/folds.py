"""``folds``: a frame into k pairs of training and validation rows, for cross-validation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from typing import Any, Literal

import numpy as np

from vaxseq.dataset.processes import with_workers
from vaxseq.display.html import Heading
from vaxseq.display.tables import Display, Shown
from vaxseq.errors import OptionError, SelectionError
from vaxseq.expressions import name_of, names_of
from vaxseq.frame import filter_rows, source_of
from vaxseq.split.rules import ByTime, InPart, NotInPart, Rule
from vaxseq.split.scan import Scan
from vaxseq.split.splitting import By, Parts, rule_of

FoldsBy = Literal["random", "group", "time", "stratified"]

_MOST = 100


class Folds(Shown, Sequence[Parts]):
    """The folds in order: each a dict of "train" and "validation" that knows its rows. ``by`` is how they were made."""

    def __init__(self, folds: Sequence[Parts], by: str) -> None:
        self._folds, self.by = tuple(folds), by

    def __getitem__(self, number: Any) -> Any:
        return self._folds[number]

    def __iter__(self) -> Iterator[Parts]:
        return iter(self._folds)

    def __len__(self) -> int:
        return len(self._folds)

    def _display(self) -> Display:
        headings = (Heading("fold"), *(Heading(name, "number") for name in ("train", "validation", "in the gap")))
        counts = [(one.rows["train"], one.rows["validation"], one.dropped) for one in self._folds]
        rows = tuple((str(number), *(f"{count:,}" for count in one)) for number, one in enumerate(counts))
        return Display(f"{len(self)} folds by {self.by}", headings, rows)


def folds(
    frame: Any,
    k: int,
    *,
    by: FoldsBy = "random",
    key: str | Sequence[str] | None = None,
    seed: int = 0,
    gap: str | float | np.timedelta64 | None = None,
    executor: Executor | None = None,
) -> Folds:
    """``k`` pairs of training and validation rows, as lazy frames: no row is copied.

    * ``"random"``: every row is in the validation part of one fold.
    * ``"stratified"``: the same, and each part keeps the shares of the classes of ``key``.
    * ``"group"``: the same, and no group of ``key`` is in both parts of a fold.
    * ``"time"``: fold by fold, the rows of a stretch of ``key`` validate what was trained on all rows before it. The
      first of the k + 1 stretches only trains. Equal times share a stretch.

    A filter of the frame stays. The folds are the same on every machine.

    Args:
        frame: a table (vaex, pandas, polars, Arrow, DuckDB, a dict of arrays) or a dataset's path.
        k: how many; 2 to 100.
        by: how.
        key: the column that decides; of groups also several.
        seed: of random and stratified folds, and of ties between groups.
        gap: for time: training rows so shortly before the validation's first are left out, as ``"12h"`` or a number.
        executor: shares the passes over the rows, as for ``split``.

    Raises:
        OptionError: options that can't be or don't go together.
        ColumnNotFoundError: an unknown column.
        MissingValueError: rows without a time.
        SelectionError: a part would be empty.

    >>> import vaex
    >>> frame = vaex.from_arrays(x=np.arange(10), t=np.arange(10))
    >>> [(one["train"].x.tolist(), one["validation"].x.tolist()) for one in folds(frame, 2, by="time", key="t", gap=1)]
    [([0, 1], [3, 4, 5, 6]), ([0, 1, 2, 3, 4, 5], [7, 8, 9])]
    """
    if by not in ("random", "group", "time", "stratified"):
        raise OptionError(f"folds by: got {by!r}, expected 'random', 'group', 'time' or 'stratified'")
    number: Any = k
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or not 2 <= number <= _MOST:
        raise OptionError(f"folds k: got {k!r}, expected a whole number from 2 to {_MOST}")
    start: Any = seed
    if isinstance(start, bool) or not isinstance(start, int | np.integer) or start < 0:
        raise OptionError(f"folds seed: got {seed!r}, expected a whole number of at least 0")
    if gap is not None and by != "time":
        raise OptionError(f"folds gap: goes with by='time'; got by={by!r}")
    source = source_of(frame)
    keys = names_of(key, "folds key")
    listed = (keys,) if isinstance(keys, str) else tuple(keys or ())
    if (by == "random") != (not listed):
        wanted = "none" if by == "random" else "a column's name"
        raise OptionError(f"folds key: got {key!r}, expected {wanted} with by={by!r}")
    if by in ("time", "stratified") and len(listed) > 1:
        raise OptionError(f"folds key: by={by!r} takes one column; got {key!r}")
    source.empty(listed)
    pieces = int(k) + (by == "time")
    shares = {str(piece): 1 / pieces for piece in range(pieces)}
    how: By = "random" if by == "stratified" else by
    stratify = name_of(listed[0], "folds key") if by == "stratified" else None
    decide = () if by == "stratified" else listed
    with with_workers(executor, worth=source.opens_elsewhere) as pool:
        rule, rows, _ = rule_of(source, shares, how, decide, int(seed), gap, stratify, pool)
        if by == "time":
            assert isinstance(rule, ByTime)
            made = _in_time(source, rule, listed[0], pool)
        else:
            made = _in_turn(source, rule, list(rows.values()))
    for place, one in enumerate(made):
        for part, count in one.rows.items():
            if not count:
                raise SelectionError(f"folds: {part} of fold {place} would have no rows. Take fewer folds.")
    return Folds(made, by)


def _in_turn(source: Any, rule: Rule, rows: list[int]) -> list[Parts]:
    whole, print_ = source.frame(), rule.fingerprint()
    made = []
    for place, count in enumerate(rows):
        frames = {
            "train": filter_rows(whole, f"fold_{print_}_not_{place}", NotInPart(rule, place), rule.columns),
            "validation": filter_rows(whole, f"fold_{print_}_{place}", InPart(rule, place), rule.columns),
        }
        made.append(Parts(frames, "fold", {"train": sum(rows) - count, "validation": count}, 0))
    return made


def _in_time(source: Any, rule: ByTime, key: str, executor: Executor | None) -> list[Parts]:
    """Each cut with the next one is a fold of its own; the gap is before the first alone."""
    whole, scan = source.frame(), Scan(source, executor)
    made = []
    for place in range(len(rule.cuts)):
        before = ByTime((key,), rule.cuts[place : place + 1], rule.gap)
        after = ByTime((key,), rule.cuts[place : place + 2], None)
        train = scan.count([key], before.parts, 2)[0]
        earlier, validation, *_ = scan.count([key], after.parts, len(after.cuts) + 1)
        frames = {
            "train": filter_rows(whole, f"fold_{before.fingerprint()}_0", InPart(before, 0), (key,)),
            "validation": filter_rows(whole, f"fold_{after.fingerprint()}_1", InPart(after, 1), (key,)),
        }
        made.append(Parts(frames, "fold", {"train": train, "validation": validation}, earlier - train))
    return made
