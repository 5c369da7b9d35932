"""Windows by runs equal windows counted one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaxseq.errors import MissingValueError, OptionError, SelectionError
from vaxseq.plan.runs import RunFinder
from vaxseq.plan.window import Window, WindowIndex


@st.composite
def series(draw) -> dict:
    """Rows of several groups in time order, with gaps and a filter's holes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    lengths = rng.integers(1, draw(st.sampled_from([3, 20, 60])), draw(st.integers(1, 8)))
    groups = np.repeat(rng.permutation(len(lengths)), lengths)
    steps = rng.choice([1, 1, 1, 2, 30], len(groups))
    mask = None if draw(st.booleans()) else rng.random(len(groups)) < 0.9
    times = np.cumsum(steps)
    if draw(st.booleans()):
        times = times.astype("M8[m]")
    return {"groups": groups, "times": times, "mask": mask}


def found_in_chunks(data: dict, gap: int | None, size: int) -> RunFinder:
    step = None if gap is None else np.timedelta64(gap, "m") if data["times"].dtype.kind == "M" else gap
    finder = RunFinder(max_gap=step)
    for at in range(0, len(data["groups"]), size):
        part = slice(at, at + size)
        mask = None if data["mask"] is None else data["mask"][part]
        finder.add(at, mask, groups=[data["groups"][part]], times=data["times"][part])
    return finder


def is_window(data: dict, start: int, rows: int, gap: int | None) -> bool:
    """Whether ``rows`` rows from ``start`` are one series: by looking at each of them."""
    part = slice(start, start + rows)
    mask = data["mask"]
    if start + rows > len(data["groups"]) or not (mask is None or mask[part].all()):
        return False
    steps = np.diff(data["times"][part]).astype(int)
    return len(set(data["groups"][part].tolist())) == 1 and (gap is None or not (steps > gap).any())


@given(
    series(), st.sampled_from([None, 5]), st.integers(1, 50), st.integers(1, 9), st.integers(1, 5), st.integers(0, 3)
)
def test_windows_are_those_found_by_brute_force(data, gap, size, length, stride, horizon):
    starts, lengths = found_in_chunks(data, gap, size).runs()
    expected = []
    for run, rows in zip(starts.tolist(), lengths.tolist(), strict=True):
        assert is_window(data, run, rows, gap)
        assert not is_window(data, run, rows + 1, gap)  # a run is as long as can be
        expected += [at for at in range(run, run + rows, stride) if at + length + horizon <= run + rows]
    assert lengths.sum() == (len(data["groups"]) if data["mask"] is None else data["mask"].sum())
    if not expected:
        with pytest.raises(SelectionError, match="too short"):
            WindowIndex(starts, lengths, length=length, stride=stride, horizon=horizon)
        return
    index = WindowIndex(starts, lengths, length=length, stride=stride, horizon=horizon)
    every = index.windows(np.arange(index.n))
    assert every.starts.tolist() == expected
    assert (every.rows == length).all()
    assert not index.pads
    some = np.random.default_rng(0).integers(0, index.n, 10)
    assert index.starts(some).tolist() == every.starts[some].tolist()
    assert index.span(0, index.n) == (expected[0], expected[-1] + length + horizon)
    again = WindowIndex.from_arrays(index.to_arrays())
    assert again.starts(np.arange(again.n)).tolist() == expected
    assert again.skipped_rows == index.skipped_rows


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(1, 12), st.integers(0, 4), st.data())
def test_short_series_give_one_padded_window_from_min_valid_on(lengths, length, horizon, data):
    share = data.draw(st.sampled_from([0.01, 0.5, 0.9, 1.0]))
    lengths = np.array([*lengths, length + horizon])  # one is long enough
    starts = np.cumsum(lengths + 1) - lengths
    window = Window(length, horizon=horizon, min_valid=share)
    index = window.index(starts, lengths)
    expected = []
    for start, rows in zip(starts, lengths - horizon, strict=True):
        if rows >= length:
            expected += [(start + at, length) for at in range(rows - length + 1)]
        elif rows >= share * length - 1e-9 and rows > 0:
            expected.append((start, rows))
    found = index.windows(np.arange(index.n))
    assert list(zip(found.starts.tolist(), found.rows.tolist(), strict=True)) == expected
    assert index.pads >= any(rows < length for _, rows in expected)
    assert index.pads == window.index(starts[-1:], lengths[-1:]).pads  # whichever runs there are


def test_a_hundred_million_rows_cost_their_runs():
    runs = 10_000
    index = WindowIndex(np.arange(runs) * 10_000, np.full(runs, 10_000), length=128)
    assert index.n == runs * (10_000 - 127)
    assert index.nbytes < 13 * runs
    assert index.starts(np.array([index.n - 1])).tolist() == [100_000_000 - 128]


def test_duplicates_and_gaps_are_counted():
    finder = RunFinder(max_gap=5)
    finder.add(0, groups=[np.array(["a", "a", "a"])], times=np.array([0, 0, 9]))
    finder.add(3, groups=[np.array(["a", "b"])], times=np.array([9, 9]))
    assert (finder.duplicates, finder.first_duplicate, finder.gaps) == (2, 1, 1)


