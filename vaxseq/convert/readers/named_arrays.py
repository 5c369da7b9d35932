"""Files of arrays: those of one length become the columns, and what else is there is told."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from vaxseq.convert.readers.base import Piece, TypedReader, Unit, bad_option
from vaxseq.convert.readers.nesting import check_distinct
from vaxseq.dataset.notice import Notice
from vaxseq.errors import SchemaError, SourceError, VaxseqError

_PIECE_BYTES = 32 << 20
_SHOWN = 5
DAMAGE = (
    OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError, MemoryError, OverflowError, IndexError,
    NotImplementedError, EOFError, pa.ArrowException,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StoredArray:
    """One array of a file: its rows as Arrow values, or the reason why it has none."""

    path: tuple[str, ...]
    rows: int
    kind: pa.DataType
    read: Callable[[int, int], pa.Array]
    row_bytes: int = 8
    unit: str | None = None
    reason: str | None = None


def refused(path: tuple[str, ...], rows: int, reason: str) -> StoredArray:
    """An array that can't be a column."""

    def read(start: int, stop: int) -> pa.Array:
        raise SchemaError(f"{'/'.join(path)}: rows {start} to {stop}: {reason}")

    return StoredArray(path, rows, pa.null(), read, reason=reason)


class ArraysReader(TypedReader):
    """A reader whose source holds named arrays; a subclass finds them."""

    options = {"rows": None}
    separator = "/"

    @abstractmethod
    def find(self) -> list[StoredArray]:
        """Opens the source and gives its arrays, in order.

        Raises:
            SourceError: it can't be read.
        """

    def __init__(self, source: Any, options: Mapping[str, Any]) -> None:
        super().__init__(source, options)
        asked = self.set["rows"]
        if asked is not None and (not isinstance(asked, int) or isinstance(asked, bool) or asked < 0):
            raise bad_option(self.where, "rows", asked, "the length of the arrays to take")
        try:
            every = self.find()
        except DAMAGE as error:
            if isinstance(error, VaxseqError):
                raise
            raise SourceError(
                f"{self.where}: can't read the file: {error}. It is damaged, or of another kind."
            ) from error
        if not every:
            raise SourceError(f"{self.where}: no arrays with rows found in the file.{self.hint()}")
        self._rows = asked if asked is not None else _common_length(every)
        taken = [one for one in every if one.rows == self._rows]
        if not taken:
            lengths = {self.separator.join(one.path): one.rows for one in every}
            raise bad_option(self.where, "rows", asked, f"the length of one of the arrays, {lengths}")
        self.left_out = [one for one in every if one.rows != self._rows]
        self._columns = {self.separator.join(name): one for name, one in _named(taken)}
        check_distinct([self.separator.join(name) for name, _ in _named(taken)], self.where)
        self._schema = pa.schema([(name, one.kind) for name, one in self._columns.items()])

    def hint(self) -> str:
        """What may help where nothing is found."""
        return ""

    def schema(self) -> pa.Schema:
        return self._schema

    @property
    def notices(self) -> list[Notice]:
        """What was left out beside the arrays of one length."""
        if self.set["rows"] is not None:
            return []
        found = []
        for rows in dict.fromkeys(one.rows for one in self.left_out):
            names = [self.separator.join(one.path) for one in self.left_out if one.rows == rows]
            shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} others" if len(names) > _SHOWN else "")
            text = (
                f"{shown} ({rows} rows) left out beside {', '.join(list(self._columns)[:_SHOWN])} ({self._rows} rows)"
            )
            found.append(Notice(None, text, (), {"rows": rows}))
        return found

    def unreadable(self) -> Mapping[str, str]:
        return {name: one.reason for name, one in self._columns.items() if one.reason is not None}

    def column_units(self) -> dict[str, str]:
        """Units of columns, as the file tells them."""
        return {name: one.unit for name, one in self._columns.items() if one.unit}

    def units(self, index: int) -> Iterator[Unit]:
        row_bytes = sum(one.row_bytes for one in self._columns.values()) or 1
        size = int(min(max(_PIECE_BYTES // row_bytes, 1), 1 << 20))
        for start in range(0, self._rows, size):
            yield Unit(index, start, min(start + size, self._rows))

    def pieces(self, unit: Unit, skip: int = 0) -> Iterator[Piece]:
        if skip:
            return
        names = self._columns if self.chosen is None else [name for name in self._columns if name in self.chosen]
        try:
            columns = {name: self._columns[name].read(unit.start, unit.stop) for name in names}
        except DAMAGE as error:
            if isinstance(error, VaxseqError):
                raise
            raise SourceError(
                f"{self.where}: rows {unit.start} to {unit.stop}: {error}. The file is damaged."
            ) from error
        yield Piece(pa.table(columns), unit.start)

    def estimate_bytes(self) -> int:
        return self._rows * sum(one.row_bytes for one in self._columns.values())


def _common_length(every: Sequence[StoredArray]) -> int:
    """The length that most readable arrays have; of two, that of the first array."""
    counts = Counter(one.rows for one in every if one.reason is None) or Counter(one.rows for one in every)
    most = max(counts.values())
    return next(one.rows for one in every if counts[one.rows] == most)


def _named(taken: Sequence[StoredArray]) -> list[tuple[tuple[str, ...], StoredArray]]:
    """Paths without the groups that all of them share."""
    shared = 0
    while all(len(one.path) > shared + 1 for one in taken) and len({one.path[shared] for one in taken}) == 1:
        shared += 1
    return [(one.path[shared:], one) for one in taken]
