"""A text column whose form or marks of missing values were named: read cell by cell by them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.convert import type_inference
from vaxseq.convert.forms import forms
from vaxseq.convert.forms.base import read_with_nulls
from vaxseq.convert.type_promotion import CATEGORY, common_type, is_text


@dataclass(frozen=True, slots=True)
class CellParser:
    """How one column is written."""

    form: str | None
    nulls: tuple[str, ...]
    how: type_inference.TextFormat
    words: tuple[str, ...] = ()  # beside them in a column that is no text: None, NAN

    def kind(self, cells: pa.Array, where: str) -> pa.DataType:
        """The smallest type of these cells."""
        if self.form is None:
            kind = type_inference.infer(self._present(cells), self.how, where)
            return type_inference.infer(self._present(cells, words=False), self.how, where) if is_text(kind) else kind
        found = read_with_nulls(forms()[self.form], self._present(cells), pa.array([], pa.string()))
        return found.values.type if not found.wrong.all() else pa.null()

    def unit(self, cells: pa.Array) -> str | None:
        """The unit that numbers in a form carry."""
        if self.form is None or forms()[self.form].of != "numbers":
            return None
        affix = read_with_nulls(forms()[self.form], self._present(cells), pa.array([], pa.string())).affix
        return affix if affix is not None and affix.strip(");") else None

    def read(
        self, cells: pa.Array, known: pa.DataType, where: str, *, declared: bool
    ) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
        """Values of ``known`` or of a type above it, and which cells don't fit."""
        written, cells = cells, self._present(cells)
        if declared and is_text(known):
            return type_inference.parse(self._present(written, words=False), known, self.how)
        if self.form is None:
            wider = known if declared else common_type(known, type_inference.infer(cells, self.how, where))
            if wider is None or is_text(wider):
                return type_inference.parse(self._present(written, words=False), CATEGORY, self.how)
            return type_inference.parse(cells, wider, self.how)
        found = read_with_nulls(forms()[self.form], cells, pa.array([], pa.string()))
        kind = known if declared else common_type(pa.null() if is_text(known) else known, found.values.type)
        if kind is None:  # a time with a zone among times without
            return pa.nulls(len(cells), known), np.asarray(cells.is_valid())
        values = found.values.cast(kind, safe=False)
        if declared and not pa.types.is_null(found.values.type):
            back = values.cast(found.values.type, safe=False)
            exact = pc.fill_null(pc.equal(back, found.values), True)
            if not (pa.types.is_floating(kind) and pa.types.is_floating(found.values.type)):
                found.wrong |= ~np.asarray(exact)
        return pc.if_else(pa.array(found.wrong), pa.scalar(None, kind), values), found.wrong

    def _present(self, cells: pa.Array, *, words: bool = True) -> pa.Array:
        """The cells without those that are marks, whatever blanks stand around them, as text or as a number."""
        return type_inference.without_marks(cells, (*self.nulls, *self.words) if words else self.nulls)
