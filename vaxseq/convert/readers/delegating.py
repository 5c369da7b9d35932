"""A reader whose columns are made otherwise by an option; the rest is the reader's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

from vaxseq.convert.readers.base import Reader, Unit


class DelegatingReader:
    """Passes on whatever has nothing to do with columns."""

    def __init__(self, reader: Reader) -> None:
        self._reader: Any = reader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def units(self, index: int) -> Iterator[Unit]:
        """The reader's units."""
        found: Iterator[Unit] = self._reader.units(index)
        return found

    def last_rows(self, rows: int) -> list[dict[str, str]]:
        """None: a row of the file is no row here."""
        return []
