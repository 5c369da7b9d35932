"""Resampled epochs: exact counts, every item its turn, the same draws however they are asked for."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaxseq.errors import OptionError, SelectionError
from vaxseq.plan.balance import Balanced, Weighted, apportion, balance, class_members
from vaxseq.plan.plan import BatchPlan
from vaxseq.plan.quality import quality


@st.composite
def labels(draw) -> np.ndarray:
    """Class codes of up to 2,000 items, each class at least once."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_classes = draw(st.sampled_from([1, 2, 3, 7, 70]))
    codes = np.concatenate([np.arange(n_classes), (rng.pareto(1, draw(st.integers(0, 2000))) % n_classes).astype(int)])
    return codes if draw(st.booleans()) else rng.permutation(codes)


def members_of(codes: np.ndarray) -> dict:
    n = int(codes.max()) + 1
    return dict(zip(map(str, range(n)), class_members(np.array_split(codes, 5), n), strict=True))


@given(labels())
def test_members_are_the_items_of_a_class(codes):
    for name, index in members_of(codes).items():
        assert index.ids(0, index.n).tolist() == np.flatnonzero(codes == int(name)).tolist()


@given(labels(), st.integers(1, 30_000), st.integers(0, 3), st.integers(0, 2**32))
def test_counts_are_exact_and_items_of_a_class_differ_by_one_at_most(codes, n, epoch, seed):
    members = members_of(codes)
    rng = np.random.default_rng(seed)
    shares = {name: float(rng.integers(0, 5)) + (name == "0") for name in members}
    draws = balance(members, shares, n_items=n, seed=seed)
    found = draws.items(epoch, np.arange(n))
    total = sum(shares.values())
    drawn = np.bincount(codes[found], minlength=len(members))
    for name, share in shares.items():
        assert abs(drawn[int(name)] - n * share / total) < 1
        turns = np.bincount(found, minlength=len(codes))[codes == int(name)]
        assert turns.max() - turns.min() <= 1
    assert draws.n == n == drawn.sum()
    places = rng.integers(0, n, 40)
    assert draws.items(epoch, places).tolist() == found[places].tolist()


def test_extra_draws_differ_between_epochs_and_repeat_with_the_seed():
    codes = np.array([0] * 1000 + [1] * 300)
    draws = balance(members_of(codes), {"0": 1, "1": 1}, seed=4)
    every = np.arange(draws.n)
    one, two = (draws.items(epoch, every) for epoch in (0, 1))
    again = pickle.loads(pickle.dumps(draws))
    assert draws.counts == (650, 650)
    assert set(one.tolist()) != set(two.tolist())
    assert again.items(1, every).tolist() == two.tolist()
    assert again.fingerprint == draws.fingerprint
    assert balance(members_of(codes), {"0": 1, "1": 1}, seed=5).fingerprint != draws.fingerprint
    assert balance(members_of(codes[::-1]), {"0": 1, "1": 1}, seed=4).fingerprint != draws.fingerprint


@pytest.mark.parametrize("shuffle", [False, "global", "block"])
def test_a_plan_over_draws_is_balanced_and_block_shuffle_is_balanced_throughout(shuffle):
    codes = np.repeat([0, 1, 2], [90_000, 9_000, 1_000])  # sorted by class: the hard case
    draws = balance(members_of(codes), {"0": 2, "1": 1, "2": 1})
    plan = BatchPlan(draws.n, 10_000, shuffle=shuffle, resampling=draws)
    found = [codes[plan.positions(0, batch).positions] for batch in range(plan.num_batches)]
    assert np.bincount(np.concatenate(found)).tolist() == [50_000, 25_000, 25_000]
    for one in found:
        shares = np.bincount(one, minlength=3) / len(one)
        assert (np.abs(shares - [0.5, 0.25, 0.25]) < 0.13).all()
    if shuffle:
        assert quality(plan, labels=codes).run_length < 2.5
    assert not plan.in_order


