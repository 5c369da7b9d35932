"""Columns parted by runs of blanks, as programs print tables: each run becomes one tab."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

WHITESPACE = "whitespace"  # the option's value
_RUN = re.compile(rb"[ \t]+")
_EDGES = re.compile(rb"^[ \t]+|[ \t]+(?=\r?$)", re.MULTILINE)
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
    counts = [len(line.split()) for line in head[: 1 << 16].splitlines()[:_LINES] if line.strip()]
    if len(counts) < 3:
        return 0
    width = Counter(counts).most_common(1)[0][0]
    places = [place for place, count in enumerate(counts) if count == width]
    most = next(
        (at for number, at in enumerate(places) if len(places) - number >= _LEAST_SHARE * (len(counts) - at)), 0
    )  # after a title
    lines = [line for line in head[: 1 << 16].splitlines()[:_LINES] if line.strip()][most:]
    numbers = [re.fullmatch(rb"[-+0-9.eE:/]+", word) is not None for line in lines[1:] for word in line.split()]
    return width if width > 1 and len(lines) > 2 and sum(numbers) * 2 > len(numbers) else 0


def surely_parted(head: bytes, width: int) -> bool:
    r"""Whether every line of the first ones has so many fields between blanks, and they are no groups of thousands.

    >>> surely_parted(b"1 2.5 3\n" * 20, 3), surely_parted(b"1 250 300\n" * 20, 3)
    (True, False)
    """
    lines = [line.split() for line in head[: 1 << 16].splitlines()[:-1] if line.strip() and line[:1] != b"#"]
    grouped = all(re.fullmatch(rb"\d{3}", word) for words in lines[1:] for word in words[1:])
    return width > 2 and len(lines) > _EVIDENCE and all(len(words) == width for words in lines) and not grouped
