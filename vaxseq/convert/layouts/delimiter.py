"""Which byte parts the fields: the one by which the lines are of one width."""

from __future__ import annotations

import re
from collections import Counter

from vaxseq.convert.layouts.blanks import parted_by_blanks
from vaxseq.convert.layouts.evidence import EVIDENCE
from vaxseq.convert.layouts.head import is_value

_CANDIDATES = ";\t|,"  # in this order where they are equally good: a comma may be a decimal mark
_LINES = 100
_SEP = re.compile(rb"\s*\"?sep=(.)\"?[ \t]*\r?(?:\n|$)", re.IGNORECASE)


def told(head: bytes) -> tuple[str | None, int]:
    """The delimiter of a first line ``sep=;``, as spreadsheets write it, and that line's length."""
    found = _SEP.match(head)
    return (found[1].decode("latin-1"), found.end()) if found else (None, 0)


def sniff(head: bytes, path: str, quote: str | None) -> str:
    """The delimiter by which most of the first lines have the same width."""
    text = head[: 1 << 16]
    if quote:
        text = re.sub(
            re.escape(quote.encode()) + rb"[^" + re.escape(quote.encode()) + rb"\n]*" + re.escape(quote.encode()),
            b"",
            text,
        )
    lines = [line for line in text.splitlines()[:_LINES] if line.strip() and not line.startswith(b"#")]
    if path.rsplit(".", 1)[-1].lower() in ("tsv", "tab") and any(b"\t" in line for line in lines[:1]):
        return "\t"
    if not lines:
        return ","
    best, score = ",", (0.0, 0)
    commas = Counter(line.count(b",") for line in lines)
    always = len(commas) == 1 and max(commas) > 1  # by them all lines, the header too, are of one width
    for candidate in _CANDIDATES:
        counts = Counter(line.count(candidate.encode()) for line in lines)
        width, often = max(
            ((width, often) for width, often in counts.items() if width), key=lambda one: one[1], default=(0, 0)
        )
        steady = (often / len(lines), width)
        better = steady[0] > score[0] + 0.05 or (
            steady[0] > score[0] - 0.05 and steady[1] > score[1] and candidate != ","
        )
        if width == 1 and always and candidate.encode() not in lines[0]:
            continue  # it ends the rows
        if width and better:
            best, score = candidate, steady
    return best


def is_table(head: bytes) -> bool:
    r"""Whether text is a table and nothing else: more than half its lines are of one width, and those hold values.

    >>> is_table(b"# PIER\nt;v\n" + b"1;2.5\n" * 20), is_table(b"import re, sys\n" * 20)
    (True, False)
    """
    lines = [line for line in head.splitlines()[:-1] if line.strip()]
    if len(lines) <= EVIDENCE:
        return False
    if parted_by_blanks(head):
        return True
    mark = sniff(head, "", '"').encode()
    width, often = Counter(line.count(mark) for line in lines).most_common(1)[0]
    cells = [cell.decode("latin-1") for line in lines if line.count(mark) == width for cell in line.split(mark)]
    values = sum(is_value(cell.strip(' "')) for cell in cells)
    return width > 0 and often > EVIDENCE and often * 2 > len(lines) and values * 2 > len(cells)
