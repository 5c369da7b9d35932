"""Orders are kept while they may be asked for again: of two epochs, however many there are."""

from __future__ import annotations

import numpy as np

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
