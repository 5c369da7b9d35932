"""Steps of categories (text, integers, bool): codes and columns from learned values, exactly counted.

All of them meet Keras as codes: `encode` looks the values up in NumPy, and the layer takes it from there.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vaxseq.errors import FeatureTypeError, FitError
from vaxseq.expressions.values import Kind, Value
from vaxseq.features.learners.base import Learner
from vaxseq.features.learners.counts import Counts
from vaxseq.features.transforms.base import CATEGORIES, Apply, Learned, Missing, Step
from vaxseq.features.transforms.lookup import Lookup

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
MISSING_CODE = 0
UNSEEN_CODE = 1
FIRST_CODE = 2
ONE_HOT_WIDTH = 4096
_TABLE_CODES = 512  # so many rows of a one-hot table take 2 MB
_REMEDY = "Use the step hash, whose codes need no list of values."


class Category(Step):
    """What the steps of categories share."""

    accepts: ClassVar[frozenset[Kind]] = CATEGORIES
    missing_rule: ClassVar[Missing] = "handles"

    def check_kind(self, value: Value) -> None:
        if value.kind == "float":
            raise FeatureTypeError(
                f"step {self.name!r}: got a float column, expected categories (text, int or bool). "
                "Put {cast: int64} before it"
            )
        super().check_kind(value)
        if value.shape:
            raise FeatureTypeError(
                f"step {self.name!r}: got an array of shape {value.shape} per row, expected one category"
            )


class Limited(Category):
    """Categories that keep the most frequent values only."""

    max_size: Annotated[int, Field(ge=1)] | None = None
    min_count: Annotated[int, Field(ge=1)] = 1

    def learner(self) -> Learner | None:
        return _Frequent(self.max_size, self.min_count)

    def placeholder(self, value: Value) -> dict[str, Any]:
        return {"values": [], "counts": [], "distinct": 0}

    def codes(self, learned: Learned) -> Apply:
        """The lookup: 0 missing, 1 unseen, 2.. by count."""
        return Lookup(self.name, learned["values"], UNSEEN_CODE, FIRST_CODE, MISSING_CODE)


class Vocabulary(Limited):
    """Codes of the values seen in training: 0 missing, 1 unseen, 2.. by count, then value."""

    name: ClassVar[str] = "vocabulary"
    docs: ClassVar[str] = (
        "codes: 0 missing, 1 unseen, 2.. by count, then value; `max_size` values at most, of `min_count` rows or more"
    )
    learns: ClassVar[str] = "values, counts, distinct"
    width: ClassVar[str] = "1 (codes 0 .. values + 1)"
    on_missing: ClassVar[str] = "code 0"

    def compile(self, learned: Learned) -> Apply:
        return self.codes(learned)

    def encode(self, learned: Learned) -> Apply | None:
        return self.codes(learned)

    def keras(self, ops: Any, x: Any, learned: Learned) -> Any:
        return x


class OneHot(Limited):
    """One column for missing, one for unseen, then one for each value by count."""

    name: ClassVar[str] = "one_hot"
    docs: ClassVar[str] = (
        "columns of 0/1: missing, unseen, then each value by count; `missing_column`, `unseen_column` can be left out"
    )
    learns: ClassVar[str] = "values, counts, distinct"
    width: ClassVar[str] = "values + 2"
    on_missing: ClassVar[str] = "its own column; stays missing when that is left out"

    missing_column: bool = True
    unseen_column: bool = True

    @property
    def sees_missing(self) -> Missing:
        return "handles" if self.missing_column else "keeps"

    def learner(self) -> Learner | None:
        return _Frequent(self.max_size, self.min_count, ONE_HOT_WIDTH)

    def labels(self, learned: Learned) -> tuple[str, ...] | None:
        missing, unseen = ["missing"] if self.missing_column else [], ["unseen"] if self.unseen_column else []
        return tuple(str(one) for one in (*missing, *unseen, *learned["values"]))

    def compile(self, learned: Learned) -> Apply:
        codes, kept = self.codes(learned), self._kept(learned)
        size = len(learned["values"]) + FIRST_CODE
        if size <= _TABLE_CODES:
            table = self._rows(np.arange(size), kept)
            return lambda value: Value(np.take(table, codes(value).data, axis=0))
        return lambda value: Value(self._rows(codes(value).data, kept))

    def encode(self, learned: Learned) -> Apply | None:
        return self.codes(learned)

    def keras(self, ops: Any, x: Any, learned: Learned) -> Any:
        kept, size = self._kept(learned), len(learned["values"]) + FIRST_CODE
        codes = ops.cast(x, "int32")
        if size <= _TABLE_CODES:
            table = self._rows(np.arange(size), kept).astype(np.float32)
            return ops.take(ops.convert_to_tensor(table), codes, axis=0)
        codes = ops.expand_dims(codes, -1)
        found = ops.cast(ops.equal(codes, ops.convert_to_tensor(kept.astype(np.int32))), "float32")
        return found if self.missing_column else ops.where(ops.equal(codes, MISSING_CODE), float("nan"), found)

    def _kept(self, learned: Learned) -> Codes:
        """The code that each column stands for."""
        first = [code for code, has in ((MISSING_CODE, self.missing_column), (UNSEEN_CODE, self.unseen_column)) if has]
        return np.array([*first, *range(FIRST_CODE, FIRST_CODE + len(learned["values"]))], np.int64)

    def _rows(self, codes: Codes, kept: Codes) -> Floats:
        """A row of 0 and 1 for each code; of many values there is no table of them all, which would be huge."""
        rows = np.zeros((len(codes), len(kept)))
        place = codes - FIRST_CODE + len(kept) - (kept >= FIRST_CODE).sum()
        if self.missing_column:
            place[codes == MISSING_CODE] = 0
        if self.unseen_column:
            place[codes == UNSEEN_CODE] = int(self.missing_column)
        there = np.flatnonzero(place >= 0 if self.unseen_column else (place >= 0) & (codes != UNSEEN_CODE))
        rows[there, place[there]] = 1.0
        if not self.missing_column:
            rows[codes == MISSING_CODE] = np.nan
        return rows


class _Frequent(Counts):
    """The most frequent values and their counts; at most ``width`` of them when ``max_size`` doesn't say."""

    def __init__(self, max_size: int | None, min_count: int, width: int | None = None) -> None:
        super().__init__(_REMEDY)
        self.max_size = max_size
        self.min_count = min_count
        self.width = width

    def finish(self) -> dict[str, Any]:
        return frequent(self, self.max_size, self.min_count, self.width)


