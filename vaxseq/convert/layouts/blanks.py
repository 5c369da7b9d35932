"""Columns parted by runs of blanks, as programs print tables: each run becomes one tab."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from vaxseq.convert.layouts.head import is_rule

WHITESPACE = "whitespace"  # the option's value
_RUN = re.compile(rb"[ \t]+")
_EDGES = re.compile(rb"^[ \t]+|[ \t]+(?=\r?$)", re.MULTILINE)
_NUMBER = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?")
_VALUE = re.compile(rb"[-+0-9.eE:/]+")
_LEAST_SHARE = 0.95
_LINES = 200
_EVIDENCE = 10  # lines that must agree


def tabbed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    r"""The text with a tab for each run of blanks between fields, and none around a line.

    >>> b"".join(tabbed([b"  1  2", b"0 3\n4 5\t6 \n"]))
    b'1\t20\t3\n4\t5\t6\n'
    """
    held = b""
    for chunk in chunks:
        held += chunk
        cut = held.rfind(b"\n") + 1
        if cut:
            yield _RUN.sub(b"\t", _EDGES.sub(b"", held[:cut]))
            held = held[cut:]
    if held:
        yield _RUN.sub(b"\t", _EDGES.sub(b"", held))


def parted_by_blanks(head: bytes) -> int:
    """How many fields nearly all lines have when blanks part them; 0 where that tells nothing."""
    told = [line for line in head[: 1 << 16].splitlines() if line.strip() and line[:1] != b"#"][:_LINES]
    counts = [len(line.split()) for line in told]
    if len(counts) < 3:
        return 0
    width = Counter(counts).most_common(1)[0][0]
    places = [place for place, count in enumerate(counts) if count == width]
    most = next(
        (at for number, at in enumerate(places) if len(places) - number >= _LEAST_SHARE * (len(counts) - at)), 0
    )  # after a title
    lines = told[most:]
    numbers = [_VALUE.fullmatch(word) is not None for line in lines[1:] for word in line.split()]
    return width if width > 1 and len(lines) > 2 and sum(numbers) * 2 >= len(numbers) else 0


def surely_parted(head: bytes, width: int) -> bool:
    r"""Whether every line of the first ones has so many fields between blanks, and they are no groups of thousands.

    Lines above them may be others, if what is below are numbers for the most part; two fields are numbers, both.

    >>> surely_parted(b"1 2.5 3\n" * 20, 3), surely_parted(b"1 250 300\n" * 20, 3)
    (True, False)
    >>> surely_parted(b"113225.5  1237\n" * 20, 2), surely_parted(b"2021-01-01 00:00\n" * 20, 2)
    (True, False)
    """
    lines = [line.split() for line in head[: 1 << 16].splitlines()[:-1] if line.strip() and line[:1] != b"#"]
    lines = [words for words in lines if not is_rule([word.decode("latin-1") for word in words])]
    others = [place for place, words in enumerate(lines) if len(words) != width]
    start = others[-1] + 1 if others else 0
    rows = lines[start + 1 :]  # the first of them may be the names
    if width < 2 or len(rows) < _EVIDENCE:
        return False
    pattern = _NUMBER if width == 2 else _VALUE
    numbers = [pattern.fullmatch(word) is not None for words in rows for word in words]
    grouped = all(re.fullmatch(rb"\d{3}(?:[.,]\d+)?" if width == 2 else rb"\d{3}", word) for words in rows
                  for word in words[1:])  # fmt: skip
    enough = all(numbers) if width == 2 else not start or sum(numbers) * 2 > len(numbers)
    return enough and not grouped
