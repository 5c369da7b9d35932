"""Type refinement of staged columns: text that is numbers or times as people write them, and sentinels.

It comes after the first pass and only where that found text, or numbers among whose extremes is a likely sentinel.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.convert.forms.day_numbers import FIRST, LAST, DayNumbers
from vaxseq.convert.forms.detection import FormDetector, Subject
from vaxseq.convert.forms.naming import says_date
from vaxseq.convert.forms.sentinels import Spread, has_mark
from vaxseq.convert.forms.suggestion import Decided, decide, say
from vaxseq.convert.ranges import Range
from vaxseq.convert.stage import PieceKey, Stage
from vaxseq.convert.staged_reader import Reread, staged_groups
from vaxseq.convert.type_promotion import is_text
from vaxseq.dataset.notice import Notice

FindLine = Callable[[str, list[str], list[PieceKey]], list[str]]  # (column, cells, pieces): where each is first
GLANCE = 1024  # distinct values that tell most text apart from numbers and times
_EXAMPLES = 3
_SHARE = re.compile(r"([\d,]+) of ([\d,]+) are ")
MOST_FOOTERS = 3  # lines at the end that may be totals and remarks


@dataclass(slots=True)
class Seen:
    """What the look found."""

    forms: dict[str, Decided] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)


def refine_types(stage: Stage, subjects: Mapping[str, Subject], reread: Reread, find: FindLine) -> Seen:
    """Decides forms by all values of a column, and says what is likely about the others."""
    looks: dict[str, FormDetector] = {}
    for name, subject in subjects.items():
        if is_text(stage.types[name]) and (look := _glance(stage, name, subject)) is not None:
            looks[name] = look
    ranges = [one for draft in stage.drafts for one in draft.ranges]
    marked = {name for one in ranges for name, both in one.items() if has_mark(*both)}
    extremes = {
        name: Extremes(*_whole_range(name, ranges)) for name in subjects
        if name in marked and (pa.types.is_int64(stage.types[name]) or pa.types.is_float64(stage.types[name]))
    }  # fmt: skip
    days = {
        name: DayNumbers() for name in subjects if pa.types.is_int64(stage.types[name]) and _may_be_days(name, ranges)
    }
    places: dict[tuple[str, str], list[PieceKey]] = {}
    wanted = [*looks, *extremes, *days]
    drafts = [draft for draft in stage.drafts if draft.groups] if wanted else []
    for keys, table, _ in staged_groups(stage, drafts, reread, wanted):
        for name, look in looks.items():
            if look.alive:
                values, counts = _counted(table[name])
                look.take(values, counts)
                for word in (*_examples(look), *look.marks().values()):
                    places.setdefault((name, word), keys)
        for name, one in extremes.items():
            if one.alive:
                one.take(table[name], keys)
        for name, day in days.items():
            if day.alive and not pa.types.is_null(table[name].type):
                day.take(table[name].drop_null().to_numpy())
                places.setdefault((name, str(day.first)), keys)
        if not any(one.alive for some in (looks, extremes, days) for one in some.values()):
            break
    seen = _said(stage, subjects, looks, extremes, places, find)
    for name, day in days.items():
        if day.whole:
            lines = find(name, [str(day.first)], places[name, str(day.first)])
            decided, notice = of_days(day, name, subjects[name], tuple(lines))
            seen.notices.append(notice)
            if decided is not None:
                seen.forms[name] = decided
    return seen


def of_days(day: DayNumbers, name: str, subject: Subject, lines: tuple[str, ...]) -> tuple[Decided | None, Notice]:
    """The form of whole numbers that are all days, where many and the column's name leave no doubt, and a notice."""
    said = "whole numbers that are all dates, as 20211231"
    column = subject.source_name
    if day.enough and says_date(column) and not subject.is_filtered:
        undone = f"schema={{'columns': {{{name!r}: 'int64'}}}}"
        said = f"{said}; read so, as with forms={{{column!r}: 'compact'}}; {undone} has it not so"
        return Decided("compact", pa.date32()), Notice(name, said, lines, {}, True)
    return None, Notice(name, said, lines, {"forms": {column: "compact"}}, True)


