"""Exact counts of a column's distinct values, in bounded memory."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.errors import FitError
from vaxseq.expressions.values import Value
from vaxseq.features.learners.base import Learner, Rows

DISTINCT_VALUES = 1_000_000
_COMPACT_ROWS = 1 << 16
_DENSE_RANGE = 1 << 16

CategoryKind = Literal["text", "int", "bool", "float"]


def text_codes(array: pa.Array) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """Codes into distinct texts for each row, -1 where missing, and the texts (of a dictionary: as it stands)."""
    if isinstance(array, pa.DictionaryArray):
        if array.dictionary.null_count:
            array = array.cast(array.type.value_type).dictionary_encode()
    else:
        array = array.dictionary_encode()
    indices = array.indices
    if indices.null_count:
        indices = indices.fill_null(-1)
    codes: npt.NDArray[np.int64] = indices.to_numpy(zero_copy_only=False).astype(np.int64, copy=False)
    return codes, array.dictionary


class Counts(Learner):
    """How often each distinct value occurs; refuses more than ``limit`` of them, naming ``remedy``."""

    def __init__(self, remedy: str, limit: int = DISTINCT_VALUES) -> None:
        super().__init__()
        self.remedy = remedy
        self.limit = limit
        self.kind: CategoryKind | None = None
        self.tables: list[tuple[pa.Array, npt.NDArray[np.int64]]] = []
        self.pending = 0

    def update(self, value: Value, rows: Rows) -> None:
        self.rows += len(value)
        self.missing += self._count_block(value)

    def merge(self, other: Self) -> None:
        self._add_missing(other)
        if other.kind is not None:
            self._known_kind(other.kind)
            for values, counts in other.tables:
                self._put(values, counts)

    def finish(self) -> dict[str, Any]:
        """``values`` by count, then value, their ``counts``, and the number of ``rows``."""
        values, counts = self.ordered()
        return {"values": values, "counts": counts, "rows": self.rows, "missing": self.missing}

    def ordered(self) -> tuple[list[Any], list[int]]:
        """The distinct values, the most frequent first, equals in order of value; and their counts."""
        self._compact()
        if not self.tables:
            raise FitError("nothing to learn from: every training row is missing, or there is none")
        values, counts = self.tables[0]
        table = pa.table({"value": values, "count": counts})
        table = table.take(pc.sort_indices(table, sort_keys=[("count", "descending"), ("value", "ascending")]))
        found = table.column("value").to_pylist()
        return [bool(one) for one in found] if self.kind == "bool" else found, table.column("count").to_pylist()

    def _count_block(self, value: Value) -> int:
        """Counts one block and says how many rows were missing."""
        if isinstance(value.data, pa.Array):
            return self._count_text(value.data)
        data = value.data
        missing = value.is_missing()
        lost = int(np.count_nonzero(missing))
        if lost:
            data = data[~missing]
        kind: CategoryKind = {"b": "bool", "i": "int", "u": "int"}.get(data.dtype.kind, "float")  # type: ignore[assignment]
        self._known_kind(kind)
        if len(data):
            whole = data if data.dtype == np.uint64 else data.astype(np.int64, copy=False)
            self._count_numbers(data if kind == "float" else whole)
        return lost

    def _count_numbers(self, data: npt.NDArray[Any]) -> None:
        if data.dtype.kind in "iu":
            least = int(data.min())
            if int(data.max()) - least < _DENSE_RANGE:
                dense = np.bincount((data - data.dtype.type(least)).astype(np.int64, copy=False))
                found = np.flatnonzero(dense)
                self._put(pa.array(found.astype(data.dtype) + data.dtype.type(least)), dense[found])
                return
        else:
            data = data.astype(np.float64, copy=False) + 0.0  # -0.0 and 0.0 are one value
        counted = pc.value_counts(pa.array(data))
        self._put(counted.field("values"), counted.field("counts").to_numpy())

    def _count_text(self, array: pa.Array) -> int:
        self._known_kind("text")
        if isinstance(array, pa.DictionaryArray):
            codes, texts = text_codes(array)
            dense = np.bincount(codes + 1, minlength=len(texts) + 1)
            found = np.flatnonzero(dense[1:])
            self._put(texts.take(pa.array(found)), dense[1:][found])
            return int(dense[0])
        counted = pc.value_counts(array)
        values, counts = counted.field("values"), counted.field("counts").to_numpy()
        if not array.null_count:
            self._put(values, counts)
            return 0
        there = values.is_valid()
        self._put(values.filter(there), counts[there.to_numpy(zero_copy_only=False)])
        return int(array.null_count)

    def _known_kind(self, kind: CategoryKind) -> None:
        if self.kind is None:
            self.kind = kind
        elif self.kind != kind:
            raise FitError(f"a column's values changed their type between blocks; got {kind}, expected {self.kind}")

    def _put(self, values: pa.Array, counts: npt.NDArray[np.int64]) -> None:
        if len(values) == 0:
            return
        if self.kind == "text":
            values = values.cast(pa.large_string())
        self.tables.append((values, counts))
        self.pending += len(values)
        if len(self.tables) > 1 and self.pending > max(_COMPACT_ROWS, 2 * len(self.tables[0][0])):
            self._compact()

    def _compact(self) -> None:
        """One table of distinct values out of all; the first table is always the compacted one."""
        if len(self.tables) > 1:
            merged = (
                pa.table(
                    {
                        "value": pa.concat_arrays([values for values, _ in self.tables]),
                        "count": np.concatenate([counts for _, counts in self.tables]),
                    }
                )
                .group_by("value", use_threads=False)
                .aggregate([("count", "sum")])
            )
            values = merged.column("value").combine_chunks()
            self.tables = [(values, merged.column("count_sum").to_numpy())]
        self.pending = sum(len(values) for values, _ in self.tables)
        if self.pending > self.limit:
            raise FitError(f"more than {self.limit:,} distinct values. {self.remedy}")

    def __getstate__(self) -> dict[str, Any]:
        self._compact()
        return self.__dict__


class TokenCounts(Counts):
    """Counts of the parts of a delimited text column."""

    def __init__(self, delimiter: str, strip: bool, remedy: str, limit: int = DISTINCT_VALUES) -> None:
        super().__init__(remedy, limit)
        self.delimiter = delimiter
        self.strip = strip

    def _count_text(self, array: pa.Array) -> int:
        self._known_kind("text")
        codes, texts = text_codes(array)
        times = np.bincount(codes + 1, minlength=len(texts) + 1)
        parents, tokens = split_tokens(texts, self.delimiter, self.strip)
        table = pa.table({"value": tokens, "count": times[1:][parents]})
        table = (
            table.filter(pc.greater(table.column("count"), 0))
            .group_by("value", use_threads=False)
            .aggregate([("count", "sum")])
        )
        if table.num_rows:
            self._put(table.column("value").combine_chunks(), table.column("count_sum").to_numpy())
        return int(times[0])


def split_tokens(texts: pa.Array, delimiter: str, strip: bool) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """All tokens of the texts, and for each the text that it came from; empty tokens are left out."""
    lists = pc.split_pattern(texts.cast(pa.large_string()), delimiter)
    tokens = pc.list_flatten(lists)
    if strip:
        tokens = pc.utf8_trim_whitespace(tokens)
    there = pc.greater(pc.binary_length(tokens), 0)
    parents = pc.list_parent_indices(lists).filter(there).to_numpy(zero_copy_only=False)
    return parents.astype(np.int64, copy=False), tokens.filter(there)
