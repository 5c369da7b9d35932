"""Wide tables turned long: one column an hour or a date becomes one row each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from vaxseq.convert import type_inference
from vaxseq.convert.forms.detection import FormDetector, read_column
from vaxseq.convert.forms.suggestion import decide
from vaxseq.convert.type_promotion import cast_exactly, common_type, is_text
from vaxseq.errors import ColumnNotFoundError, OptionError, did_you_mean


@dataclass(frozen=True, slots=True)
class Melting:
    """``keep``: columns that stay; ``wide``: those that become rows, their names in ``names``, cells in ``values``."""

    keep: tuple[str, ...]
    wide: tuple[str, ...]
    names: str
    values: str

    @classmethod
    def of(cls, given: Any, columns: Sequence[str], where: str) -> Melting:
        """The option ``melt``: the columns to keep, or a mapping of ``keep``, ``names`` and ``values``.

        Raises:
            OptionError: something else.
            ColumnNotFoundError: a column to keep isn't there.
        """
        spec = dict(given) if isinstance(given, Mapping) else {"keep": given}
        keep = spec.get("keep", ())
        keep = (keep,) if isinstance(keep, str) else keep
        if set(spec) - {"keep", "names", "values"} or not isinstance(keep, list | tuple):
            raise OptionError(
                f"{where}: option melt; got {given!r}, expected the columns to keep, or a mapping of keep, names and "
                'values: {"keep": ["station"], "names": "hour", "values": "kwh"}.'
            )
        for name in keep:
            if name not in columns:
                raise ColumnNotFoundError(f"{where}: option melt: no column {name!r}.{did_you_mean(name, columns)}")
        names, values = str(spec.get("names", "name")), str(spec.get("values", "value"))
        wide = tuple(name for name in columns if name not in keep)
        if not wide or {names, values} & set(keep) or names == values:
            raise OptionError(f"{where}: option melt; got {given!r}, which leaves no columns or names one twice.")
        return cls(tuple(keep), wide, names, values)

    @property
    def columns(self) -> tuple[str, ...]:
        """The long table's columns."""
        return (*self.keep, self.names, self.values)

    def labels(self) -> pa.Array:
        """The wide columns' names as values: numbers or times where all of them are."""
        cells = pa.array(self.wide, pa.string())
        kind = type_inference.infer(cells, type_inference.TextFormat(), "melt")
        if not is_text(kind):
            return type_inference.convert(cells, kind, type_inference.TextFormat())
        look = FormDetector((), ".", delimiter="", of=("times",), words=False)
        look.take(cells, np.ones(len(cells), np.int64))
        decided = decide(look)
        return cells if decided is None else read_column(decided.form, cells, decided.kind)

    def kind(self, kinds: Sequence[pa.DataType]) -> pa.DataType | None:
        """The type that holds all wide columns' cells; None: only text would."""
        found: pa.DataType | None = pa.null()
        for one in kinds:
            found = None if found is None or is_text(one) else common_type(found, one)
        return None if found is None or is_text(found) else found

    def long(self, table: pa.Table, kind: pa.DataType, columns: Sequence[str]) -> pa.Table:
        """The rows of a wide table, each as many times as it has wide columns."""
        rows, width = table.num_rows, len(self.wide)
        found = {}
        repeated = pa.array(np.repeat(np.arange(rows), width))
        for name in columns:
            if name in self.keep:
                found[name] = table[name].take(repeated)
            elif name == self.names:
                found[name] = self.labels().take(pa.array(np.tile(np.arange(width), rows)))
            else:
                parts = [chunk for one in self.wide for chunk in _plain(table[one], kind).chunks]
                cells = pa.concat_arrays(parts) if parts else pa.array([], kind)
                order = (np.arange(width)[None, :] * rows + np.arange(rows)[:, None]).ravel()
                found[name] = cells.take(pa.array(order))
        return pa.table(found)


def _plain(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if is_text(kind):
        return column.cast(pa.string())
    return cast_exactly(column, kind, "melt")
