"""Values to codes, a block at a time: each distinct value of a block is looked up once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.errors import FeatureTypeError
from vaxseq.expressions.values import Value
from vaxseq.features.learners.counts import text_codes

Codes = npt.NDArray[np.int64]
_FEW_ROWS = 64  # below it a dict is faster than building Arrow's hash table
_TABLE_RANGE = 1 << 20


class Lookup:
    """A function from a block of categories to int64 codes: first + place in ``values``, or unseen, or missing."""

    def __init__(self, step: str, values: list[Any], unseen: int, first: int, missing: int) -> None:
        self.step = step
        self.unseen = unseen
        self.first = first
        self.missing = missing
        self.size = len(values)
        self.is_text = bool(values) and isinstance(values[0], str)
        self.codes: dict[Any, int] = {value: first + place for place, value in enumerate(values)}
        self._last: tuple[tuple[Any, ...], pa.Array, Codes] | None = None
        if self.is_text:
            self.texts = pa.array(values, pa.large_string())
        else:
            # beyond int64 a number stands by its bits, which only another uint64 can share with it
            self.beyond = any(isinstance(value, int) and value >= 2**63 for value in values)
            bits = [value - 2**64 if isinstance(value, int) and value >= 2**63 else value for value in values]
            self._prepare_numbers(np.array(bits, dtype=np.int64))

    def __call__(self, value: Value) -> Value:
        if value.kind == "text":
            if self.size and not self.is_text:
                raise FeatureTypeError(
                    f"step {self.step!r}: learned from numbers, but got text. Fit again on this data"
                )
            return Value(self._text(value.data))
        if self.is_text:
            raise FeatureTypeError(
                f"step {self.step!r}: learned from text, but got {value.kind}. Fit again on this data"
            )
        return Value(self._numbers(value))

    def _text(self, array: pa.Array) -> Codes:
        if len(array) <= _FEW_ROWS:
            get, unseen, missing = self.codes.get, self.unseen, self.missing
            return np.array([missing if one is None else get(one, unseen) for one in array.to_pylist()], dtype=np.int64)
        if not isinstance(array, pa.DictionaryArray):
            codes = self._find(array)
            if array.null_count:
                codes[np.asarray(array.is_null().to_numpy(zero_copy_only=False))] = self.missing
            return codes
        places, texts = text_codes(array)
        table = self._table_of(texts)
        return np.take(table, places)  # place -1, missing, is the table's last entry

    def _table_of(self, texts: pa.Array) -> Codes:
        """Code of each text of a dictionary, then the code of missing; kept while the dictionary stays the same."""
        buffers = tuple(None if buffer is None else (buffer.address, buffer.size) for buffer in texts.buffers())
        key = (texts.offset, len(texts), *buffers)
        last = self._last
        if last is not None and last[0] == key:
            return last[2]
        table = np.append(self._find(texts), self.missing)
        self._last = (key, texts, table)  # holding the dictionary keeps its address from being used again
        return table

    def _find(self, array: pa.Array) -> Codes:
        if not self.size:
            return np.full(len(array), self.unseen, dtype=np.int64)
        places = pc.index_in(array.cast(pa.large_string()), value_set=self.texts, skip_nulls=True)
        there = places.is_valid()
        found: Codes = places.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64) + self.first
        if places.null_count:
            found[~np.asarray(there.to_numpy(zero_copy_only=False))] = self.unseen
        return found

    def _prepare_numbers(self, values: Codes) -> None:
        order = np.argsort(values)
        self.ordered = values[order]
        self.places = order.astype(np.int64) + self.first
        self.table: Codes | None = None
        if len(values) and int(self.ordered[-1]) - int(self.ordered[0]) < _TABLE_RANGE:
            least, greatest = int(self.ordered[0]), int(self.ordered[-1])
            self.table = np.full(greatest - least + 3, self.unseen, dtype=np.int64)  # one more at each end: outside
            self.table[self.ordered - least + 1] = self.places
            self.edges = (max(least - 1, -(2**63)), min(greatest + 1, 2**63 - 1), least)

    def _numbers(self, value: Value) -> Codes:
        data = value.data
        if data.dtype == np.uint64 and self.beyond:
            codes = self._find_numbers(np.ascontiguousarray(data).view(np.int64))
        elif data.dtype == np.uint64:
            beyond = data > np.uint64(2**63 - 1)
            codes = self._find_numbers(np.where(beyond, 0, data).astype(np.int64))
            codes[beyond] = self.unseen
        else:
            data = data.astype(np.int64, copy=False)
            codes = self._find_numbers(data)
            if self.beyond:
                codes[data < 0] = self.unseen
        if value.missing is not None:
            codes[value.missing] = self.missing
        return codes

    def _find_numbers(self, data: Codes) -> Codes:
        if not self.size:
            return np.full(len(data), self.unseen, dtype=np.int64)
        if (
            self.table is not None
            and self.edges[0] < self.edges[2]
            and self.edges[1] - self.edges[2] + 1 < len(self.table)
        ):
            low, high, least = self.edges
            return np.take(self.table, np.clip(data, low, high) - (least - 1))
        places = np.searchsorted(self.ordered, data).clip(max=self.size - 1)
        return np.where(self.ordered[places] == data, self.places[places], self.unseen)
