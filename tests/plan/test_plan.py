"""Every epoch visits each item exactly once, whatever the shuffle, batch size, shards and resumes."""

from __future__ import annotations

import pickle
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaxseq.errors import OptionError, PositionError
from vaxseq.plan.plan import BatchPlan
from vaxseq.plan.position import Position
from vaxseq.plan.rows import AllRows

SHUFFLES = st.sampled_from([False, "global", "block"])


@st.composite
def settings(draw) -> dict:
    """Arguments of a plan of up to 700 items."""
    n = draw(st.integers(0, 700))
    return {
        "n_items": n,
        "batch_size": draw(st.integers(1, 90)),
        "shuffle": draw(SHUFFLES),
        "seed": draw(st.integers(0, 2**64 - 1)),
        "pad": draw(st.booleans()),
        "start_item": draw(st.integers(0, n)),
        "block_items": draw(st.integers(1, 60)),
        "buffer_blocks": draw(st.integers(1, 9)),
    }


def ranks(count: int, **options) -> list[BatchPlan]:
    return [BatchPlan(shard_index=rank, shard_count=count, **options) for rank in range(count)]


def real(plan: BatchPlan, epoch: int, batches: int | None = None) -> list[int]:
    """What a rank sees with weight above 0, batch by batch."""
    seen: list[int] = []
    for batch in range(plan.num_batches if batches is None else batches):
        positions, sizes, counts = plan.positions(epoch, batch)
        assert len(positions) == sizes[0] >= counts[0]
        seen += positions[: counts[0]].tolist()
    return seen


@given(settings(), st.integers(1, 5), st.integers(0, 3))
def test_the_union_of_the_shards_is_every_item_once(options, count, epoch):
    plans = ranks(count, **options)
    assert len({plan.num_batches for plan in plans}) == 1
    seen = [item for plan in plans for item in real(plan, epoch)]
    assert sorted(seen) == sorted(plans[0].ordered(epoch, options["start_item"], options["n_items"]).tolist())
    if options["start_item"] == 0:
        assert sorted(seen) == list(range(options["n_items"]))


@given(settings(), st.integers(1, 5))
def test_dropping_the_remainder_drops_less_than_a_step_and_repeats_nothing(options, count):
    plans = ranks(count, drop_remainder=True, **options)
    seen = [item for plan in plans for item in real(plan, 0)]
    assert len(set(seen)) == len(seen)
    left = options["n_items"] - options["start_item"]
    assert left - plans[0].step_items < len(seen) <= left
    for plan in plans:
        assert not plan.padded
        assert (plan.positions(0, 0, plan.num_batches).counts == plan.batch_size).all()


@given(settings(), st.integers(1, 4), st.data())
def test_batches_are_the_same_one_by_one_and_together(options, count, data):
    for plan in ranks(count, **options):
        first = data.draw(st.integers(0, plan.num_batches))
        many = data.draw(st.integers(0, plan.num_batches - first))
        together = plan.positions(1, first, many)
        alone = [plan.positions(1, batch) for batch in range(first, first + many)]
        for part, whole in zip(zip(*alone, strict=True), together, strict=False):
            assert np.concatenate(part).tolist() == whole.tolist()


@given(settings(), st.integers(1, 5))
def test_padding_makes_equal_batches_and_says_so_on_every_rank(options, count):
    plans = ranks(count, **options)
    batches = [plan.positions(0, 0, plan.num_batches) for plan in plans]
    assert len({plan.padded for plan in plans}) == 1
    assert plans[0].padded == any((one.sizes > one.counts).any() for one in batches)
    for plan, (positions, sizes, counts) in zip(plans, batches, strict=True):
        assert (sizes > 0).all()  # no batch of no rows: Keras can't take one
        assert (counts[:-1] == plan.batch_size).all()
        assert ((positions >= 0) & (positions < plan.n_items)).all()
        if plan.pad:
            assert (sizes == plan.batch_size).all()


