"""ORC files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from vaxseq.convert import storage
from vaxseq.convert.readers import nesting
from vaxseq.convert.readers.base import Piece, Unit
from vaxseq.convert.readers.nesting import NestedReader
from vaxseq.errors import SourceError, SourceNotFoundError, VaxseqError

_ROWS = 1 << 18
_LOOK_ROWS = 1 << 14
_DAMAGE = (OSError, ValueError, KeyError, OverflowError, MemoryError, pa.ArrowException)


class OrcReader(NestedReader):
    """One unit a stripe."""

    name = "orc"
    suffixes = (".orc",)
    options = nesting.OPTIONS

    def __init__(self, source: Any, options: Mapping[str, Any]) -> None:
        super().__init__(source, options)
        from pyarrow import orc

        try:
            remote = storage.is_url(source.path)
            self._opened: Any = pa.PythonFile(storage.open_bytes(source.path), "r") if remote else source.path
            self._file = orc.ORCFile(self._opened)
            self._own = self._file.schema.remove_metadata()
        except FileNotFoundError as error:
            raise SourceNotFoundError(f"{self.where}: no such file. Check the path.") from error
        except _DAMAGE as error:
            if isinstance(error, VaxseqError):
                raise
            raise SourceError(f"{self.where}: can't read the ORC file: {error}. It is damaged or no ORC.") from error

    def nested_schema(self) -> pa.Schema:
        return self._own

    def look(self, names: list[str]) -> Iterator[pa.Table]:
        for stripe in range(self._file.nstripes):
            yield pa.Table.from_batches([self._file.read_stripe(stripe, names)]).slice(0, _LOOK_ROWS)

    def units(self, index: int) -> Iterator[Unit]:
        for stripe in range(self._file.nstripes):
            yield Unit(index, stripe, stripe + 1)

    def pieces(self, unit: Unit, skip: int = 0) -> Iterator[Piece]:
        try:
            batch = self._file.read_stripe(unit.start, self.own_columns())
        except _DAMAGE as error:
            raise SourceError(f"{self.where}: stripe {unit.start}: {error}. The file is damaged.") from error
        for number, start in enumerate(range(0, batch.num_rows, _ROWS)):
            if number >= skip:
                yield Piece(pa.Table.from_batches([batch.slice(start, _ROWS)]), start)
