"""Any reader's table turned long, by the option ``melt``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from vaxseq.convert.forms.detection import Subject
from vaxseq.convert.layouts.melting import Melting
from vaxseq.convert.readers.base import Parsed, Piece, Reader, Request
from vaxseq.convert.readers.delegating import DelegatingReader
from vaxseq.convert.type_promotion import CATEGORY, is_text
from vaxseq.dataset.notice import Notice


class Melted(DelegatingReader):
    """A reader as its long table."""

    def __init__(self, reader: Reader, given: Any) -> None:
        super().__init__(reader)
        self._melting = Melting.of(given, reader.schema_names(), reader.where)

    @property
    def notices(self) -> list[Notice]:
        """What the reader noticed of the layout; numbers as names are why it is melted."""
        found = getattr(self._reader, "notices", [])
        return [one for one in found if set(one.options) != {"header"}]

    def schema_names(self) -> tuple[str, ...]:
        """The long table's columns."""
        return self._melting.columns

    def names(self) -> tuple[str, ...]:
        """The same."""
        return self._melting.columns

    def schema(self) -> pa.Schema:
        """Their types by the first rows."""
        wide = self._reader.schema()
        kind = self._melting.kind([wide.field(name).type for name in self._melting.wide])
        fields = [(name, wide.field(name).type) for name in self._melting.keep]
        values = (self._melting.values, CATEGORY if kind is None else kind)
        return pa.schema([*fields, (self._melting.names, self._melting.labels().type), values])

    def column_units(self) -> dict[str, str]:
        """Units of the columns that stay, and of the values where all wide columns have the same."""
        found = self._reader.column_units() if self._reader.is_text else {}
        kept = {name: unit for name, unit in found.items() if name in self._melting.keep}
        wide = {found.get(name) for name in self._melting.wide}
        unit = wide.pop() if len(wide) == 1 else None
        return kept if unit is None else {**kept, self._melting.values: unit}

    def subject(self, name: str) -> Subject:
        """What a second look at the column has to know."""
        found: Subject = self._reader.subject(name if name in self._melting.keep else self._melting.wide[0])
        return found

    def parse(self, piece: Piece, request: Request) -> Parsed:
        """The piece's rows, turned long."""
        melting, reader = self._melting, self._reader
        asked = request.types.get(melting.values, pa.null())
        wide = melting.wide if melting.values in request.columns else melting.wide[:1]
        kept = tuple(name for name in melting.keep if name in request.columns)
        types = {**{name: request.types[name] for name in kept}, **dict.fromkeys(wide, asked)}
        declared = frozenset(name for name in kept if name in request.declared)
        if melting.values in request.declared:
            declared |= set(wide)
        parsed = reader.parse(piece, Request((*kept, *wide), types, declared))
        kind = melting.kind([parsed.table[name].type for name in wide])
        if kind is None and not all(is_text(parsed.table[name].type) for name in wide):
            types |= dict.fromkeys(wide, CATEGORY)
            parsed = reader.parse(piece, Request((*kept, *wide), types, declared))
        origin = np.repeat(parsed.ordinals(), len(melting.wide))
        table = melting.long(parsed.table, pa.string() if kind is None else kind, request.columns)
        return Parsed(table, parsed.bad, origin)