@given(settings(), st.integers(1, 4), st.integers(1, 4), st.integers(1, 90), st.data())
def test_a_resume_on_other_ranks_sees_exactly_what_was_left(options, before, after, batch_size, data):
    options["start_item"] = 0
    first = ranks(before, **options)
    done = data.draw(st.integers(0, first[0].num_batches))
    seen = [item for plan in first for item in real(plan, 4, done)]
    place = Position.from_dict(Position.after(first[0], epoch=4, batches=done).to_dict())
    second = ranks(after, **{**options, "batch_size": batch_size})
    resumed = [place.resume(plan) for plan in second]
    epoch = resumed[0][0]
    if done == first[0].num_batches:
        assert epoch == 5
        assert sorted(seen) == list(range(options["n_items"]))
        return
    assert epoch == 4
    again = data.draw(st.integers(0, resumed[0][1].num_batches))  # a resume of a resume
    seen += [item for _, plan in resumed for item in real(plan, epoch, again)]
    last = Position.after(resumed[0][1], epoch, again)
    if last.epoch == epoch:
        _, rest = last.resume(BatchPlan(**options))
        seen += real(rest, epoch)
    assert sorted(seen) == list(range(options["n_items"]))


@given(st.sampled_from(["global", "block"]), st.integers(0, 2**64 - 1), st.integers(100, 700))
def test_same_seed_same_order_and_epochs_differ(shuffle, seed, n):
    plan = BatchPlan(n, 7, shuffle=shuffle, seed=seed, block_items=16, buffer_blocks=4)
    again = pickle.loads(pickle.dumps(plan))
    assert real(plan, 3) == real(again, 3)
    assert real(plan, 3) != real(plan, 4)


def test_an_unshuffled_plan_is_the_rows_in_order():
    plan = BatchPlan(10, 4)
    assert plan.in_order
    assert not BatchPlan(10, 4, shuffle="block").in_order
    assert [plan.positions(0, batch).positions.tolist() for batch in range(3)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_rank_with_nothing_left_gets_a_full_batch_of_weight_zero():
    plan = BatchPlan(9, 4, shard_index=2, shard_count=3)
    assert plan.num_batches == 1
    positions, sizes, counts = plan.positions(0, 0)
    assert (positions.tolist(), sizes.tolist(), counts.tolist()) == ([8], [1], [1])
    positions, sizes, counts = BatchPlan(8, 4, shard_index=2, shard_count=3).positions(0, 0)
    assert (positions.tolist(), sizes.tolist(), counts.tolist()) == ([7, 7, 7, 7], [4], [0])


def test_a_thousand_million_rows_cost_nothing_to_plan():
    tracemalloc.start()
    begun = time.thread_time()
    rows = AllRows(10**9)
    plan = BatchPlan(rows.n, 1024, shuffle="global", seed=1)
    found = rows.select(plan.positions(0, plan.num_batches // 2, 4).positions)
    took = time.thread_time() - begun
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == 4096
    assert took < 1
    assert peak < 5_000_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size: got 0, expected a whole number of at least 1"),
        ({"batch_size": 2.5}, "batch_size: got 2.5"),
        ({"batch_size": True}, "batch_size: got True"),
        ({"seed": -1}, "seed: got -1"),
        ({"shuffle": "blocks"}, "shuffle: got 'blocks'"),
        ({"shuffle": 0}, "shuffle: got 0"),
        ({"shard_index": 2, "shard_count": 2}, "shard: got index 2 of 2"),
        ({"start_item": 11}, "start_item: got 11, expected at most 10"),
    ],
)
def test_values_that_cannot_be_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        BatchPlan(**{"n_items": 10, "batch_size": 4, **options})


def test_batches_out_of_range_are_refused():
    with pytest.raises(OptionError, match="batch: got 3, expected 0 to 2"):
        BatchPlan(10, 4).positions(0, 3)


@pytest.mark.parametrize("change", [{"seed": 2}, {"n_items": 11}, {"shuffle": "block"}])
def test_a_position_of_another_order_is_refused(change):
    plan = {"n_items": 10, "batch_size": 4, "shuffle": "global", "seed": 1}
    place = Position.after(BatchPlan(**plan), 0, 1)
    with pytest.raises(PositionError, match="saved with other"):
        place.resume(BatchPlan(**{**plan, **change}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 3}, "got version 3, expected 2"),
        ({"item": -1}, "item; got -1"),
        ({"epoch": "0"}, "epoch; got '0', expected int"),
        ({"fingerprint": None}, "fingerprint; got None"),
    ],
)
def test_a_damaged_position_is_refused(change, message):
    saved = Position.after(BatchPlan(10, 4), 0, 1).to_dict()
    with pytest.raises(PositionError, match=message):
        Position.from_dict({**saved, **change})


def test_a_resume_that_fills_no_batch_goes_on_with_the_next_epoch():
    plan = BatchPlan(10, 4, drop_remainder=True)
    epoch, rest = Position.after(plan, 0, 1).resume(BatchPlan(10, 7, drop_remainder=True))
    assert (epoch, rest.start_item, rest.num_batches) == (1, 0, 1)