def _may_be_days(name: str, ranges: Iterable[Mapping[str, Range]]) -> bool:
    """Whether all of a column's values lie where days do."""
    own = [one[name] for one in ranges if name in one]
    return bool(own) and all(low >= FIRST and high <= LAST for low, high in own)


def _glance(stage: Stage, name: str, subject: Subject) -> FormDetector | None:
    """A look at the first values; None when they are text and nothing else."""
    return subject.look() if subject.glance(first_values(stage, name)) else None


def _whole_range(name: str, ranges: Iterable[Mapping[str, Range]]) -> Range:
    """From the least to the greatest value of a column, of its groups' ranges."""
    own = [one[name] for one in ranges if name in one]
    return min(low for low, _ in own), max(high for _, high in own)


def first_values(stage: Stage, name: str) -> pa.Array:
    """The first distinct values of a column of text."""
    if name in stage.coders:
        return pa.array(stage.coders[name].values[:GLANCE], pa.string())
    for draft in stage.drafts:
        if draft.groups and is_text(draft.types[name]):
            values = (
                stage.all_words(name) if pa.types.is_dictionary(draft.types[name]) else stage.first_batch(draft)[name]
            )
            return pc.unique(values.slice(0, GLANCE)).drop_null()
    return pa.array([], pa.string())


