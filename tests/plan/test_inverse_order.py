"""The order of an epoch backwards: each served item at the place where the batches have it, no other."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vaxseq.plan.bijection import Bijection
from vaxseq.plan.inverse_order import InverseOrder
from vaxseq.plan.plan import BatchPlan


@given(st.data())
def test_places_are_the_batches_laid_end_to_end(data):
    n, shards = data.draw(st.integers(1, 500)), data.draw(st.integers(1, 4))
    plan = BatchPlan(
        n,
        data.draw(st.integers(1, 60)),
        shuffle=data.draw(st.sampled_from([False, "global"])),
        seed=data.draw(st.integers(0, 99)),
        shard_index=data.draw(st.integers(0, shards - 1)),
        shard_count=shards,
        drop_remainder=data.draw(st.booleans()),
        pad=data.draw(st.booleans()),
        start_item=data.draw(st.integers(0, n)),
    )
    served = plan.positions(2, 0, plan.num_batches)
    ends = np.cumsum(served.sizes)
    real = [np.arange(end - size, end - size + count) for end, size, count in zip(ends, *served[1:], strict=True)]
    wanted = served.positions[np.concatenate([np.empty(0, np.int64), *real])]
    places = InverseOrder(plan)
    assert places.count == len(wanted)
    np.testing.assert_array_equal(places.items(2, 0, places.count), wanted)
    items = np.random.default_rng(0).permutation(n)
    kept, found = places.of(2, items)
    np.testing.assert_array_equal(wanted[found], items if kept is None else items[kept])
    assert len(found) == places.count
    assert places.whole == (len(wanted) == n)


@given(
    st.sampled_from([1, 2, 1000, 1 << 16, (1 << 16) + 1, 90_001, 10**7, 2**32 - 5, 2**32 + 1, 10**11]),
    st.integers(0, 2**64 - 1),
)
def test_a_bijection_is_led_back(n, key):
    ids = np.unique(np.random.default_rng(key % 1000).integers(0, n, 3000))
    bijection = Bijection(n, key)
    np.testing.assert_array_equal(bijection.inverse_of(bijection.of(ids)), ids)
    np.testing.assert_array_equal(bijection.of(bijection.inverse_of(ids)), ids)
