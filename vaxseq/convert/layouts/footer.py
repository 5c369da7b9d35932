"""Lines at the end of a text that are no rows: totals, remarks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def footer_start(content: bytes, lines: int) -> int:
    r"""Where the last ``lines`` lines begin, blank ones not counted.

    >>> footer_start(b"a\n1\nTotal\n\n", 1)
    4
    """
    at = len(content)
    for _ in range(lines):
        stop = len(content[:at].rstrip())
        at = content.rfind(b"\n", 0, stop) + 1
        if at == 0:
            return 0
    return at


def last_lines(content: bytes, lines: int) -> list[bytes]:
    """The last lines that aren't blank, the last one first."""
    return [line for line in reversed(content.splitlines()) if line.strip()][:lines]


def without_footer(chunks: Iterable[bytes], lines: int) -> Iterator[bytes]:
    """A stream without its last lines, which are known when it has ended."""
    held = b""
    for chunk in chunks:
        held += chunk
        cut = footer_start(held, lines + 1)  # the last line may go on
        if cut:
            yield held[:cut]
            held = held[cut:]
    if cut := footer_start(held, lines):
        yield held[:cut]
