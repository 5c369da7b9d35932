"""Orders are kept while they may be asked for again: of two epochs, however many there are; each is made once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from vaxseq.plan import shuffle
from vaxseq.plan.bijection import Bijection
from vaxseq.plan.order_cache import OrderCache
from vaxseq.plan.plan import BatchPlan


def test_a_long_training_keeps_the_orders_of_two_epochs() -> None:
    plan = BatchPlan(1000, 10, shuffle="global")
    cache = OrderCache(plan, 25)
    for epoch in range(50):
        for first in range(0, 100, 5):
            found = cache.batches(epoch, first, 5).positions
            np.testing.assert_array_equal(found, plan.positions(epoch, first, 5).positions)
    assert {epoch for epoch, _ in cache._blocks} == {48, 49}
    cache.block(3, 0)  # an earlier one is made again
    assert {epoch for epoch, _ in cache._blocks} == {49, 3}


def test_threads_that_begin_an_epoch_of_blocks_make_its_table_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Slow(Bijection):
        def __call__(self, start, stop):
            if self.n == 4000:
                made.append(self.key)
                time.sleep(0.05)
            return super().__call__(start, stop)

    monkeypatch.setattr(shuffle, "Bijection", Slow)
    plan = BatchPlan(4000, 10, shuffle="block", seed=2**61 + 1, block_items=1000, buffer_blocks=4)
    cache = OrderCache(plan, 100)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda number: cache.block(0, number).positions, range(4)))
    assert len(made) == 1
    np.testing.assert_array_equal(np.concatenate(found), plan.positions(0, 0, 400).positions)