def _counted(column: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """Distinct values and how often each comes, missing ones left out."""
    if pa.types.is_null(column.type):
        return pa.array([], pa.string()), np.zeros(0, np.int64)
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()  # those of pieces that were read again differ
        codes = pa.chunked_array([chunk.indices for chunk in column.chunks], pa.int32())
        found = pc.value_counts(codes.drop_null())
        words = column.chunk(0).dictionary if column.num_chunks else pa.array([], pa.string())
        return words.take(found.field("values")), np.asarray(found.field("counts"))
    found = pc.value_counts(column.drop_null())
    return found.field("values"), np.asarray(found.field("counts"))


def _examples(look: FormDetector) -> Iterable[str]:
    yield from list(look.signs)[:_EXAMPLES]
    if look.first is not None:
        yield look.first
    for one in look.candidates:
        if one.alive:
            yield from list(one.odd)[:_EXAMPLES]


def _said(
    stage: Stage, subjects: Mapping[str, Subject], looks: Mapping[str, FormDetector], extremes: Mapping[str, Extremes],
    places: Mapping[tuple[str, str], list[PieceKey]], find: FindLine,
) -> Seen:  # fmt: skip
    seen = Seen()
    point = any(pa.types.is_floating(kind) for kind in stage.types.values()) or any(
        [one.form.name for one in look.left()] == ["decimal_point"] and look.marked for look in looks.values()
    )
    for name, subject in subjects.items():
        if name in looks:
            look = looks[name]
            if (decided := decide(look)) is not None:
                seen.forms[name] = decided
                seen.notices += _of_marks(name, look, subject, stage.rows, find, places)
                if look.signs:
                    lines = [line for word in look.signs for line in find(name, [word], places.get((name, word), []))]
                    seen.notices.append(Notice(name, look.said_of_signs(), tuple(lines), {}, True))
            elif (said := say(look, subject.source_name, look.first, point_elsewhere=point)) is not None:
                lines = [line for word in said.examples for line in find(name, [word], places.get((name, word), []))]
                seen.notices.append(Notice(name, said.message, tuple(lines), said.options, said.lossless))
        elif name in extremes:
            seen.notices += extremes[name].notices(name, subject.source_name, stage.rows, find)
    return seen


def _of_marks(
    name: str,
    look: FormDetector,
    subject: Subject,
    rows: int,
    find: FindLine,
    places: Mapping[tuple[str, str], list[PieceKey]],
) -> list[Notice]:
    """A notice for numbers in a form that stand for missing values, as they are written."""
    one = look.certain()
    if one is None or not (far := one.spread.far()):
        return []
    words = [one.words[mark] for mark in far]
    lines = [line for word in words for line in find(name, [word], places.get((name, word), []))]
    told = one.spread.told(far, words, rows)
    return [Notice(name, told, tuple(lines), {"null_values": {subject.source_name: words}})]


def footers_told(notices: Sequence[Notice], last_rows: Sequence[Sequence[Mapping[str, str]]]) -> list[Notice]:
    """The notices; in place of those that the last rows of every source alone explain, one of a footer.

    ``last_rows`` are each source's, the last one first.
    """
    for count in range(1, min(map(len, last_rows), default=0) + 1):
        last = [row for rows in last_rows for row in rows[:count]]
        inside = [one for one in notices if (odd := _odd(one)) and _others(one) <= len(last) and odd <= _own(one, last)]
        labels = [next(((name, cell.strip()) for name, cell in row.items() if cell.strip()), ("", "")) for row in last]
        odd_in = {(name, cell) for one in inside for name in one.options["null_values"] for cell in _odd(one)}
        if inside and odd_in.issuperset(labels):  # what a row begins with is no value of its column: Total
            shown = ", ".join(list(last[0].values())[:4])
            lines = "line looks" if count == 1 else f"{count} lines look"
            said = f"the last {lines} like totals or a remark, not like a row: {shown}"
            footer = Notice(None, said, (), {"skip_footer": count})
            return [footer, *(one for one in notices if one not in inside)]
    return list(notices)


def _odd(notice: Notice) -> set[str]:
    """The cells of a column that aren't what the others are."""
    marks = notice.options.get("null_values", {})
    return {cell for cells in marks.values() for cell in cells} if " others: " in notice.message else set()


def _own(notice: Notice, rows: Sequence[Mapping[str, str]]) -> set[str]:
    """What stands in the notice's column in these rows."""
    return {row[name].strip() for row in rows for name in notice.options["null_values"] if name in row}


def _others(notice: Notice) -> int:
    """How many cells those are."""
    found = _SHARE.match(notice.message)
    fitting, all_of_them = (int(one.replace(",", "")) for one in found.groups()) if found is not None else (0, 0)
    return all_of_them - fitting


class Extremes:
    """The smallest and largest number of a column, and how often a logger's mark of a missing value is one of them."""

    def __init__(self, low: float = float("-inf"), high: float = float("inf")) -> None:
        """Of a column whose values lie from ``low`` to ``high``, marks among them."""
        self._spread = Spread()
        self._range = low, high
        self.places: dict[float, list[PieceKey]] = {}

    @property
    def alive(self) -> bool:
        """Whether more of the column may say more."""
        return self._spread.is_open(*self._range)

    def take(self, column: pa.ChunkedArray, keys: list[PieceKey]) -> None:
        """More of the column."""
        if pa.types.is_null(column.type):
            return
        while True:
            bounds = pc.min_max(column)
            low, high = bounds["min"].as_py(), bounds["max"].as_py()
            if low is None:
                return
            if (mark := next((one for one in (low, high) if has_mark(one)), None)) is None:
                break
            same = pc.equal(column, pa.scalar(mark, column.type))
            self._spread.mark(float(mark), int(pc.sum(same).as_py()))
            self.places.setdefault(float(mark), keys)
            column = column.filter(pc.invert(same))
        self._spread.widen(low, high)

    def notices(self, name: str, source_name: str, rows: int, find: FindLine) -> list[Notice]:
        """A notice for marks that lie far from all other values."""
        if not (marks := self._spread.far()):
            return []
        words = [repr(one).removesuffix(".0") for one in marks]
        lines = [line for one, word in zip(marks, words, strict=True) for line in find(name, [word], self.places[one])]
        return [
            Notice(name, self._spread.told(marks, words, rows), tuple(lines), {"null_values": {source_name: words}})
        ]
