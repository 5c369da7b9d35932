"""Memory for reads past the page cache: at a page's begin, nobody else's, and used again only when nobody has it."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from vaxseq.frame import pages
from vaxseq.frame.buffers import BufferPool
from vaxseq.frame.pages import PAGE, aligned_array, aligned_bytes, to_page


@pytest.mark.parametrize("size", [1, PAGE, 5 * PAGE + 7, 3 << 20, 9 << 20])
def test_it_begins_with_a_page_and_is_nobody_elses(size: int) -> None:
    parts = [aligned_bytes(size) for _ in range(4)]
    for number, part in enumerate(parts):
        assert part.shape == (size,)
        assert to_page(part) == 0
        part[...] = number
    for number, part in enumerate(parts):
        assert (part == number).all()


def test_a_pool_sees_that_a_part_of_it_is_held() -> None:
    pool = BufferPool(lambda size: [aligned_bytes(size)], 3 * PAGE, 2)
    held = pool.arrays(10)[0][2:5]
    assert not np.shares_memory(held, pool.arrays(10)[0])
    rows = BufferPool(lambda rows: [aligned_array((rows, 3), np.dtype(np.float32))], 3 * PAGE, 2)
    kept = rows.arrays(10)[0][2:5].reshape(-1)
    assert kept.dtype == np.float32
    assert not np.shares_memory(kept, rows.arrays(10)[0])


def test_it_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_arena", pages._Arena())
    part = aligned_bytes(5 << 20)
    whole = weakref.ref(pages._arena._left.obj)
    del part
    aligned_bytes(5 << 20)  # the next stretch
    gc.collect()
    assert whole() is None


def test_a_kernel_without_huge_pages_gives_others(monkeypatch: pytest.MonkeyPatch) -> None:
    class Plain(pages.mmap.mmap):
        def madvise(self, *given: int) -> None:
            raise OSError(pages.errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(pages.mmap, "mmap", Plain)
    assert to_page(aligned_bytes(20 << 20)) == 0