@given(st.integers(0, 2**32), st.integers(1, 4), st.sampled_from([False, "global", "block"]), st.integers(1, 60))
def test_shards_share_out_the_draws(seed, count, shuffle, batch_size):
    rng = np.random.default_rng(seed)
    draws = Weighted([rng.random(50)], n=int(rng.integers(1, 300)), seed=seed)
    options = {"shuffle": shuffle, "seed": seed, "resampling": draws, "block_items": 16, "buffer_blocks": 2}
    seen = []
    for rank in range(count):
        plan = BatchPlan(draws.n, batch_size, shard_index=rank, shard_count=count, **options)
        for batch in range(plan.num_batches):
            one = plan.positions(2, batch)
            seen += one.positions[: one.counts[0]].tolist()
    assert sorted(seen) == sorted(draws.items(2, np.arange(draws.n)).tolist())


@pytest.mark.parametrize(
    ("shares", "error", "message"),
    [
        ({"0": 1}, OptionError, r"class '1' \(2 items\) has no share"),
        ({"0": 1, "1": 1, "x": 1}, OptionError, r"no class 'x' in the data; got classes 0, 1"),
        ({"0": -1, "1": 1}, OptionError, r"share of class '0'; got -1"),
        ({"0": 0, "1": 0}, OptionError, r"all shares are 0"),
    ],
)
def test_shares_that_do_not_fit_the_classes_are_refused(shares, error, message):
    with pytest.raises(error, match=message):
        balance(members_of(np.array([0, 1, 1])), shares)


def test_a_class_without_items_cannot_be_drawn():
    members = dict(zip("ab", class_members([np.array([0, 0])], 2), strict=True))
    with pytest.raises(SelectionError, match="class 'b' has no items"):
        balance(members, {"a": 1, "b": 1})
    assert balance(members, {"a": 1, "b": 0}).counts == (2,)


@given(st.integers(0, 10**12), st.lists(st.floats(0.001, 1000), min_size=1, max_size=20))
def test_apportioning_is_exact_and_fair(total, shares):
    counts = apportion(total, shares)
    assert counts.sum() == total
    assert (np.abs(counts - np.array(shares) / sum(shares) * total) < 1 + total * 1e-12).all()


@given(st.integers(0, 2**32), st.integers(1, 3000), st.integers(1, 5000), st.integers(0, 3))
def test_weighted_draws_come_floor_or_ceil_of_their_share(seed, n_items, n, epoch):
    rng = np.random.default_rng(seed)
    weights = np.float32(rng.pareto(1.5, n_items) * (rng.random(n_items) < 0.8))
    weights[0] = 1
    draws = Weighted(np.array_split(weights, 3), n=n, seed=seed)
    found = draws.items(epoch, np.arange(n))
    assert (np.diff(found) >= 0).all()
    turns = np.bincount(found, minlength=n_items)
    share = weights.astype(float) / weights.sum(dtype=float) * n
    assert (np.abs(turns - share) < 1 + 1e-6 * n).all()
    assert (turns[weights == 0] == 0).all()
    places = rng.integers(0, n, 20)
    assert draws.items(epoch, places).tolist() == found[places].tolist()


def test_weighted_draws_average_to_the_weights_over_epochs():
    weights = np.array([0.3, 0.3, 0.4, 9.0])
    draws = Weighted([weights], n=4)
    turns = np.bincount(np.concatenate([draws.items(epoch, np.arange(4)) for epoch in range(5000)]), minlength=4)
    assert np.abs(turns / 5000 - 4 * weights / weights.sum()).max() < 0.05
    assert Weighted([weights], n=4).fingerprint == draws.fingerprint
    assert Weighted([weights[::-1]], n=4).fingerprint != draws.fingerprint


@pytest.mark.parametrize("bad", [np.nan, -1.0, np.inf])
def test_weights_that_are_none_are_refused(bad):
    with pytest.raises(SelectionError, match=r"got 1 from item 3 on"):
        Weighted([np.ones(2), np.array([1.0, bad])])


def test_weights_all_zero_and_too_many_draws_are_refused():
    with pytest.raises(SelectionError, match="none of 2 items has a weight above 0"):
        Weighted([np.zeros(2)])
    with pytest.raises(OptionError, match="got 0 draws"):
        Weighted([np.ones(2)], n=0)


def test_a_plan_must_be_as_long_as_its_draws():
    with pytest.raises(OptionError, match="expected the 3 draws"):
        BatchPlan(4, 2, resampling=Balanced(class_members([np.zeros(3, int)], 1), (3,)))
