"""A row index of any form says exactly what the mask says that it was built from."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaxseq.errors import SelectionError, StateError
from vaxseq.plan.rows import AllRows, Bitmap, Indices, RowIndexBuilder, Runs, from_arrays, from_mask, indices
from vaxseq.plan.subset import subset


@st.composite
def masks(draw) -> np.ndarray:
    """Masks of up to 3,000 rows: scattered, in runs, all, none."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = draw(st.integers(0, 3000))
    share = draw(st.sampled_from([0.0, 0.003, 0.1, 0.5, 0.99, 1.0]))
    length = draw(st.sampled_from([1, 2, 40, 600]))
    return np.repeat(rng.random(n // length + 1) < share, length)[:n]


def built_in_chunks(mask: np.ndarray, seed: int):
    rng = np.random.default_rng(seed)
    builder, at = RowIndexBuilder(), 0
    while at < len(mask):
        stop = at + int(rng.integers(1, 900))
        part = mask[at:stop]
        if part.all():
            builder.add(at, length=len(part))
        elif part.any():  # a chunk without a row may be left out
            builder.add(at, part)
        at = stop
    return builder.build(n_rows=len(mask))


def every_form(mask: np.ndarray, seed: int = 0):
    rows = np.flatnonzero(mask)
    bounds = np.flatnonzero(np.diff(np.concatenate([[0], mask, [0]]))).reshape(-1, 2)
    yield built_in_chunks(mask, seed)
    yield from_mask(mask)
    yield Runs(bounds[:, 0], bounds[:, 1] - bounds[:, 0])
    yield Bitmap(np.packbits(mask, bitorder="little"))
    yield Indices(rows)
    yield indices(rows)


@given(masks(), st.integers(0, 2**32))
def test_every_form_selects_the_masks_rows(mask, seed):
    rows = np.flatnonzero(mask)
    rng = np.random.default_rng(seed)
    for index in every_form(mask, seed):
        assert index.n == len(index) == len(rows)
        assert index.ids(0, index.n).tolist() == rows.tolist()
        positions = rng.integers(0, max(1, len(rows)), 50 if len(rows) else 0)
        assert index.select(positions).tolist() == rows[positions].tolist()
        assert [index.row(int(one)) for one in positions[:3]] == rows[positions[:3]].tolist()
        assert index.row_stop == (rows[-1] + 1 if len(rows) else 0)


@given(masks(), st.data())
def test_a_span_covers_its_items_and_no_others(mask, data):
    rows = np.flatnonzero(mask)
    start = data.draw(st.integers(0, len(rows)))
    stop = data.draw(st.integers(start, len(rows)))
    for index in every_form(mask):
        row_start, row_stop, inside = index.span(start, stop)
        if start == stop:
            assert row_start == row_stop
            continue
        assert (row_start, row_stop) == (rows[start], rows[stop - 1] + 1)
        wanted = np.zeros(row_stop - row_start, bool)
        wanted[rows[start:stop] - row_start] = True
        assert (inside is None) == bool(wanted.all())
        if inside is not None:
            assert inside.dtype == bool
            assert inside.tolist() == wanted.tolist()


@given(masks())
def test_arrays_carry_an_index(mask):
    for index in every_form(mask):
        again = from_arrays({name: array.copy() for name, array in index.to_arrays().items()})
        assert type(again) is type(index)
        assert again.ids(0, again.n).tolist() == index.ids(0, index.n).tolist()


@given(masks(), st.slices(3000), st.integers(0, 2**32))
def test_narrowing_is_numpys_indexing(mask, part, seed):
    rows = np.flatnonzero(mask)
    rng = np.random.default_rng(seed)
    kept = rng.random(len(rows)) < 0.3
    positions = rng.integers(-len(rows), len(rows), 20) if len(rows) else np.empty(0, np.int64)
    for index in every_form(mask, seed):
        for wanted in (part, kept, positions, None):
            found = subset(index, wanted)
            expected = rows if wanted is None else rows[wanted]
            assert found.ids(0, found.n).tolist() == expected.tolist()
            twice = subset(found, slice(3, None, 2))
            assert twice.ids(0, twice.n).tolist() == expected[3::2].tolist()


def test_the_smallest_form_is_taken():
    n = 1 << 16
    mask = np.zeros(n, bool)
    assert isinstance(from_mask(~mask), AllRows)
    mask[7::1000] = True
    assert isinstance(from_mask(mask), Indices)
    mask[100:50_000] = True
    assert isinstance(from_mask(mask), Runs)
    mask[::2] = False
    assert isinstance(from_mask(mask), Bitmap)


def test_runs_that_meet_between_chunks_become_one():
    builder = RowIndexBuilder()
    for start in range(0, 5000, 100):
        builder.add(10 + start, length=100)
    assert builder.build().nbytes == 12  # one start, two totals
    assert builder.build().span(0, 5000) == (10, 5010, None)


def test_row_ids_beyond_four_thousand_million():
    builder = RowIndexBuilder()
    builder.add(5_000_000_000, length=10)
    builder.add(6_000_000_000, length=10)
    index = builder.build()
    assert index.select(np.array([9, 10])).tolist() == [5_000_000_009, 6_000_000_000]
    assert indices(np.array([7_000_000_000, 3])).select(np.array([0, 1])).tolist() == [7_000_000_000, 3]


def test_unordered_ids_are_kept_in_their_order_and_have_no_span():
    index = indices(np.array([5, 5, 2]))
    assert not index.ascending
    assert index.ids(0, 3).tolist() == [5, 5, 2]
    with pytest.raises(SelectionError, match=r"don't ascend"):
        index.span(0, 2)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.array([True]), r"wrong length; got 1, expected 10"),
        (np.array([3, 10]), r"out of range; got 10, expected -10 to 9"),
        (np.array([-11]), r"got -11"),
        (np.array([0.5]), r"got float64"),
        (np.zeros((2, 2), int), r"of shape \(2, 2\)"),
    ],
)
def test_rows_that_cannot_be_picked_are_refused(rows, message):
    with pytest.raises(SelectionError, match=message):
        subset(AllRows(10), rows)


def test_chunks_out_of_order_and_spans_out_of_range_are_refused():
    builder = RowIndexBuilder()
    builder.add(10, length=5)
    with pytest.raises(SelectionError, match="out of order; got row 14, expected at least 15"):
        builder.add(14, np.array([True]))
    with pytest.raises(SelectionError, match="span out of range; got 0:6"):
        builder.build().span(0, 6)
    with pytest.raises(StateError, match="unknown form; got 'later'"):
        from_arrays({"form": np.frombuffer(b"later", np.uint8)})


@pytest.mark.slow
def test_half_of_a_hundred_million_rows_in_14_mb_at_a_cost_without_position():
    n = 100_000_000
    bits = np.random.default_rng(0).integers(0, 256, n // 8, dtype=np.uint8)
    builder = RowIndexBuilder()
    for start in range(0, n, 1 << 20):
        part = bits[start // 8 : (start + (1 << 20)) // 8]
        builder.add(start, np.unpackbits(part, bitorder="little").view(bool))
    index = builder.build(n_rows=n)
    assert isinstance(index, Bitmap)
    assert index.nbytes < 14_000_000

    def cost(at: int) -> float:
        best = np.inf
        for _ in range(20):
            begun = time.thread_time()
            index.ids(at, at + 1024)
            index.select(np.arange(at, at + 1024))
            best = min(best, time.thread_time() - begun)
        return best

    assert cost(index.n - 2000) < 3 * cost(0)  # a scan from the first row would be thousands of times
