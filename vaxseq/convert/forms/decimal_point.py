"""Numbers with a decimal point: 1,234.5 and 1 234.5 and 1'234.5."""

from __future__ import annotations

from vaxseq.convert.forms.written_numbers import WrittenNumbers


class DecimalPoint(WrittenNumbers):
    """Commas, blanks or apostrophes may part thousands."""

    name = "decimal_point"
    says = "numbers with a decimal point (1,234.5)"
    point, mark = r"\.", "."
    groups = (",", " ", "'")
