"""Orders are permutations, pure, repeatable, and near enough to a uniform shuffle."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from math import factorial, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaxseq.errors import SelectionError
from vaxseq.plan.bijection import Bijection
from vaxseq.plan.keys import derive
from vaxseq.plan.plan import BatchPlan
from vaxseq.plan.quality import quality
from vaxseq.plan.shuffle import BUFFER_BLOCKS, BlockOrder, block_items, order

SIZES = st.one_of(st.integers(1, 300), st.integers(65_530, 65_545), st.integers(300, 200_000))
SEEDS = st.integers(0, 2**64 - 1)
# On both sides of each seam: table and network, 32 and 64 bits, squares and one more.
LARGE = [65_537, 90_000, 90_001, 2**20, 3_000_017, 2**31 + 11, 2**32, 2**32 + 1, 2**38, 10**11]


@given(SIZES, SEEDS, st.integers(0, 1000))
def test_a_global_order_is_a_permutation(n, seed, epoch):
    found = order(n, seed, epoch, 0, n)
    assert found.dtype == np.int64
    assert (np.bincount(found, minlength=n) == 1).all()
    assert len(found) == n


@given(st.sampled_from(LARGE), SEEDS, st.data())
def test_an_item_never_depends_on_how_it_is_asked_for(n, seed, data):
    start = data.draw(st.integers(0, n - 1))
    stop = min(n, start + data.draw(st.integers(1, 20_000)))
    found = order(n, seed, 1, start, stop)
    assert ((found >= 0) & (found < n)).all()
    assert len(np.unique(found)) == stop - start
    middle = (start + stop) // 2
    halves = [order(n, seed, 1, start, middle), order(n, seed, 1, middle, stop)]
    assert (np.concatenate(halves) == found).all()
    bijection = Bijection(n, derive(1, seed, 1))
    backwards = np.arange(start, stop)[::-1]
    assert (bijection.of(backwards) == found[::-1]).all()
    assert bijection.inverse(int(found[-1])) == stop - 1


@given(SIZES, SEEDS, st.integers(1, 5000), st.integers(1, 40), st.data())
def test_a_block_order_is_a_permutation_and_pure(n, seed, block_items, buffer_blocks, data):
    if n // block_items > 5000:
        block_items = n // 5000 + 1
    blocks = BlockOrder(n, seed, 3, block_items, buffer_blocks)
    found = blocks(0, n)
    assert (np.bincount(found, minlength=n) == 1).all()
    start = data.draw(st.integers(0, n))
    stop = data.draw(st.integers(start, n))
    assert (blocks(start, stop) == found[start:stop]).all()


@given(st.integers(1, 100_000), SEEDS, st.integers(500, 3000), st.integers(1, 40))
def test_buffers_part_the_order_and_name_the_ranges_they_read(n, seed, block_items, buffer_blocks):
    blocks = BlockOrder(n, seed, 0, block_items, buffer_blocks)
    found = blocks(0, n)
    at = 0
    for buffer in blocks.buffers(0, n):
        assert buffer.start == at
        assert blocks.buffer_of(at) == blocks.buffer_of(buffer.stop - 1) == buffer.number
        held = np.concatenate([np.arange(*one) for one in buffer.ranges()])
        assert (np.diff(held) > 0).all()
        assert sorted(found[buffer.start : buffer.stop]) == held.tolist()
        assert (held[buffer.places(buffer.start, buffer.stop)] == found[buffer.start : buffer.stop]).all()
        assert len(buffer.blocks) < 2 * buffer_blocks
        assert buffer.stop - buffer.start <= blocks.buffer_items
        at = buffer.stop
    assert at == n


@pytest.mark.parametrize("make", [order, lambda n, *rest: BlockOrder(n, *rest[:2])(*rest[2:])])
def test_epochs_and_seeds_give_other_orders(make):
    n = 100_000
    first = make(n, 5, 0, 0, n)
    for seed, epoch in ((5, 1), (6, 0), (5, 2**40), (2**63, 0)):
        assert (make(n, seed, epoch, 0, n) == first).mean() < 0.001


def test_orders_are_the_same_in_another_process_and_for_ever():
    code = (
        "import hashlib, numpy as np; from vaxseq.plan.shuffle import order, BlockOrder; "
        "parts = [order(n, 7, 2, 0, 5000).astype('<i8').tobytes() for n in (5000, 10**6, 10**11)]; "
        "parts.append(BlockOrder(10**7, 7, 2)(0, 5000).astype('<i8').tobytes()); "
        "print(hashlib.blake2b(b''.join(parts), digest_size=8).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    parts = [order(n, 7, 2, 0, 5000).astype("<i8").tobytes() for n in (5000, 10**6, 10**11)]
    assert hashlib.blake2b(b"".join(parts), digest_size=8).hexdigest() == "4ad877c230673b08"
    parts.append(BlockOrder(10**7, 7, 2)(0, 5000).astype("<i8").tobytes())
    mine = hashlib.blake2b(b"".join(parts), digest_size=8).hexdigest()
    assert other == mine == "19f09ab4f6bc7629"  # a changed order would break the resume of every saved run


# --- statistics: with fixed seeds these are not random; the bounds are about five standard errors ---


@pytest.mark.parametrize("n", [50_000, 70_000, 1_000_003])
@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_each_part_of_the_order_takes_from_all_parts_of_the_data(n, epoch):
    """Chi-square of a 64 x 64 table of place against position, whose margins are given."""
    cells = 64
    found = order(n, 0, epoch, 0, n)
    counts = np.bincount(np.arange(n) * cells // n * cells + found * cells // n, minlength=cells**2)
    expected = n / cells**2
    chi = float(((counts - expected) ** 2 / expected).sum())
    freedom = (cells - 1) ** 2
    assert abs(chi - freedom) < 5 * sqrt(2 * freedom)


@pytest.mark.parametrize("n", [2**33, 10**11])
@pytest.mark.parametrize("where", [0.0, 0.37, 0.99])
def test_a_stretch_of_a_huge_order_takes_from_all_of_the_data(n, where):
    cells, m = 1024, 262_144
    start = int(n * where)
    counts = np.bincount(order(n, 0, 0, start, start + m) * cells // n, minlength=cells)
    chi = float(((counts - m / cells) ** 2 / (m / cells)).sum())
    assert abs(chi - (cells - 1)) < 5 * sqrt(2 * (cells - 1))


@pytest.mark.parametrize("n", [50_000, 70_000, 1_000_003, 2**33])
def test_neighbours_in_the_order_are_strangers(n):
    """Lags 1 to 3: correlation; the distance between neighbours has a uniform's triangular law; runs up and down."""
    m = min(n, 262_144)
    found = order(n, 11, 0, 0, m).astype(float) / n
    for lag in (1, 2, 3):
        assert abs(np.corrcoef(found[lag:], found[:-lag])[0, 1]) < 5 / sqrt(m)
    distance = np.abs(np.diff(found))
    shares = np.histogram(distance, bins=16, range=(0, 1))[0] / (m - 1)
    edges = np.linspace(0, 1, 17)
    law = np.diff(2 * edges - edges**2)
    assert (np.abs(shares - law) < 5 * np.sqrt(law / m) + 1e-3 * (m == n)).all()
    runs = 1 + int((np.diff(np.sign(np.diff(found))) != 0).sum())
    assert abs(runs - (2 * m - 1) / 3) < 5 * sqrt((16 * m - 29) / 90)