def frequent(counts: Counts, max_size: int | None, min_count: int, width: int | None) -> dict[str, Any]:
    """The learned values of a vocabulary out of its counts."""
    values, numbers = counts.ordered()
    distinct = len(values)
    size = sum(number >= min_count for number in numbers) if min_count > 1 else distinct
    if max_size is None and width is not None and size > width:
        raise FitError(
            f"{size:,} distinct values would make as many columns; at most {width:,} are made unasked. "
            "Set max_size, or use hash"
        )
    size = min(size, max_size or size)
    return {"values": values[:size], "counts": numbers[:size], "distinct": distinct}


class Frequency(Category):
    """The share of training rows that hold this value; 0 for unseen ones."""

    name: ClassVar[str] = "frequency"
    docs: ClassVar[str] = "share of training rows with this value, 0 when unseen"
    learns: ClassVar[str] = "values, counts, rows, missing"
    width: ClassVar[str] = "1"
    on_missing: ClassVar[str] = "the share of missing rows"

    def learner(self) -> Learner | None:
        return Counts(_REMEDY)

    def placeholder(self, value: Value) -> dict[str, Any]:
        return {"values": [], "counts": [], "rows": 1, "missing": 0}

    def compile(self, learned: Learned) -> Apply:
        codes, shares = self._codes(learned), self._shares(learned)
        return lambda value: Value(np.take(shares, codes(value).data))

    def encode(self, learned: Learned) -> Apply | None:
        return self._codes(learned)

    def keras(self, ops: Any, x: Any, learned: Learned) -> Any:
        return ops.take(ops.convert_to_tensor(self._shares(learned).astype(np.float32)), ops.cast(x, "int32"), axis=0)

    def _codes(self, learned: Learned) -> Apply:
        return Lookup(self.name, learned["values"], UNSEEN_CODE, FIRST_CODE, MISSING_CODE)

    def _shares(self, learned: Learned) -> Floats:
        counts = np.array([learned["missing"], 0, *learned["counts"]], dtype=np.float64)
        return np.asarray(counts / learned["rows"])