def test_missing_group_keys_are_one_group():
    finder = RunFinder()
    finder.add(0, groups=[np.array([1.0, np.nan])])
    finder.add(2, groups=[np.array([np.nan, 2.0])])
    assert [one.tolist() for one in finder.runs()] == [[0, 1, 3], [1, 2, 1]]


def test_no_rows_are_no_runs():
    finder = RunFinder()
    finder.add(0, np.zeros(4, bool))
    assert [one.tolist() for one in finder.runs()] == [[], []]


@pytest.mark.parametrize("size", [1, 2, 10])
def test_unsorted_data_names_the_remedy(size):
    def add(groups, times):
        finder = RunFinder()
        for at in range(0, len(groups), size):
            finder.add(at, groups=[np.array(groups[at : at + size])], times=np.array(times[at : at + size]))

    with pytest.raises(SelectionError, match=r"row 2 goes back in time; got 1 after 2.*--sort-by"):
        add(["a", "a", "a"], [0, 2, 1])
    with pytest.raises(SelectionError, match=r"group a comes back in row 2 .*--sort-by"):
        add(["a", "b", "a"], [0, 1, 2])


def test_groups_are_told_apart_though_their_hashes_meet():
    finder = RunFinder()
    groups = [-1, -2, 0, 2**61 - 1, np.iinfo(np.int64).min]
    assert len({hash((group,)) for group in groups}) < len(groups)
    finder.add(0, groups=[np.array(groups)])
    assert finder.runs()[1].tolist() == [1] * len(groups)


def test_missing_times_are_refused_with_their_count():
    with pytest.raises(MissingValueError, match=r"2 rows have no time, first in row 11"):
        RunFinder().add(10, times=np.array(["2020-01-01", "NaT", "NaT"], "M8[s]"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 0}, "window length: got 0"),
        ({"length": 3, "stride": 0}, "window stride: got 0"),
        ({"length": 3, "horizon": -1}, "window horizon: got -1"),
        ({"length": 3, "target": "first"}, "window target: got 'first'"),
        ({"length": 3, "target_length": 0}, "window target_length: got 0, expected a whole number of at least 1"),
        ({"length": 3, "target_length": 2.0}, "window target_length: got 2.0"),
        ({"length": 3, "target_length": 12}, "window target_length: got 12, expected at most .* 3 .* horizon=12"),
        ({"length": 3, "horizon": 1, "target_length": 12}, "reach back into the window.* give horizon=12"),
        ({"length": 3, "future_inputs": "a"}, "window future_inputs: there is no future with horizon=0"),
        ({"length": 3, "horizon": 1, "future_inputs": "a", "static_inputs": ["b", "a"]}, "static_inputs: 'a' is among"),
        ({"length": 3, "min_valid": 0.0}, "window min_valid: got 0.0"),
        ({"length": 3, "max_gap": 5}, "window max_gap: needs a time column"),
        ({"length": 3, "max_gap": "5 weeks", "order_by": "t"}, "window max_gap: got '5 weeks'"),
        ({"length": 3, "max_gap": "0s", "order_by": "t"}, "window max_gap: got '0s', expected more than 0"),
    ],
)
def test_windows_that_cannot_be_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        Window(**options)


def test_a_window_takes_one_group_column_or_several():
    assert Window(3, group_by=None).groups == ()
    assert Window(3, group_by="device").groups == ("device",)
    assert Window(3, group_by=["subject", "trial"]).groups == ("subject", "trial")
    assert Window(3, order_by="t", max_gap="90s").gap == np.timedelta64(90, "s")


@pytest.mark.parametrize(
    ("options", "span"),
    [
        ({}, (0, 5)),
        ({"target_length": 2}, (3, 2)),
        ({"horizon": 4}, (5, 4)),
        ({"horizon": 4, "target_length": 4}, (5, 4)),
        ({"horizon": 4, "target_length": 1}, (8, 1)),
    ],
)
def test_the_target_s_rows_end_where_the_horizon_ends(options, span):
    assert Window(5, **options).target_span == span


@given(st.lists(st.integers(1, 40), min_size=1, max_size=9), st.integers(1, 9), st.integers(1, 4), st.data())
def test_a_part_has_the_same_windows(lengths: list[int], length: int, stride: int, data) -> None:
    starts = np.cumsum([0, *(one + 5 for one in lengths[:-1])])
    window = Window(length, stride=stride, horizon=data.draw(st.integers(0, 2)), min_valid=0.5)
    if max(lengths) < window.min_rows + window.horizon:
        return
    index = window.index(starts, np.array(lengths))
    start = data.draw(st.integers(0, index.n - 1))
    stop = data.draw(st.integers(start + 1, index.n))
    part = index.part(start, stop)
    assert part.n >= stop - start
    for here, there in zip(
        part.windows(np.arange(stop - start))[:2], index.windows(np.arange(start, stop))[:2], strict=True
    ):
        np.testing.assert_array_equal(here, there)
