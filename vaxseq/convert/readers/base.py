"""What every reader is: a source as units, a unit as bounded pieces, a piece as a table and its bad rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vaxseq.convert import storage
from vaxseq.dataset.schema import type_name
from vaxseq.errors import OptionError, SchemaError


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from: a file, or an object in memory. Picklable when it is a file."""

    name: str
    format: str
    path: str | None = None
    data: Any = field(default=None, compare=False)
    partitions: tuple[tuple[str, str], ...] = ()
    is_guess: bool = field(default=False, compare=False)  # the format, told by the content

    @property
    def restartable(self) -> bool:
        """Whether it can be read again from where a run stopped."""
        return self.path is not None or bool(getattr(self.data, "restartable", False))


@dataclass(frozen=True, slots=True)
class Unit:
    """A range of one source in the reader's measure (bytes, row groups, rows): work to be done again or skipped."""

    source: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Piece:
    """A bounded part of a unit before it is parsed: bytes of text, or a table. ``start`` is in the source's measure."""

    raw: Any
    start: int
    first_line: int | None = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that doesn't fit. ``row`` is its ordinal in the piece."""

    row: int
    column: str | None
    value: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Request:
    """What to read: column names of the source, their types as known so far, and which of these are demanded."""

    columns: tuple[str, ...]
    types: Mapping[str, pa.DataType]
    declared: frozenset[str] = frozenset()


@dataclass(slots=True)
class Parsed:
    """Rows of a piece. ``origin`` gives each row's ordinal in the piece; None when no row is missing."""

    table: pa.Table
    bad: list[BadRow] = field(default_factory=list)
    origin: npt.NDArray[np.int64] | None = None

    def ordinals(self) -> npt.NDArray[np.int64]:
        """Each row's ordinal in the piece."""
        return np.arange(self.table.num_rows) if self.origin is None else self.origin


class Reader(ABC):
    """One source, open. A subclass is one format; it is found by its name or its suffixes."""

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]] = ()
    options: ClassVar[Mapping[str, Any]] = {}
    is_text: ClassVar[bool] = False  # types must be inferred, and every value can be read again as text
    splittable = True
    takes_folders: ClassVar[bool] = False  # a folder is one source
    chosen: tuple[str, ...] | None = None  # the columns that will be asked for; None is all

    def __init__(self, source: Source, options: Mapping[str, Any]) -> None:
        self.source = source
        self.set = {key: options.get(key, default) for key, default in self.options.items()}

    @classmethod
    def stamp(cls, source: Source) -> tuple[int, bytes]:
        """The source's size, and bytes that change when it does; nothing for what can't be read twice."""
        return storage.stamp(source.path) if source.path is not None else (0, b"")

    @classmethod
    def content(cls, source: Source) -> bytes:
        """Bytes that are the same for a copy of the source; nothing where that can't be told."""
        return storage.content(source.path) if source.path is not None else b""

    @classmethod
    def check(cls, sources: Sequence[Source], options: Mapping[str, Any]) -> None:
        """Called once, before any of the sources is opened: refuses what can't be told by opening it.

        Raises:
            SourceError: naming the source.
        """
        return

    @property
    def where(self) -> str:
        """The source's name, as messages start."""
        return self.source.name

    @abstractmethod
    def schema(self) -> pa.Schema:
        """Columns in order; for text every type is the smallest that its first rows fit."""

    def schema_names(self) -> tuple[str, ...]:
        """Column names in order; cheaper than the types in a text source."""
        return tuple(self.schema().names)

    def choose(self, columns: tuple[str, ...]) -> None:
        """Says which columns will be asked for: others needn't be read, and may be unreadable."""
        self.chosen = columns

    def unreadable(self) -> Mapping[str, str]:
        """Columns of the schema that can't be read, and why; refused only when they are asked for."""
        return {}

    @abstractmethod
    def units(self, index: int) -> Iterator[Unit]:
        """The source cut into units, always in the same way; ``index`` is the source's number."""

    @abstractmethod
    def pieces(self, unit: Unit, skip: int = 0) -> Iterator[Piece]:
        """The unit's pieces after the first ``skip``, always cut in the same way."""

    @abstractmethod
    def parse(self, piece: Piece, request: Request) -> Parsed:
        """The piece's rows, each column of its requested type or, in a text source, of one above it."""

    def locate(self, piece: Piece, rows: list[int]) -> list[tuple[int, str]]:
        """(line or row number counted from 1, raw text) of rows of the piece."""
        first = piece.first_line if piece.first_line is not None else piece.start + 1
        return [(first + row, _shown(piece.raw.slice(row, 1))) for row in rows]

    def remedy(self, raw: str) -> dict[str, Any]:
        """The options that leave out the line of a bad row, and what belongs to it; empty where it is a row."""
        return {}

    def total_bytes(self) -> int:
        """Size of the source, as progress counts it."""
        return storage.size_of(self.source.path) if self.source.path else 0

    def estimate_bytes(self) -> int:
        """About how many bytes of dataset it makes."""
        return self.total_bytes()

    def close(self) -> None:
        """Lets go of the source."""
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _shown(row: Any) -> str:
    """One row as text; Python's times end with the year 9999, so Arrow writes them."""
    if isinstance(row, pa.Table):
        for index, field in enumerate(row.schema):
            if pa.types.is_timestamp(field.type) or pa.types.is_date(field.type):
                row = row.set_column(index, field.name, row.column(index).cast(pa.string()))
    return str(row.to_pylist()[0])


class TypedReader(Reader):
    """A reader whose pieces are tables already."""

    def parse(self, piece: Piece, request: Request) -> Parsed:
        return Parsed(piece.raw.select(list(request.columns)))


def bad_option(where: str, name: str, got: Any, expected: str, remedy: str = "") -> OptionError:
    """The error for an option's value."""
    return OptionError(f"{where}: option {name}; got {got!r}, expected {expected}.{' ' + remedy if remedy else ''}")


def unsupported(where: str, column: str, kind: pa.DataType, remedy: str) -> SchemaError:
    """The error for a column type that can't be converted."""
    return SchemaError(f"{where}: column {column!r}: type {type_name(kind)} can't be converted. {remedy}")
