"""What numbers of both decimal marks share: groups of three digits, units and currencies around them."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.convert.forms.affixes import strip
from vaxseq.convert.forms.base import Form, Reading, nothing_of
from vaxseq.convert.type_promotion import EXACT_INTEGER


class WrittenNumbers(Form):
    """A number as people write it. Leading zeros are a code's, not a number's."""

    of = "numbers"
    point: ClassVar[str]  # the decimal mark, for a pattern
    mark: ClassVar[str]
    groups: ClassVar[tuple[str, ...]]  # what may part thousands, for a pattern

    def read(self, cells: pa.Array) -> Reading:
        found = strip(cells)
        if not found.fits.any():
            return nothing_of(cells)
        grouped = [rf"[1-9]\d{{0,2}}(?:{one}\d{{3}})+" for one in self.groups]
        whole_part = "(?:" + "|".join([r"0|[1-9]\d*", *grouped]) + ")"
        shaped = pc.match_substring_regex(found.digits, rf"^(?:{whole_part}(?:{self.point}\d*)?|\d*{self.point}\d+)$")
        fits = found.fits & np.asarray(shaped)
        digits = pc.replace_substring_regex(found.digits, "|".join(self.groups), "")
        if self.mark != ".":
            digits = pc.replace_substring(digits, self.mark, ".")
        digits = pc.binary_join_element_wise(digits, found.exponents, "")
        digits = pc.if_else(pa.array(found.negative), pc.binary_join_element_wise("-", digits, ""), digits)
        digits = pc.if_else(pa.array(fits), digits, "0")
        values = digits.cast(pa.float64())
        fits &= ~np.asarray(pc.is_inf(values))
        whole = ~np.asarray(pc.match_substring_regex(digits, r"[.e]"))
        if whole[fits].all():
            short = np.asarray(pc.utf8_length(digits)) <= 19
            digits = pc.if_else(pa.array(fits & short), digits, "0")
            large = np.asarray(pc.greater(pc.abs(values), float(2**62)))
            fits &= short & ~large
            values = pc.if_else(pa.array(fits), digits, "0").cast(pa.int64())
        else:  # whole numbers that a float64 would round stay as they were written
            fits &= ~(whole & np.asarray(pc.greater_equal(pc.abs(values), float(EXACT_INTEGER))))
        values = pc.if_else(pa.array(fits), values, pa.scalar(None, values.type))
        return Reading(values, ~fits, found.affix if fits.any() else None, found.dressed)
