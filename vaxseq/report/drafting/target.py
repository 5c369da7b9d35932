"""What a target is: a number, yes or no, or classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from vaxseq.errors import OptionError
from vaxseq.expressions.values import Value
from vaxseq.report.column import ColumnSummary
from vaxseq.report.drafting import writing
from vaxseq.report.drafting.words import word
from vaxseq.report.formatting import number, share
from vaxseq.report.pairs import numbers

_MOST_CLASSES = 64


@dataclass(frozen=True)
class Answer:
    """A target's lines in the draft; ``words`` are its classes where they are text."""

    lines: tuple[str, ...]
    words: tuple[str, ...] = ()

    def codes(self, value: Value) -> Value:
        """Its values as numbers, NaN where missing: what leaking_columns are looked for in."""
        if not isinstance(value.data, pa.Array):
            return Value(numbers(value).astype(np.float64))
        import pyarrow.compute as pc

        texts = value.data.cast(pa.large_string())
        found = pc.index_in(texts, value_set=pa.array(sorted(self.words), pa.large_string()))
        return Value(np.asarray(found.to_numpy(zero_copy_only=False), np.float64))


def answer_of(one: ColumnSummary, column: str | None, text: str) -> Answer:
    """The target of a column, or of an expression.

    Raises:
        OptionError: it never changes, or is an array or a time.
    """
    where = f"draft target {text!r}"
    if one.shape or one.is_time:
        raise OptionError(f"{where}: got {one.type or one.kind}, expected numbers, text or a condition.")
    if one.distinct.estimate < 2:
        raise OptionError(f"{where}: it has no two values to tell apart. Choose another, or look at vaxseq explore.")
    name = word(column) if column else "target"
    parts: dict[str, Any] = {"column": column} if column else {"expr": text}
    values, words = one.distinct.estimate, ()
    if one.kind == "text":
        if values > 4096:
            raise OptionError(f"{where}: {values:,} different texts are too many to be classes.")
        words = tuple(value for value, _ in one.top(values))
        parts["classes"] = True
        why = f"{values} classes; {_commonest(one)}"
    elif values == 2:
        parts["dtype"] = "float32"
        why = f"two values; {_commonest(one)}"
        if not (one.kind == "bool" or (one.min == 0 and one.max == 1)):
            parts["steps"] = ["min_max"]
            why += "; as 0 and 1"
    elif one.kind == "int" and values <= _MOST_CLASSES and float(one.max or 0) - float(one.min or 0) < 2 * values:
        parts["classes"] = True
        why = f"{values} whole numbers as classes; if more means more, write dtype: float32 in place of classes"
    else:
        parts |= {"dtype": "float32", "steps": ["standardize"]}
        why = f"a number from {number(one.moment(one.min))} to {number(one.moment(one.max))}"
    if one.missing:
        why += f'; {share(one.missing / one.rows)} missing: on_missing="drop" leaves these rows out'
    return Answer(tuple(writing.mapping("targets", {name: writing.flow(parts)}, {name: why})), words)


def _commonest(one: ColumnSummary) -> str:
    value, count = one.top(1)[0]
    return f"{number(value)} in {share(count / max(1, one.count))}"
