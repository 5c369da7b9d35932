"""A file in an object store against its seal: streamed once, many ranges at a time, nothing kept."""

from __future__ import annotations

from collections.abc import Callable

import xxhash

from vaxseq.dataset import objects
from vaxseq.dataset.checksums import CHUNK_BYTES, Damage, damage
from vaxseq.dataset.objects import Range, read_ranges

_RANGE_BYTES = 16 * CHUNK_BYTES
_RANGES = 8  # at a time, which bounds the memory


def check_remote_seal(url: str, told: Callable[[int], None] | None = None) -> list[Damage] | None:
    """Every stretch of the file that differs from its seal, looked at twice; None where it has none.

    ``told`` hears of bytes that were read.

    Raises:
        SourceNotFoundError: nothing there.
        SourceError: the store doesn't give it.
    """
    size = objects.about(url).size

    def read(start: int, stop: int) -> bytes:
        return read_ranges([Range(url, start, stop)])[0] if start < stop else b""

    found = damage(read, size, url, lambda length: _chunks(url, length, told))
    if not found:
        return found
    again = damage(read, size, url, lambda length: _chunks(url, length, None))
    return again and [one for one in again if one in found]  # what went wrong on the way only isn't the file's


def _chunks(url: str, length: int, told: Callable[[int], None] | None) -> list[int]:
    sums: list[int] = []
    for first in range(0, length, _RANGES * _RANGE_BYTES):
        begins = range(first, min(first + _RANGES * _RANGE_BYTES, length), _RANGE_BYTES)
        for content in read_ranges([Range(url, at, min(at + _RANGE_BYTES, length)) for at in begins]):
            view = memoryview(content)
            sums += [xxhash.xxh3_64_intdigest(view[at : at + CHUNK_BYTES]) for at in range(0, len(view), CHUNK_BYTES)]
            if told is not None:
                told(len(content))
    return sums
