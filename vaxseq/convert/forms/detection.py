"""Which form a column of text is in: decided by all of its values, or not at all."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.convert.forms import forms
from vaxseq.convert.forms.base import Form, read_with_nulls
from vaxseq.convert.forms.marks import SIGNS, WORDS
from vaxseq.convert.forms.naming import says_date
from vaxseq.convert.forms.sentinels import Spread
from vaxseq.convert.type_promotion import EXACT_INTEGER, common_type

_MOST_ODD = 20  # distinct values that don't fit; more of them are another kind of column
_FIRST = 64
_ENOUGH = 10  # values that leave no doubt
_LEAST_SHARE = 0.9  # of the cells that must fit, so that the others are worth a word
_NO_MARKS = pa.nulls(0, pa.string())  # pa.array would import pandas
_PLAIN = {".": r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$", ",": r"^[+-]?(?:\d+,?\d*|,\d+)(?:[eE][+-]?\d+)?$"}


@dataclass(slots=True)
class Candidate:
    """One form and what it made of the column so far."""

    form: Form
    kind: pa.DataType = field(default_factory=pa.null)
    affix: str | None = None
    fitting: int = 0
    loose: bool = False
    largest: int = 0
    sides: set[bool] = field(default_factory=set)
    odd: dict[str, int] = field(default_factory=dict)  # cells that don't fit, and how often they come
    alive: bool = True
    lost: bool = False  # whatever comes after
    spread: Spread = field(default_factory=Spread)
    words: dict[float, str] = field(default_factory=dict)  # how its marks of missing values are written
    travel: float = 0.0  # seconds between each time and the next, all together
    _last: float | None = None

    def take(self, cells: pa.Array, counts: npt.NDArray[np.int64]) -> None:
        """Reads more of the column's distinct values."""
        found = self.form.read(cells)
        fits = ~found.wrong
        kind = common_type(self.kind, found.values.type) if fits.any() else self.kind
        affix = found.affix if self.fitting == 0 else self.affix
        if kind is None or (fits.any() and self.fitting and found.affix != self.affix):
            self.alive, self.lost = False, True  # two kinds of time, or two units
            return
        self.kind, self.affix, self.loose = kind, affix, self.loose or found.loose
        self.fitting += int(counts[fits].sum())
        if pa.types.is_integer(found.values.type) and fits.any():
            low, high = pc.min_max(found.values).as_py().values()
            self.largest = max(self.largest, abs(low), abs(high))
        if self.form.of == "numbers" and fits.any():
            numbers = np.asarray(found.values.filter(pa.array(fits)).cast(pa.float64(), safe=False))
            kept = np.flatnonzero(fits)
            for place in self.spread.take(numbers, counts[fits]):
                self.words.setdefault(float(numbers[place]), cells[int(kept[place])].as_py())
        if pa.types.is_temporal(found.values.type) and fits.any():
            self._follow(found.values.drop_null())
        if pa.types.is_boolean(found.values.type):
            self.sides |= set(pc.unique(found.values.drop_null()).to_pylist())
        for place in np.flatnonzero(found.wrong).tolist():
            word = cells[place].as_py()
            self.odd[word] = self.odd.get(word, 0) + int(counts[place])
            if len(self.odd) > _MOST_ODD:
                break
        misfits = sum(self.odd.values())
        rounds = pa.types.is_floating(self.kind) and self.largest >= EXACT_INTEGER
        self.lost = rounds or len(self.odd) > _MOST_ODD
        self.alive = not self.lost and misfits <= max((1 - _LEAST_SHARE) * (misfits + self.fitting), 1)

    def _follow(self, times: pa.Array) -> None:
        whole = times.cast(pa.timestamp("s", getattr(times.type, "tz", None)), safe=False)
        seconds = np.asarray(whole.cast(pa.int64()))
        before = seconds[0] if self._last is None else self._last
        self.travel += float(np.abs(np.diff(seconds, prepend=before)).sum())
        self._last = float(seconds[-1])

    @property
    def whole(self) -> bool:
        """Whether every cell was in this form."""
        decided = self.sides == {False, True} if self.form.of == "true and false" else self.fitting > 0
        return self.alive and decided and not self.odd


