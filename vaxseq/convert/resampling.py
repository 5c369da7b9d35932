"""``resample``: rows of each series on a grid of times, gaps as missing rows, values carried forward up to a limit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.dataset.schema import array_shape, type_name
from vaxseq.errors import ColumnNotFoundError, OptionError, SchemaError, did_you_mean

HOWS = ("mean", "sum", "min", "max", "first", "last", "count")
_COMPUTED = ("mean", "sum")  # float64, whatever they are made of
_NS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9, "h": 3_600 * 10**9, "D": 86_400 * 10**9}
_LENGTH = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ns|us|ms|s|min|h|D|d)\s*")
LARGEST_GAP = 1_000_000  # grid steps


@dataclass(frozen=True, slots=True)
class Resample:
    """How rows become a grid. A grid row stands for the time from its own up to the next.

    Args:
        order_by: the column of times (timestamps, or whole numbers).
        every: the step: "10s", "15min", "1h" (ns, us, ms, s, min, h, D), a number for whole numbers. The grid passes
            through 1970-01-01, or 0.
        group_by: the columns that tell series apart.
        how: what a step's value is of the rows in it: mean, sum, min, max, first, last or count; one for all, or by
            column. Left out, it is the mean of numbers and the last of anything else.
        fill_forward: over how many steps without a value the last one is carried on.
        max_gap: the longest time without rows that is filled with missing rows; none are put into a longer one.
    """

    order_by: str
    every: Any
    group_by: tuple[str, ...] = ()
    how: Mapping[str, str] | str | None = None
    fill_forward: int = 0
    max_gap: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "group_by", (self.group_by,) if isinstance(self.group_by, str) else tuple(self.group_by or ())
        )
        hows = [self.how] if isinstance(self.how, str) else list((self.how or {}).values())
        for how in hows:
            if how not in HOWS:
                raise OptionError(f"convert: option resample: how; got {how!r}, expected one of {HOWS}.")
        limit = self.fill_forward
        if not isinstance(limit, int) or isinstance(limit, bool) or not 0 <= limit <= LARGEST_GAP:
            raise OptionError(
                f"convert: option resample: fill_forward; got {limit!r}, expected 0 to {LARGEST_GAP:,} steps."
            )
        if self.order_by in self.group_by or len(set(self.group_by)) < len(self.group_by):
            raise OptionError(
                f"convert: option resample: group_by; got {list(self.group_by)}, expected other columns, each once."
            )

    @classmethod
    def of(cls, given: Any) -> Resample | None:
        """What ``convert`` was given, checked.

        Raises:
            OptionError: with what is wrong.
        """
        if given is None or isinstance(given, Resample):
            return given
        known = list(cls.__dataclass_fields__)
        if not isinstance(given, Mapping) or not {"order_by", "every"} <= set(given):
            raise OptionError(f"convert: option resample; got {given!r}, expected a mapping with order_by and every.")
        for key in given:
            if key not in known:
                raise OptionError(f"convert: option resample: unknown key {key!r}.{did_you_mean(str(key), known)}")
        return cls(**given)

    @property
    def sort_by(self) -> tuple[str, ...]:
        """The order that the rows must come in."""
        return (*self.group_by, self.order_by)

    def check_names(self, types: Mapping[str, pa.DataType]) -> None:
        """Refuses columns that aren't there.

        Raises:
            ColumnNotFoundError: no such column.
        """
        for name in (*self.sort_by, *(self.how if isinstance(self.how, Mapping) else ())):
            if name not in types:
                raise ColumnNotFoundError(f"resample: no column {name!r}.{did_you_mean(name, types)}")

    def check(self, types: Mapping[str, pa.DataType]) -> None:
        """Refuses columns of a type that doesn't go.

        Raises:
            OptionError: a step or a way that doesn't fit its column.
        """
        kind = types[self.order_by]
        if not (pa.types.is_timestamp(kind) or pa.types.is_integer(kind)):
            raise OptionError(
                f"resample: column {self.order_by!r}; got {type_name(kind)}, expected timestamps or whole numbers. "
                "Declare it as timestamp[s] in schema=."
            )
        self.steps(self.every, kind, "every")
        if self.max_gap is not None:
            self.steps(self.max_gap, kind, "max_gap")
        for name, how in self.hows(types).items():
            if how in _COMPUTED and not _is_number(types[name]):
                raise OptionError(f"resample: how; got {how!r} of column {name!r} ({type_name(types[name])}).")
            ordered = _is_number(types[name]) or pa.types.is_timestamp(types[name])
            if how in ("min", "max") and not ordered:
                raise OptionError(f"resample: how; got {how!r} of column {name!r} ({type_name(types[name])}).")

    def steps(self, given: Any, kind: pa.DataType, name: str) -> int:
        """A length of time in the column's unit."""
        if pa.types.is_integer(kind):
            if isinstance(given, int) and not isinstance(given, bool) and given > 0:
                return given
            raise OptionError(
                f"resample: {name}; got {given!r}, expected a whole number as in column {self.order_by!r}."
            )
        found = _LENGTH.fullmatch(given) if isinstance(given, str) else None
        length = (
            float(found[1]) * _NS[found[2].upper() if found[2] == "d" else found[2]] / _NS[kind.unit] if found else 0
        )
        if length < 1 or length != int(length):
            raise OptionError(
                f"resample: {name}; got {given!r}, expected a length of time such as '10s' or '15min', in whole "
                f"{kind.unit} as column {self.order_by!r} has them."
            )
        return int(length)

    def hows(self, types: Mapping[str, pa.DataType]) -> dict[str, str]:
        """What becomes of each column of values."""
        found = {}
        for name, kind in types.items():
            if name in self.sort_by:
                continue
            default = "mean" if _is_number(kind) else "last"
            asked = self.how if isinstance(self.how, str) else (self.how or {}).get(name)
            if isinstance(self.how, str) and self.how in (*_COMPUTED, "min", "max") and default == "last":
                asked = None  # one way for all numbers
            found[name] = asked or default
        return found

    def types(self, types: Mapping[str, pa.DataType]) -> dict[str, pa.DataType]:
        """The types of the grid's columns: the series, the time, the values."""
        made = {"count": pa.int64(), "mean": pa.float64(), "sum": pa.float64()}
        hows = self.hows(types)
        return {name: made.get(hows.get(name, ""), kind) for name, kind in types.items()}


