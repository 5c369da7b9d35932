"""Exploration says what NumPy and pandas say of the same rows, in one pass."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import vaex
from hypothesis import given, settings
from hypothesis import strategies as st

import vaxseq as vs
from vaxseq.errors import ColumnNotFoundError, OptionError, SelectionError
from vaxseq.frame import source_of
from vaxseq.report import exploration, scan
from vaxseq.report.bins import Bins, floats_of, keys_of
from vaxseq.report.cache import cache_file
from vaxseq.report.distinct import KEPT, Distinct, Tops


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("VAXSEQ_CACHE", str(tmp_path_factory.mktemp("cache")))


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(finite))
def test_keys_keep_the_order_and_the_values(values):
    data = np.array(values, np.float64)
    assert np.array_equal(floats_of(keys_of(data)), data + 0.0)
    assert np.array_equal(np.sort(keys_of(data)), keys_of(np.sort(data)))


@given(st.lists(finite, min_size=1), st.integers(2, 40), st.integers(0, 100))
def test_bins_do_not_depend_on_the_blocks(values, most, cut):
    data = np.array(values, np.float64)
    whole, parts, merged = (Bins(most=most) for _ in range(3))
    whole.add(data)
    parts.add(data[:cut])
    parts.add(data[cut:])
    other = Bins(most=most)
    merged.add(data[cut:])
    other.add(data[:cut])
    merged.merge(other)
    for one in (parts, merged):
        assert one.shift == whole.shift
        assert np.array_equal(one.keys, whole.keys)
        assert np.array_equal(one.counts, whole.counts)
    assert len(whole.keys) <= most
    assert whole.total == len(data)


@given(st.lists(st.integers(-50, 50).map(float), min_size=1, max_size=200))
def test_quantiles_of_few_values_are_numpys(values):
    bins = Bins()
    bins.add(np.array(values))
    shares = [0, 0.1, 0.5, 0.77, 1]
    assert np.allclose(bins.quantiles(shares), np.quantile(values, shares))


@pytest.mark.parametrize("make", ["normal", "lognormal", "offset", "uniform"])
def test_quantiles_of_many_values_are_near(make):
    rng = np.random.default_rng(0)
    data = {
        "normal": rng.normal(size=300_000),
        "lognormal": rng.lognormal(0, 3, 300_000),
        "offset": 1e9 + rng.random(300_000),
        "uniform": rng.random(300_000),
    }[make]
    bins = Bins()
    bins.add(data)
    shares = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]
    ranks = [(data <= value).mean() for value in bins.quantiles(shares)]
    assert np.allclose(ranks, shares, atol=0.002)
    counts, edges = np.histogram(data, 50)
    assert np.abs(bins.histogram(edges) - counts).sum() < 0.02 * len(data)


@given(st.lists(st.integers(0, 20)), st.integers(2, 5))
def test_a_histogram_counts_every_value(values, count):
    data = np.array(values, np.float64)
    bins = Bins()
    bins.add(data)
    edges = np.arange(0, 21 + count, count) - 0.5
    assert np.array_equal(np.round(bins.histogram(edges)), np.histogram(data, edges)[0])


def test_distinct_is_exact_and_then_near():
    few, many = Distinct(), Distinct()
    rng = np.random.default_rng(0)
    few.add(np.repeat(rng.integers(0, 2**64, 1000, np.uint64), 3))
    assert (few.estimate, few.error) == (1000, 0)
    words = rng.integers(0, 2**64, 200_000, np.uint64)
    for block in np.array_split(np.concatenate([words, words]), 9):
        many.add(block)
    assert abs(many.estimate / 200_000 - 1) < 4 * many.error
    half = Distinct()
    half.add(words[:100_000])
    assert half.shared_with(many) == 1
    assert many.shared_with(half) == pytest.approx(0.5, abs=0.05)
    assert len(many.hashes) == KEPT


def test_tops_keep_the_commonest_within_their_error():
    rng = np.random.default_rng(0)
    texts = np.array([f"t{i}" for i in np.minimum(rng.zipf(1.3, 50_000), 10_000)])
    tops = Tops(most=100)
    for block in np.array_split(texts, 20):
        values, counts = np.unique(block, return_counts=True)
        tops.add(pa.array(values), counts)
    truth = pd.Series(texts).value_counts()
    assert 0 < tops.error <= 50_000 / 101  # Misra and Gries's bound
    for text, count in tops.top(5):
        assert truth[text] - tops.error <= count <= truth[text]
    assert [text for text, _ in tops.top(3)] == truth.index[:3].tolist()


def frame(rows: int = 5000):
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "x": pa.array(rng.normal(10, 3, rows), mask=rng.random(rows) < 0.1),
            "n": pa.array(rng.integers(0, 7, rows), mask=rng.random(rows) < 0.2),
            "b": rng.random(rows) < 0.3,
            "s": pa.array(rng.choice(["a", "b", "c", None], rows, p=[0.5, 0.3, 0.1, 0.1]).tolist()),
            "t": pa.array(np.datetime64("2020-01-01", "s") + np.sort(rng.integers(0, 10**6, rows)), pa.timestamp("s")),
            "v": pa.FixedSizeListArray.from_arrays(pa.array(rng.random(rows * 4)), 4),
        }
    )
    return vaex.from_arrow_table(table)


def test_every_column_is_what_pandas_says(monkeypatch):
    monkeypatch.setattr(scan, "BLOCK_ROWS", 777)
    data = frame()
    found = vs.explore(data, progress=False)
    assert found.rows == 5000
    x = data.x.to_pandas_series()
    one = found["x"]
    assert one.missing == x.isna().sum()
    assert (one.min, one.max, one.mean, one.std) == pytest.approx((x.min(), x.max(), x.mean(), x.std(ddof=0)))
    assert one.quantiles([0.5])[0] == pytest.approx(x.median(), rel=1e-3)
    n = data.n.to_pandas_series()
    assert found["n"].missing == n.isna().sum()
    assert dict(found["n"].top(7)) == n.value_counts().astype(int).to_dict()
    assert found["n"].distinct.estimate == 7
    assert found["b"].mean == pytest.approx(data.b.to_numpy().mean())
    s = data.s.to_pandas_series()
    assert found["s"].top(3) == list(s.value_counts().items())
    assert found["s"].missing == s.isna().sum()
    assert found["t"].moment(found["t"].min) == data.t.to_numpy().min()
    assert found["v"].count == 20_000
    assert found["v"].mean == pytest.approx(np.stack(data.v.tolist()).mean())
    counts, edges = found["x"].histogram()
    assert counts.sum() == pytest.approx(one.count, abs=0.01 * one.count)
    assert len(edges) == len(counts) + 1


def test_filters_and_virtual_columns_count():
    data = frame()
    data["double"] = data.x * 2
    some = data[data.b]
    found = vs.explore(some, progress=False)
    x = some.x.to_pandas_series()
    assert found.rows == len(some)
    assert found["x"].mean == pytest.approx(x.mean())
    assert found["double"].mean == pytest.approx(2 * x.mean())
    with pytest.raises(SelectionError, match="filter leaves none"):
        vs.explore(data[data.n > 100], progress=False)


def test_infinite_numbers_are_counted_apart():
    found = vs.explore(vaex.from_arrays(x=np.array([1.0, np.inf, -np.inf, np.nan, 3.0])), progress=False)["x"]
    assert (found.rows, found.missing, found.infinite, found.count, found.mean) == (5, 1, 2, 2, 2.0)


def test_gaps_in_time_are_found():
    seconds = np.concatenate([np.arange(0, 50_000, 10), np.arange(80_000, 100_000, 10)])
    data = vaex.from_arrays(t=np.datetime64("2020-01-01", "s") + seconds)
    gaps = vs.explore(data, progress=False)["t"].gaps()
    assert gaps == [(np.datetime64("2020-01-01T13:53:10"), np.datetime64("2020-01-01T22:13:20"))]
    assert vs.explore(data[data.t < np.datetime64("2020-01-01T12:00:00")], progress=False)["t"].gaps() == []


def test_correlation_is_pandas_pairwise_complete():
    data = frame()
    data["y"] = data.x + 1e9 + data.n * 2
    found = vs.explore(data, progress=False)
    names = ["x", "n", "b", "y"]
    expected = pd.DataFrame({name: data[name].to_pandas_series().astype(float) for name in names}).corr()
    assert np.allclose(found.correlation(names, progress=False), expected, atol=1e-6)
    with pytest.raises(OptionError, match=r"'s': got text, expected a column of numbers"):
        found.correlation(["s"])


def test_counts_of_pairs_are_of_all_rows(monkeypatch):
    monkeypatch.setattr(scan, "BLOCK_ROWS", 500)
    data = frame()
    counts, across, up = vs.explore(data, progress=False).counts2d("n", "s")
    expected = pd.crosstab(data.n.to_pandas_series(), data.s.to_pandas_series())
    assert len(across) == 8
    assert np.array_equal(counts, expected[up].to_numpy())
    counts, *_ = vs.explore(data, progress=False).counts2d("x", "x", bins=10)
    assert counts.sum() == np.trace(counts) == data.x.count()


def test_the_second_time_costs_no_pass(monkeypatch):
    data = frame()
    first = vs.explore(data, progress=False)
    reads = []
    monkeypatch.setattr(exploration, "scan", lambda *a, **k: reads.append(a))
    again = vs.explore(data, progress=False)
    assert not reads
    assert json.dumps(again.to_dict()) == json.dumps(first.to_dict())
    assert again["s"].distinct.shared_with(first["s"].distinct) == 1
    types = source_of(data).types()
    file = cache_file(source_of(data).fingerprint(), types)
    file.write_bytes(file.read_bytes()[:100])
    monkeypatch.undo()
    assert vs.explore(data, progress=False).to_dict() == first.to_dict()


def test_it_shows_itself():
    found = vs.explore(frame(), progress=False)
    assert "5,000 rows, 6 columns" in repr(found)
    page = found._repr_html_()
    assert "<script" not in page
    assert "http" not in page
    assert list(found.table.index) == list(found)
    assert list(found.missing().index) == ["n", "s", "x"] or found.missing()["missing"].is_monotonic_decreasing
    with pytest.raises(ColumnNotFoundError, match="Did you mean"):
        found["xx"]


def test_plots_have_labels(samples, tmp_path):
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    found = vs.explore(frame(), progress=False)
    assert found.plot("x").get_xlabel() == "x"
    times = found.plot("t")
    times.figure.canvas.draw()
    assert [text.get_text() for text in times.get_xticklabels()][:3] == ["Jan", "03", "05"]
    assert times.xaxis.get_major_formatter().get_offset() == "2020-Jan"
    assert [text.get_text() for text in found.plot("b").get_xticklabels()] == ["false", "true"]
    assert all(float(place).is_integer() for place in found.plot("n").get_xticks())
    assert found.plot("t").get_ylabel() == "rows"
    assert found.plot("s").get_xlabel() == "rows"
    assert found.heatmap("x", "s").get_ylabel() == "s"
    with pytest.raises(OptionError, match="bins: got 0, expected 1 to 2,000"):
        found.plot("x", bins=0)
    with pytest.raises(OptionError, match="array of shape"):
        found.heatmap("x", "v")
    plt.close("all")


@settings(max_examples=15)
@given(
    st.lists(st.one_of(st.none(), st.integers(-5, 5)), min_size=1, max_size=40),
    st.lists(st.one_of(st.none(), st.text("ab", max_size=2)), min_size=40, max_size=40),
)
def test_any_small_table(numbers, texts):
    texts = texts[: len(numbers)]
    data = vaex.from_arrow_table(pa.table({"n": pa.array(numbers, pa.int64()), "s": pa.array(texts, pa.string())}))
    found = vs.explore(data, progress=False)
    there = [one for one in numbers if one is not None]
    assert found["n"].missing == len(numbers) - len(there)
    assert found["n"].distinct.estimate == len(set(there))
    assert dict(found["s"].top(99)) == pd.Series(texts, dtype=object).dropna().value_counts().to_dict()
    repr(found)
    found.to_dict()


def test_one_column_may_be_named_alone():
    assert list(vs.explore(frame(), columns="x", progress=False)) == ["x"]


def test_units_come_from_the_schema(tmp_path):
    (tmp_path / "a.csv").write_text("speed,name\n1.5,a\n2.5,b\n")
    schema = {"columns": {"speed": {"type": "float64", "unit": "m/s"}}}
    vs.convert(tmp_path / "a.csv", tmp_path / "a.arrow", schema=schema, progress=False)
    frame = vs.open(tmp_path / "a.arrow")
    for data in (tmp_path / "a.arrow", frame, frame[frame.speed > 2]):
        found = vs.explore(data, progress=False)
        assert found["speed"].unit == "m/s"
    assert "speed (m/s)" in repr(found)
    assert found["speed"].rows == 1