class FormDetector:
    """A column's distinct values, told bit by bit, and the forms that are left."""

    def __init__(
        self, nulls: tuple[str, ...], decimal: str, *, delimiter: str, of: tuple[str, ...], words: bool,
        dates: bool = False,
    ) -> None:  # fmt: skip
        """``dates``: the column's name says that it has such."""
        self._nulls = pa.array(nulls, pa.string())
        self._words = pa.array(WORDS if words else (), pa.string())
        self.decimal, self.delimiter, self._dates = decimal, delimiter, dates
        self.candidates = [Candidate(form) for form in forms().values() if form.of in of]
        self.plain = True  # no cell but plain numbers
        self.marked = False  # some number has a mark that no parser reads: thousands, another decimal mark
        self.first: str | None = None
        self.signs: dict[str, int] = {}  # likely marks of missing values among them
        self.missing = 0

    @property
    def alive(self) -> bool:
        """Whether some form may still be the column's."""
        return any(one.alive for one in self.candidates)

    @property
    def lost(self) -> bool:
        """Whether no form can be the column's, whatever its other values are."""
        return all(one.lost for one in self.candidates)

    def take(self, values: pa.Array, counts: npt.NDArray[np.int64]) -> None:
        """More distinct values and how often each comes."""
        trimmed = pc.utf8_trim_whitespace(values)
        low = pc.utf8_lower(trimmed)
        absent = pc.or_(pc.is_in(trimmed, self._nulls), pc.or_(pc.equal(trimmed, ""), pc.is_in(low, self._words)))
        absent = np.asarray(pc.fill_null(absent, True))
        signs = np.asarray(pc.fill_null(pc.is_in(low, pa.array(SIGNS)), False)) & ~absent
        self.missing += int(counts[absent].sum())
        for place in np.flatnonzero(signs).tolist():
            word = trimmed[place].as_py()
            self.signs[word] = self.signs.get(word, 0) + int(counts[place])
        rest = ~(absent | signs)
        cells, counts = trimmed.filter(pa.array(rest)), counts[rest]
        if len(cells) == 0:
            return
        self.first = cells[0].as_py() if self.first is None else self.first
        plain = pc.match_substring_regex(cells, _PLAIN[self.decimal])
        self.plain &= bool(pc.all(plain).as_py())
        if self.alive and not self.plain:
            self.marked |= bool(
                pc.any(pc.match_substring_regex(cells.filter(pc.invert(plain)), r"^[^\pL]*\d[^\pL]*$")).as_py()
            )
        for one in self.candidates:
            if one.alive:
                one.take(cells, counts)

    def left(self) -> list[Candidate]:
        """The forms that every cell is in; one where the others say the same."""
        found = [one for one in self.candidates if one.whole]
        numbers = [one for one in found if one.form.of == "numbers"]
        if numbers and self.plain:
            name = "decimal_point" if self.decimal == "." else "decimal_comma"
            return [one for one in numbers if one.form.name == name]
        times = [one for one in found if one.form.of == "times"]
        if numbers and {one.form.name for one in times} <= {"compact"}:
            return numbers
        return times or found

    def marks(self) -> dict[float, str]:
        """Numbers among the values that may stand for missing ones, as they are written."""
        return {mark: word for one in self.candidates if one.alive for mark, word in one.words.items()}

    def nearly(self) -> list[Candidate]:
        """The forms that nearly every cell is in, those with most of them first."""
        found = [
            one for one in self.candidates
            if one.alive and one.odd and one.fitting >= 2 and one.form.of != "true and false"
            and (one.fitting >= 10 * sum(one.odd.values()))
        ]  # fmt: skip
        return sorted(found, key=lambda one: (sum(one.odd.values()), one.form.name != "decimal_point"))

    def _has_rules_alone(self, one: Candidate) -> bool:
        """Whether dashes of three and more stand for the few numbers that are missing: no nought is written so."""
        few = sum(self.signs.values()) * _ENOUGH <= one.fitting
        return few and all(set(word) == {"-"} and len(word) > 2 for word in self.signs)

    def said_of_signs(self) -> str:
        """What a notice says of marks that were taken for missing values."""
        return "read as missing: " + ", ".join(f"{word!r} {count:,} times" for word, count in self.signs.items())

    def certain(self) -> Candidate | None:
        """The one form that leaves no doubt."""
        left = self.left()
        if len(left) != 1:
            return None
        (one,) = left
        if one.loose and not (one.form.name == "months" and self._dates and one.fitting >= _ENOUGH):
            return None
        if self.signs and not (one.form.of == "numbers" and self._has_rules_alone(one)):
            return None
        if one.form.of == "numbers" and not self.plain:
            listed = one.form.name == "decimal_comma" and (self.delimiter == "," or not pa.types.is_floating(one.kind))
            return None if one.affix is not None or listed else one
        return one


@dataclass(frozen=True, slots=True)
class Subject:
    """A column that may be looked at: its name in the source, and what its reader knows of the text."""

    source_name: str
    nulls: tuple[str, ...]
    decimal: str
    delimiter: str
    of: tuple[str, ...]
    words: bool
    is_filtered: bool = False  # rows are chosen by its values as they are read

    def glance(self, values: pa.Array) -> bool:
        """Whether some form may be the column's, by its first distinct values: most text needs a few of them."""
        for part in (values.slice(0, _FIRST), values):
            look = self.look()
            look.take(part, np.ones(len(part), np.int64))
            if look.lost:
                return False
        return look.alive

    def look(self) -> FormDetector:
        """A new look at it."""
        dates = says_date(self.source_name)
        return FormDetector(
            self.nulls, self.decimal, delimiter=self.delimiter, of=self.of, words=self.words, dates=dates
        )


def read_column(name: str, cells: pa.Array, kind: pa.DataType) -> pa.Array:
    """Cells of a column whose form is decided as ``kind``: what isn't in the form is a mark of a missing value."""
    return read_with_nulls(forms()[name], cells, _NO_MARKS).values.cast(kind)
