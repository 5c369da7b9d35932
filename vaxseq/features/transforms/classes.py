"""Class targets: text or whole numbers as 0..K-1, their names kept in the state."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vaxseq.errors import FeatureTypeError, StateError
from vaxseq.expressions.values import Kind, Value
from vaxseq.features.learners.counts import Counts, text_codes
from vaxseq.features.transforms.base import CATEGORIES, Apply, Learned, Step

MAX_CLASSES = 100_000


class _ClassCounts(Counts):
    """Counts that come out in the order of the classes."""

    def ordered(self) -> tuple[list[Any], list[int]]:
        values, counts = super().ordered()
        pairs = sorted(zip(values, counts, strict=True))
        return [value for value, _ in pairs], [count for _, count in pairs]


class Classes(Step):
    """What ``classes: true`` does to a target: the classes of the training rows, sorted, are 0..K-1.

    A missing class stays missing. A class that no training row has is refused when it is met.
    """

    accepts: ClassVar[frozenset[Kind]] = CATEGORIES
    invertible: ClassVar[bool] = True

    def learner(self) -> _ClassCounts:
        """Counts the classes."""
        return _ClassCounts("Is it a class? Leave classes: true out for a number.", MAX_CLASSES)

    def placeholder(self, value: Value) -> dict[str, Any]:
        """No classes."""
        return {"values": []}

    def compile(self, learned: Learned) -> Apply:
        """Codes by search in the sorted classes."""
        classes = list(learned["values"])
        if any(isinstance(one, str) for one in classes):
            codes = {name: code for code, name in enumerate(classes)}
            return lambda value: _text(value, codes)
        numbers = np.array(classes, dtype=np.int64)
        return lambda value: _numbers(value, numbers)

    def inverse(self, array: npt.NDArray[Any], learned: Learned) -> npt.NDArray[Any]:
        """The classes of codes, shape (rows,), or of scores, shape (rows, K): the class with the highest."""
        classes = np.array(learned["values"])
        array = np.asarray(array)
        if array.ndim > 1 and array.shape[-1] == len(classes) > 1:
            array = array.argmax(axis=-1)
        codes = array.astype(np.int64)
        if codes.size and (codes.min() < 0 or codes.max() >= len(classes)):
            raise StateError(f"classes: got a code {codes.min()} to {codes.max()}, expected 0 to {len(classes) - 1}")
        return classes[codes]


# Set here and not in the class, so that a definition file can't name it as a step of a feature.
Classes.name = "classes"


def _text(value: Value, codes: dict[str, int]) -> Value:
    if not isinstance(value.data, pa.Array):
        raise FeatureTypeError(f"classes: got {value.kind}, expected text as in the training rows")
    rows, texts = text_codes(value.data)
    table = np.array([*(codes.get(text, -2) for text in texts.to_pylist()), -1], dtype=np.int64)  # the last is row -1
    found = table[rows]
    if (found == -2).any():
        raise _unseen(texts[int(rows[np.flatnonzero(found == -2)[0]])].as_py(), len(codes))
    missing = found == -1
    return Value(np.where(missing, 0, found), missing) if missing.any() else Value(found)


def _numbers(value: Value, classes: npt.NDArray[np.int64]) -> Value:
    if isinstance(value.data, pa.Array):
        if len(classes) == 0:
            return Value(np.zeros(len(value), np.int64))
        raise FeatureTypeError("classes: got text, expected whole numbers as in the training rows")
    data = value.data.astype(np.int64, copy=False)
    missing = value.missing if value.missing is not None and value.missing.any() else None
    found = np.searchsorted(classes, data)
    if len(classes) and len(data):
        wrong = classes.take(found, mode="clip") != data
        if missing is not None:
            wrong &= ~missing
            found = np.where(missing, 0, found)
        if wrong.any():
            raise _unseen(int(data[wrong][0]), len(classes))
    return Value(found, missing)


def _unseen(value: Any, known: int) -> StateError:
    return StateError(
        f"classes: got {value!r}, which isn't one of the {known} classes of the training rows. "
        "Fit on rows that have every class, or leave these rows out with where="
    )
