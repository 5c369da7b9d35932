"""Date and time in two columns as one, by the option ``time_from``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.convert.readers.base import BadRow, Parsed, Piece, Reader, Request, bad_option
from vaxseq.convert.readers.cell_parser import CellParser
from vaxseq.convert.readers.delegating import DelegatingReader
from vaxseq.convert.type_promotion import CATEGORY
from vaxseq.dataset.schema import type_name
from vaxseq.errors import ColumnNotFoundError, did_you_mean


class JoinedTimes(DelegatingReader):
    """The cells of some columns with a blank between them are one column's."""

    def __init__(self, reader: Reader, given: Any) -> None:
        super().__init__(reader)
        self._name, self._parts = _named(given, reader.schema_names(), reader.where)

    def schema_names(self) -> tuple[str, ...]:
        """The columns, the joined one in its first part's place."""
        names = [self._name if name == self._parts[0] else name for name in self._reader.schema_names()]
        return tuple(name for name in names if name not in self._parts[1:])

    def names(self) -> tuple[str, ...]:
        """The same."""
        return self.schema_names()

    def schema(self) -> pa.Schema:
        """Their types by the first rows."""
        known = self._reader.schema()
        cells = self._cells(self._reader.sample(), frozenset())[1]
        kind = self._how().kind(cells, self._reader.where)
        kind = CATEGORY if pa.types.is_string(kind) else kind
        return pa.schema([(one, kind if one == self._name else known.field(one).type) for one in self.schema_names()])

    def parse(self, piece: Piece, request: Request) -> Parsed:
        """The piece's rows, the parts joined."""
        if self._name not in request.columns:
            found: Parsed = self._reader.parse(piece, request)
            return found
        others = frozenset(name for name in request.columns if name != self._name)
        parsed, cells = self._cells(piece, others, request)
        kind = request.types[self._name]
        declared = self._name in request.declared
        values, wrong = self._how().read(cells, kind, f"{self._reader.where}: column {self._name!r}", declared=declared)
        origin = parsed.ordinals()
        parsed.bad += [
            BadRow(int(origin[row]), self._name, cells[row].as_py(), f"not a {type_name(values.type)}")
            for row in np.flatnonzero(wrong).tolist()
        ]
        columns = {name: values if name == self._name else parsed.table[name] for name in request.columns}
        table = pa.table(columns)
        return (
            Parsed(table.filter(pa.array(~wrong)), parsed.bad, origin[~wrong])
            if wrong.any()
            else Parsed(table, parsed.bad, parsed.origin)
        )

    def _cells(self, piece: Piece, others: frozenset[str], request: Request | None = None) -> tuple[Parsed, pa.Array]:
        """The piece's other columns, and the joined cells."""
        types = dict.fromkeys(self._parts, pa.string())
        declared = frozenset(self._parts)
        if request is not None:
            types |= {name: request.types[name] for name in others}
            declared |= request.declared & others
        parsed = self._reader.parse(piece, Request((*self._parts, *others), types, declared))
        parts = [pc.utf8_trim_whitespace(parsed.table[name].combine_chunks().cast(pa.string())) for name in self._parts]
        return parsed, pc.binary_join_element_wise(*parts, " ")

    def _how(self) -> CellParser:
        found: CellParser | None = self._reader.cell_parser(self._name)
        return found or CellParser(None, self._reader.nulls, self._reader.format)


def _named(given: Any, columns: Sequence[str], where: str) -> tuple[str, tuple[str, ...]]:
    """The new column's name and its parts."""
    name, parts = next(iter(given.items())) if isinstance(given, Mapping) and len(given) == 1 else (None, given)
    if not isinstance(parts, list | tuple) or len(parts) < 2:
        raise bad_option(where, "time_from", given, 'columns like ["Date", "Time"] or {"when": ["Date", "Time"]}')
    for part in parts:
        if part not in columns:
            raise ColumnNotFoundError(f"{where}: option time_from: no column {part!r}.{did_you_mean(part, columns)}")
    if name is None:
        name = "time" if "time" not in set(columns) - set(parts) else " ".join(parts)
    if name in set(columns) - set(parts):
        raise bad_option(where, "time_from", given, f"another name than {name!r}, which is a column's already")
    return str(name), tuple(parts)