@dataclass(slots=True)
class Grid:
    """Turns tables that are sorted by series and time into tables on the grid, a block at a time."""

    how: Resample
    types: Mapping[str, pa.DataType]
    _held: pa.Table | None = None  # the last step's parts so far: more of its rows may come
    _last: pa.Table | None = None  # the last grid row, to see how far the next one is
    _tail: pa.Table | None = None  # rows that values may still be carried on from
    _hows: dict[str, str] = field(default_factory=dict)
    _every: int = 1
    _most: int | None = None

    def __post_init__(self) -> None:
        self._hows = self.how.hows(self.types)
        kind = self.types[self.how.order_by]
        self._every = self.how.steps(self.how.every, kind, "every")
        self._most = (
            None if self.how.max_gap is None else self.how.steps(self.how.max_gap, kind, "max_gap") // self._every
        )

    def tables(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """The grid's tables. Dictionary columns go in and come out as their codes.

        Raises:
            SchemaError: a row without a time, or a gap that would be filled with a million rows.
        """
        for table in tables:
            if not table.num_rows:
                continue
            parts = self._merged(self._parts(table))
            if parts.num_rows > 1:
                self._held = parts.slice(parts.num_rows - 1)
                yield from self._on_grid(parts.slice(0, parts.num_rows - 1))
            else:
                self._held = parts
        if self._held is not None and self._held.num_rows:
            yield from self._on_grid(self._held)

    def _parts(self, table: pa.Table) -> pa.Table:
        """One row a series and step: what its values are made of."""
        times = table[self.how.order_by]
        if times.null_count:
            raise SchemaError(
                f"resample: column {self.how.order_by!r}: {times.null_count:,} rows without a time. Leave them out: "
                f"where='~ismissing({self.how.order_by})'."
            )
        steps = np.floor_divide(np.asarray(times.cast(pa.int64())), self._every)
        keys = pa.table({**{f"by {name}": table[name] for name in self.how.group_by}, "step": pa.array(steps)})
        new = np.append(True, ~_same_as_before(keys, keys.column_names))
        starts = np.flatnonzero(new)
        columns: dict[str, Any] = {"run": pa.array(np.cumsum(new) - 1)}
        wanted = []
        for name, how in self._hows.items():
            column = table[name]
            if pa.types.is_floating(column.type):
                column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
            columns[f"of {name}"] = _computable(column, name, how) if how in _COMPUTED else column
            wanted += [(f"of {name}", one) for one in (("sum", "count") if how == "mean" else (how,))]
        rows = pa.table(columns)
        plain = [pair for pair in wanted if not array_shape(rows[pair[0]].type)[0]]
        found = rows.group_by("run", use_threads=False).aggregate([*plain, ([], "count_all")])
        found = found.take(pa.array(np.argsort(np.asarray(found["run"]))))
        for name, how in self._hows.items():  # arrays aren't aggregated by Arrow
            if array_shape(rows[f"of {name}"].type)[0]:
                at = starts if how == "first" else np.append(starts[1:], len(new)) - 1
                made = rows[f"of {name}"].take(pa.array(at)) if how != "count" else found["count_all"]
                found = found.append_column(f"of {name}_{how}", made)
        found = found.drop_columns(["run", "count_all"])
        parts = keys.take(pa.array(starts))
        for name in found.column_names:
            parts = parts.append_column(name, found[name])
        return parts

    def _merged(self, parts: pa.Table) -> pa.Table:
        """The parts with those of the held step before them, joined where both are of one step."""
        held, self._held = self._held, None
        if held is None:
            return parts
        keys = [*(f"by {name}" for name in self.how.group_by), "step"]
        if any(held[name][0] != parts[name][0] for name in keys if held[name][0].is_valid or parts[name][0].is_valid):
            return pa.concat_tables([held, parts.select(held.column_names)])
        both = {}
        for name in held.column_names:
            one, two = held[name], parts[name].slice(0, 1)
            way = name.rpartition("_")[2]
            if name in keys or way == "first":
                made = pc.coalesce(one, two)
            elif way in ("sum", "count"):
                made = pc.coalesce(pc.add(one, two), one, two)
            elif way in ("min", "max"):
                made = (pc.min_element_wise if way == "min" else pc.max_element_wise)(one, two)
            else:
                made = pc.coalesce(two, one)
            both[name] = made
        first = pa.table(both)
        return pa.concat_tables([first, parts.select(held.column_names).slice(1)])

    def _on_grid(self, parts: pa.Table) -> Iterator[pa.Table]:
        """Values of steps as rows, with missing rows for steps that have none."""
        rows = self._values(parts)
        first = rows if self._last is None else pa.concat_tables([self._last, rows])
        steps = np.asarray(first["step"])
        same = _same_as_before(first, self.how.group_by)
        gaps = np.where(same, np.diff(steps) - 1, 0)
        joined = same.copy()
        if self._most is not None:
            joined &= gaps < max(self._most, 1)
            gaps = np.where(joined, gaps, 0)
        if gaps.size and gaps.max() > LARGEST_GAP:
            raise SchemaError(
                f"resample: a gap of {int(gaps.max()):,} steps between two rows, which would all become missing rows; "
                f"at most {LARGEST_GAP:,} do. Say with max_gap which gaps are filled, or leave wrong times out."
            )
        if self._last is None:
            gaps, joined = np.append(0, gaps), np.append(False, joined)  # nothing is before the first row
        self._last = rows.slice(rows.num_rows - 1)
        start = 0
        while start < rows.num_rows:  # not more missing rows at once than memory is meant for
            stop = start + max(int(np.searchsorted(np.cumsum(gaps[start:]), LARGEST_GAP)), 1)
            yield self._filled(rows.slice(start, stop - start), gaps[start:stop], joined[start:stop])
            start = stop

    def _values(self, parts: pa.Table) -> pa.Table:
        found: dict[str, Any] = {name: parts[f"by {name}"] for name in self.how.group_by}
        found["step"] = parts["step"]
        for name, how in self._hows.items():
            if how == "mean":
                count = parts[f"of {name}_count"]
                present = pc.if_else(pc.equal(count, 0), pa.scalar(None, pa.int64()), count)
                found[name] = pc.divide(parts[f"of {name}_sum"], present.cast(pa.float64()))
            else:
                found[name] = parts[f"of {name}_{how}"]
        return pa.table(found)

    def _filled(self, rows: pa.Table, gaps: npt.NDArray[np.int64], joined: npt.NDArray[np.bool_]) -> pa.Table:
        """The rows with their missing ones before them, values carried on, as columns of the dataset."""
        places = np.arange(rows.num_rows) + np.cumsum(gaps)  # of each row among all
        total = int(places[-1]) + 1
        owner = np.searchsorted(places, np.arange(total))  # a missing row belongs to the row after it
        steps = np.asarray(rows["step"])[owner] - (places[owner] - np.arange(total))
        known = np.zeros(total, bool)
        known[places] = True
        begins = np.zeros(total, bool)
        begins[places - gaps] = ~joined
        made: dict[str, Any] = {"begins": pa.array(begins), "step": pa.array(steps)}
        for name in self.how.group_by:
            made[name] = rows[name].take(pa.array(owner))
        for name in self._hows:
            made[name] = rows[name].take(pa.array(owner, mask=~known))
        table = pa.table(made)
        filled = self._carried(table) if self.how.fill_forward else table
        return self._named(filled)

    def _carried(self, table: pa.Table) -> pa.Table:
        """Missing values out of the last ones, as far as they are carried."""
        limit = self.how.fill_forward
        before = 0 if self._tail is None else self._tail.num_rows
        whole = table if self._tail is None else pa.concat_tables([self._tail, table])
        self._tail = whole.slice(max(whole.num_rows - limit, 0))
        number = np.arange(whole.num_rows)
        begins = np.maximum.accumulate(np.where(np.asarray(whole["begins"]), number, 0))
        for name, how in self._hows.items():
            if how == "count":
                continue
            valid = np.asarray(whole[name].is_valid(), dtype=bool)
            last = np.maximum.accumulate(np.where(valid, number, -1))
            usable = (last >= begins) & (number - last <= limit)
            taken = whole[name].take(pa.array(np.where(usable, last, 0), mask=~usable))
            whole = whole.set_column(whole.column_names.index(name), name, taken)
        return whole.slice(before)

    def _named(self, table: pa.Table) -> pa.Table:
        times = pc.multiply(table["step"], self._every)
        found = {}
        for name, kind in self.how.types(self.types).items():
            if name == self.how.order_by:
                found[name] = times.cast(pa.int64()).cast(kind)
            elif self._hows.get(name) == "count":
                found[name] = pc.fill_null(table[name], 0)
            else:
                found[name] = table[name]
        return pa.table(found)


def _computable(column: pa.ChunkedArray, name: str, how: str) -> pa.ChunkedArray:
    try:
        return column.cast(pa.float64(), safe=how == "sum")  # a mean rounds anyway
    except pa.ArrowInvalid:
        raise SchemaError(
            f"resample: how; got 'sum' of column {name!r}, whose whole numbers beyond 2**53 a float64 would round. "
            "Take another, such as 'last', or declare the column as float64."
        ) from None


def _same_as_before(table: pa.Table, names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which rows, from the second on, have the values of the row before them; missing is like missing."""
    same = np.ones(max(table.num_rows - 1, 0), bool)
    for name in names:
        column = table[name].combine_chunks()
        one, two = column.slice(1), column.slice(0, max(len(column) - 1, 0))
        both = pc.and_(one.is_null(), two.is_null())
        same &= np.asarray(pc.or_(pc.fill_null(pc.equal(one, two), False), both), dtype=bool)
    return same


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))
