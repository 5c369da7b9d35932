"""Texts that are times: no step reads them, so they are named with what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vaxseq.frame import Source

_ROWS = 4096
_FEW = 5
_DATE = re.compile(r"\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})([T ,]|$)")


def text_times(source: Source, names: Sequence[str]) -> dict[str, str]:
    """Column -> why it is left out, of those of these text columns whose first rows all begin with a date."""
    found = {}
    for name, value in source.read(names, 0, min(_ROWS, source.n_rows)).items():
        texts = [text for text in value.data.to_pylist() if text is not None]
        if len(texts) >= _FEW and all(_DATE.match(text) for text in texts):
            remedy = "make times of it (pandas.to_datetime, polars' str.to_datetime, or convert)"
            found[name] = f"times that are text, as {texts[0].strip()[:32]!r}: {remedy}"
    return found