@pytest.mark.parametrize("n", [1_000_003, 2**33])
def test_consecutive_epochs_are_unrelated(n):
    one, two = (order(n, 0, epoch, 0, 100_000) for epoch in (0, 1))
    assert abs(np.corrcoef(one, two)[0, 1]) < 5 / sqrt(100_000)


def test_all_orders_of_a_few_items_come_equally_often():
    for n in (3, 4, 5):
        trials = 400 * factorial(n)
        found = [tuple(order(n, 0, epoch, 0, n).tolist()) for epoch in range(trials)]
        counts = np.unique(found, axis=0, return_counts=True)[1]
        assert len(counts) == factorial(n)
        chi = float(((counts - 400.0) ** 2 / 400).sum())
        assert chi < (factorial(n) - 1) + 5 * sqrt(2 * (factorial(n) - 1))


@pytest.mark.parametrize("n", [65_537, 70_001])
def test_the_smallest_networks_place_each_item_everywhere(n):
    """Over many keys, where item 0 and its neighbour land, and how far apart."""
    keys = 4000
    landed = np.array([Bijection(n, derive(99, key))(0, 2) for key in range(keys)])
    for values in (landed[:, 0], landed[:, 1], (landed[:, 1] - landed[:, 0]) % n):
        counts = np.bincount(values * 40 // n, minlength=40)
        chi = float(((counts - keys / 40) ** 2 / (keys / 40)).sum())
        assert chi < 39 + 5 * sqrt(78)


def test_quality_tells_uniform_block_and_unshuffled_apart():
    n = 3_000_000
    plain = quality(BatchPlan(n, 1024))
    uniform = quality(BatchPlan(n, 1024, shuffle="global"))
    block = quality(BatchPlan(n, 1024, shuffle="block"))
    weak = quality(BatchPlan(n, 1024, shuffle="block", buffer_blocks=2))
    assert plain.lag1 > 0.999
    assert plain.displacement == 0
    assert plain.batch_spread > 30  # sqrt(1024) for batches of neighbours
    assert plain.run_length > 1000
    assert abs(uniform.lag1) < 0.005
    assert abs(uniform.displacement - 1 / 3) < 0.01
    assert abs(uniform.run_length / uniform.run_length_uniform - 1) < 0.005
    assert abs(uniform.batch_spread - 1) < 0.1
    assert abs(block.lag1) < 0.2
    assert weak.lag1 > block.lag1
    assert weak.batch_spread > 2 * block.batch_spread and block.batch_spread < 1.3
    assert "lag-1 correlation" in str(block)


@pytest.mark.parametrize("n", [40_000, 100_001, 300_000, 600_000, 1_048_577, 1_500_000, 2_000_000])  # 2 to 61 blocks
def test_batches_of_sorted_data_spread_little_more_than_uniform_ones_however_many_blocks_there_are(n):
    spreads = [quality(BatchPlan(n, 1024, shuffle="block"), epoch=epoch).batch_spread for epoch in range(3)]
    assert max(spreads) < 1.3


@given(st.integers(1, 10**8))
def test_blocks_are_as_long_as_a_buffers_bytes_allow(item_bytes):
    items = block_items(item_bytes)
    assert items == 1 or BUFFER_BLOCKS * items * item_bytes <= 48 << 20
    assert BUFFER_BLOCKS * 2 * items * item_bytes > 48 << 20


def test_neighbours_in_a_block_order_are_strangers():
    """Its rounds share one permutation: what neighbours have in common must not be the same in all of them."""
    plans = [BatchPlan(2_000_000, 1024, shuffle="block", seed=seed) for seed in range(6)]
    assert max(abs(quality(plan).lag1) for plan in plans) < 0.005


def test_quality_takes_labels_and_samples_long_epochs():
    n = 20_000
    labels = np.arange(n) % 2
    assert quality(BatchPlan(n, 100), labels=labels).run_length == 1
    assert quality(BatchPlan(n, 100), labels=lambda at: at // 10_000).run_length == 10_000
    sampled = quality(BatchPlan(10**11, 1024, shuffle="global"), sample_items=300_000)
    assert 200_000 < sampled.items < 400_000
    assert abs(sampled.lag1) < 0.02
    with pytest.raises(SelectionError, match="got 1 items"):
        quality(BatchPlan(1, 1))
