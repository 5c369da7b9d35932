"""What a read or write past the page cache has to keep to: whole pages of the file, and memory at a page's begin."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

PAGE = 4096  # what storage takes at once: this, or a part of it
PAST_CACHE = getattr(os, "O_DIRECT", 0)


def in_pages(size: int) -> int:
    """The bytes of all pages that so many bytes from a page's begin on lie in."""
    return -(-size // PAGE) * PAGE


def aligned_bytes(size: int) -> npt.NDArray[np.uint8]:
    """New memory of ``size`` bytes that begins with a page."""
    whole = np.empty(size + PAGE, np.uint8)
    first = to_page(whole)
    return whole[first : first + size]


def to_page(memory: npt.NDArray[np.uint8]) -> int:
    """How many bytes lie before the first page that begins in this memory."""
    return -int(memory.__array_interface__["data"][0]) % PAGE
