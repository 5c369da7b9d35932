"""Numbers with a decimal comma: 1.234,5 and 1 234,5 and 1'234,5."""

from __future__ import annotations

from vaxseq.convert.forms.written_numbers import WrittenNumbers


class DecimalComma(WrittenNumbers):
    """Points, blanks or apostrophes may part thousands."""

    name = "decimal_comma"
    says = "numbers with a decimal comma (1.234,5)"
    point, mark = ",", ","
    groups = (r"\.", " ", "'")
