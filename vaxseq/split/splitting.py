"""``split``: a frame into named, disjoint parts that together are the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any, Literal

import numpy as np

from vaxseq.dataset.processes import with_workers
from vaxseq.display.html import Heading
from vaxseq.display.tables import Display, Shown
from vaxseq.errors import OptionError, SelectionError, did_you_mean
from vaxseq.expressions import name_of, names_of
from vaxseq.frame import ROW, Source, filter_rows, source_of
from vaxseq.plan.balance import apportion
from vaxseq.plan.keys import derive, hash_ids
from vaxseq.split.cuts import by_time
from vaxseq.split.hashing import Hashes, hash_column, hash_keys
from vaxseq.split.ranks import Counts, Words, smallest
from vaxseq.split.rules import ByGroup, ByHash, ByOrder, ByOrderInClass, InPart, InParts, Rule
from vaxseq.split.scan import Block, Scan
from vaxseq.split.shares import checked_fractions, flattened, shared_out

By = Literal["random", "hash", "group", "time", "stratified"]

_MOST_CLASSES = 10_000
_ORDER, _HASH, _TIES = 31, 32, 33


class Parts(Shown, dict[str, Any]):
    """Part name -> vaex frame.

    Attributes:
        by: how the rows were parted.
        rows: part name -> its number of rows; empty for by="hash", which reads nothing.
        dropped: rows in no part, within the gap before a cut in time; 0 otherwise.
    """

    def __init__(self, frames: Mapping[str, Any], by: str, rows: Mapping[str, int], dropped: int) -> None:
        super().__init__(frames)
        self.by, self.rows, self.dropped = by, dict(rows), dropped

    def __missing__(self, name: Any) -> Any:
        raise KeyError(f"no part {name!r}.{did_you_mean(str(name), self)}")

    def __repr__(self) -> str:
        total = sum(self.rows.values()) or 1
        shown = [f"{name}: {self.rows[name]:,} rows ({self.rows[name] / total:.1%})" for name in self.rows] or list(
            self
        )
        gap = [f"dropped in the gap: {self.dropped:,} rows"] if self.dropped else []
        return f"Parts by {self.by}({', '.join(shown + gap)})"

    def _display(self) -> Display:
        total = sum(self.rows.values()) or 1
        headings = (Heading("part"), Heading("rows", "number"), Heading("share", "number"))
        rows = [
            (name, f"{self.rows[name]:,}", f"{self.rows[name] / total:.1%}") if name in self.rows else (name, "", "")
            for name in self
        ]
        gap = f", {self.dropped:,} rows dropped in the gap" if self.dropped else ""
        counted = "" if self.rows else ": rows aren't counted before they are read"
        return Display(f"Parts by {self.by}{gap}{counted}", headings, tuple(rows))


def split(
    frame: Any,
    fractions: Mapping[str, Any],
    *,
    by: By = "random",
    key: str | Sequence[str] | None = None,
    seed: int = 0,
    gap: str | float | np.timedelta64 | None = None,
    stratify: str | None = None,
    executor: Executor | None = None,
) -> Parts:
    """Part a frame's rows into named frames: lazy, disjoint, complete, and the same on every machine.

    * ``"random"``: every row on its own, exact sizes; with ``stratify`` exact within each class.
    * ``"hash"``: by a hash of ``key``. Equal keys share a part, in other files and later data too. Reads nothing.
    * ``"stratified"``: as random with ``stratify=key``.
    * ``"group"``: no group of ``key`` in two parts; the largest groups first, each to the part that lacks most rows,
      so very large groups go to the largest part.
    * ``"time"``: earlier rows in earlier parts, cut where ``key`` passes the fractions; equal times share a part.

    A filter of the frame stays; fractions are of the rows that it leaves. A missing key is a key of its own for
    hash and group, a missing class a class of its own for ``stratify``; a missing time is refused.

    Args:
        frame: a table (vaex, pandas, polars, Arrow, DuckDB, a dict of arrays) or a dataset's path.
        fractions: part name -> its fraction; they sum to 1. For ``by="time"`` instead, in order of time, where each
            part ends: ``{"train": "2014-12-01", "test": None}`` (exclusive; None is the rest). Dates are ISO text or
            datetimes, on the column's own clock, or in UTC for a column with a time zone. A part may be parted
            again, ``{"develop": {"train": 0.7, "validation": 0.1}, "test": 0.2}``: all of them are given.
        by: how.
        key: the column, or for hash and group the columns, that decide.
        seed: of random and hash, and of ties between groups.
        gap: for time: rows in the gap before each cut are in no part, as "12h", a timedelta64 or a number.
        stratify: for random: a column of classes whose shares each part keeps, up to rounding.
        executor: any ``concurrent.futures.Executor`` to share the passes over the rows with; the parts are the same.

    Returns:
        A dict of part name -> vaex frame that also knows the parts' ``rows``.

    Raises:
        OptionError: fractions that don't sum to 1, a key that is absent or of the wrong type, options that don't go
            together.
        ColumnNotFoundError: an unknown column.
        MissingValueError: rows without a time.
        SelectionError: a part would be empty.

    >>> import vaex
    >>> parts = split(vaex.from_arrays(x=np.arange(10)), {"train": 0.8, "test": 0.2})
    >>> parts, sorted(parts["train"].x.tolist() + parts["test"].x.tolist())
    (Parts by random(train: 8 rows (80.0%), test: 2 rows (20.0%)), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """
    if by not in ("random", "hash", "group", "time", "stratified"):
        raise OptionError(f"split by: got {by!r}, expected 'random', 'hash', 'group', 'time' or 'stratified'")
    if by == "stratified":
        if stratify is not None or not isinstance(name := name_of(key, "split key"), str):
            raise OptionError(f"split key: by='stratified' takes the column of classes as key; got {key!r}")
        by, key, stratify = "random", None, name
    named: Any = fractions
    if not isinstance(named, Mapping) or not named:
        raise OptionError(f"split fractions: got {fractions!r}, expected names with fractions: {{'train': 0.8, ...}}")
    fractions, nested = flattened(fractions)
    if len(fractions) > 100:
        raise OptionError(f"split fractions: got {len(fractions)} parts, expected at most 100")
    start: Any = seed
    if isinstance(start, bool) or not isinstance(start, int | np.integer) or start < 0:
        raise OptionError(f"split seed: got {seed!r}, expected a whole number of at least 0")
    source = source_of(frame)
    stratify = name_of(stratify, "split stratify")
    keys = _keys(by, names_of(key, "split key"))
    if stratify is not None and by != "random":
        raise OptionError(f"split stratify: goes with by='random'; got by={by!r}")
    if gap is not None and by != "time":
        raise OptionError(f"split gap: goes with by='time'; got by={by!r}")
    source.empty([*keys, *([] if stratify is None else [stratify])])  # unknown columns are told before any pass
    with with_workers(executor, worth=source.opens_elsewhere) as pool:
        rule, rows, dropped = rule_of(source, fractions, by, keys, int(seed), gap, stratify, pool)
    for name, count in rows.items():
        if not count:
            raise SelectionError(f"split: part {name!r} would have no rows. {_REMEDIES[by]}")
    print_ = rule.fingerprint()
    whole = source.frame()
    frames = {
        name: filter_rows(whole, f"split_{print_}_{number}", InPart(rule, number), rule.columns)
        for number, name in enumerate(fractions)
    }
    numbers = {name: number for number, name in enumerate(fractions)}
    for name, inner in nested.items():
        inside = InParts(rule, tuple(numbers[one] for one in inner))
        frames[name] = filter_rows(whole, f"split_{print_}_{'_'.join(map(str, inside.numbers))}", inside, rule.columns)
    return Parts(frames, by, rows, dropped)


_REMEDIES = {
    "random": "Give it a larger fraction, or fewer parts.",
    "hash": "Give it a larger fraction.",
    "group": "There are too few groups, or one is larger than a part: take fewer parts, or a finer key.",
    "time": "Move its cut, or shorten the gap; rows of equal time stay together.",
}


def rule_of(
    source: Source,
    fractions: Mapping[str, Any],
    by: By,
    keys: tuple[str, ...],
    seed: int,
    gap: Any,
    stratify: str | None,
    executor: Executor | None,
) -> tuple[Rule, dict[str, int], int]:
    """The rule, the parts' rows as far as they are known, and how many rows are in no part."""
    names = list(fractions)
    if by == "time":
        cut, rows, dropped = by_time(Scan(source, executor), source.empty(keys)[keys[0]], keys[0], fractions, gap)
        return cut, dict(zip(names, rows, strict=True)), dropped
    shares = checked_fractions(fractions)
    if by == "hash":
        hash_keys(list(source.empty(keys).values()))
        edges = [min(int(edge * 2**64), 2**64 - 1) for edge in np.cumsum(shares)[:-1]]
        return ByHash(keys, derive(_HASH, seed), np.array(edges, np.uint64)), {}, 0
    scan = Scan(source, executor)
    if by == "group":
        rule, counts = _by_group(scan, keys, shares, seed)
    elif stratify is None:
        rule, counts = _by_order(scan, source.n_rows, shares, seed)
    else:
        rule, counts = _by_order_in_class(scan, source.n_rows, shares, seed, stratify)
    return rule, dict(zip(names, counts, strict=True)), 0


def _keys(by: By, key: str | Sequence[str] | None) -> tuple[str, ...]:
    if by == "random":
        if key is not None:
            raise OptionError(f"split key: by='random' takes none; got {key!r}. Did you mean by='hash' or 'group'?")
        return ()
    keys = (key,) if isinstance(key, str) else tuple(key or ())
    if not keys:
        raise OptionError(f"split key: by={by!r} needs one; got None, expected a column's name")
    if by == "time" and len(keys) > 1:
        raise OptionError(f"split key: by='time' takes one column; got {keys!r}")
    return keys


def _by_order(scan: Scan, n_rows: int, shares: list[float], seed: int) -> tuple[Rule, list[int]]:
    counts = apportion(scan.rows.n, shares)
    cuts = np.cumsum(counts)[:-1]
    rule = ByOrder((ROW,), n_rows, derive(_ORDER, seed), cuts)
    if scan.rows.n < n_rows:  # places of the rows that the filter leaves are not 0, 1, 2, ...
        inner = [int(cut) for cut in cuts if cut < scan.rows.n]
        found = smallest(inner, lambda count: scan.each([ROW], partial(_counted_places, rule, count)), n_rows)
        bounds = np.array(found + [n_rows] * (len(cuts) - len(inner)), np.int64)
        rule = ByOrder((ROW,), n_rows, derive(_ORDER, seed), bounds)
    return rule, [int(count) for count in counts]


def _by_order_in_class(
    scan: Scan, n_rows: int, shares: list[float], seed: int, stratify: str
) -> tuple[Rule, list[int]]:
    classes, sizes = scan.tally([stratify], partial(_hashed, stratify))
    if len(classes) > _MOST_CLASSES:
        remedy = "Stratify by a column of fewer values."
        raise OptionError(
            f"split stratify={stratify!r}: got {len(classes):,} classes, expected at most 10,000. {remedy}"
        )
    counts = shared_out(sizes, shares)
    cuts = np.cumsum(counts, axis=1)[:, :-1]
    firsts = np.concatenate([[0], np.cumsum(sizes)])[:-1]
    bits = n_rows.bit_length()
    blank = ByOrderInClass((ROW, stratify), n_rows, derive(_ORDER, seed), np.empty((0, 0), np.int64), classes)

    def each(count: Callable[[Words], Counts]) -> Iterator[Counts]:
        return scan.each(blank.columns, partial(_counted_in_class, blank, bits, count))

    inner = cuts < sizes[:, None]
    ranks = (cuts + firsts[:, None])[inner]
    bounds = np.full(cuts.shape, n_rows, np.int64)
    bounds[inner] = np.array(smallest(ranks.tolist(), each, len(classes) << bits), np.int64) & ((1 << bits) - 1)
    rule = ByOrderInClass(blank.columns, n_rows, blank.key, bounds, classes)
    return rule, [int(count) for count in counts.sum(axis=0)]


def _by_group(scan: Scan, keys: tuple[str, ...], shares: list[float], seed: int) -> tuple[Rule, list[int]]:
    groups, sizes = scan.tally(keys, partial(_hashed_together, keys))
    order = np.lexsort((hash_ids(groups, derive(_TIES, seed)), -sizes))
    lacking = [share * scan.rows.n for share in shares]
    assigned = np.empty(len(groups), np.int8)
    for number, size in zip(order.tolist(), sizes[order].tolist(), strict=True):
        part = lacking.index(max(lacking))
        lacking[part] -= size
        assigned[number] = part
    counts = np.bincount(assigned, weights=sizes, minlength=len(shares))
    return ByGroup(keys, groups, assigned), [int(count) for count in counts]


# Workers call these by their names.


def _counted_places(rule: ByOrder, count: Callable[[Words], Counts], block: Block) -> Counts:
    return count(rule.places(block).astype(np.uint64))


def _counted_in_class(rule: ByOrderInClass, bits: int, count: Callable[[Words], Counts], block: Block) -> Counts:
    """Class and place in one number: all classes' cuts are found in the same passes."""
    codes = rule.codes(block).astype(np.uint64)
    return count(codes << np.uint64(bits) | rule.places(block).astype(np.uint64))


def _hashed(key: str, block: Block) -> Hashes:
    return hash_column(block[key])


def _hashed_together(keys: tuple[str, ...], block: Block) -> Hashes:
    return hash_keys([block[key] for key in keys])
