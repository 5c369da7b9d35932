"""Looking at bytes of delimited text: codes are found wherever a parser would take them for integers."""

from __future__ import annotations

import re

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from vaxseq.convert.readers import scan


@given(
    st.sampled_from(",;| \t"),
    st.sampled_from(['"', None]),
    st.sampled_from([5, 16, 1 << 16]),
    st.lists(st.sampled_from([*'0012379x- \t.:e,,,;;||"\r\n\n', "007", "-0x1", " 05 ", "+0"]), max_size=40).map(
        "".join
    ),
)
def test_codes_are_counted_as_a_regular_expression_would(delimiter, quote, tile, text) -> None:
    blank = "".join(one for one in " \t" if one != delimiter)
    code = re.compile(rf"[{blank}]*[+-]?0([xX].*|[0-9]+([{blank}].*)?)", re.DOTALL)
    fields = re.split(f"[{re.escape(delimiter + (quote or ''))}\r\n]", text)
    expected = sum(code.fullmatch(field) is not None for field in fields)
    dialect = scan.Dialect(ord(delimiter), ord(quote) if quote else None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "_TILE", tile)
        assert scan.count_codes(np.frombuffer(text.encode(), np.uint8), dialect) == expected
