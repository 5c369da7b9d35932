"""The fit: what it learns, in how many scans, to which bits, and what it refuses."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vaxseq.features.learning.fit as fit_module
import vaxseq.features.learning.scan as scan_module
from vaxseq.errors import ColumnNotFoundError, DefinitionError, FeatureTypeError, FitError, MissingValueError
from vaxseq.expressions import parse
from vaxseq.expressions.values import Value, from_raw
from vaxseq.features.learners.base import Rows
from vaxseq.features.learners.counts import Counts
from vaxseq.features.learners.sample import Sample
from vaxseq.features.learning.fit import fit_features
from vaxseq.features.learning.fit_plan import Chain, FitPlan, FitResult
from vaxseq.features.transforms import parse_step


class MemorySource:
    """A Source of in-memory columns."""

    def __init__(self, columns: dict, mask: np.ndarray | None = None) -> None:
        self.columns = {name: from_raw(raw) for name, raw in columns.items()}
        self.mask = mask
        self.names = tuple(columns)
        self.n_rows = len(next(iter(self.columns.values())))
        self.reads: list[tuple[int, int]] = []

    def read(self, names, start: int, stop: int) -> dict[str, Value]:
        self.reads.append((start, stop))
        return {name: self.columns[name].slice(start, stop) for name in names}

    def empty(self, names) -> dict[str, Value]:
        return {name: self.columns[name].slice(0, 0) for name in names}

    def filter_mask(self, start: int, stop: int) -> np.ndarray | None:
        return None if self.mask is None else self.mask[start:stop]

    def spec(self) -> MemorySpec:
        return MemorySpec(self)


class MemorySpec:
    def __init__(self, source: MemorySource) -> None:
        self.source = source

    def open(self) -> MemorySource:
        return self.source


def plan(
    chains: dict[str, list], *, where: str | None = None, columns: dict[str, str] | None = None, complete: bool = True
) -> FitPlan:
    made = tuple(
        Chain(name, parse(name.split(":")[0]), tuple(parse_step(step, name) for step in steps), complete)
        for name, steps in chains.items()
    )
    derived = tuple((name, parse(text)) for name, text in (columns or {}).items())
    return FitPlan(made, derived, parse(where) if where else None)


def fit(data: dict, chains: dict[str, list], *, mask=None, executor=None, **options) -> FitResult:
    return fit_features(plan(chains, **options), MemorySource(data, mask), executor=executor, progress=False)


@pytest.fixture
def small_units(monkeypatch):
    """Units of two blocks, so that a few thousand rows make many."""
    for module in (fit_module, scan_module):
        monkeypatch.setattr(module, "UNIT_ROWS", 2_000)
    monkeypatch.setattr(scan_module, "BLOCK_ROWS", 1_000)


def mixed_columns(n: int = 11_500, seed: int = 0) -> dict:
    rng = np.random.default_rng(seed)
    x = rng.normal(50, 7, n)
    x[rng.random(n) < 0.05] = np.nan
    return {
        "x": x,
        "t": 1.4e9 + rng.normal(0, 288.67, n),
        "i": np.ma.array(rng.integers(-5, 40, n), mask=rng.random(n) < 0.1),
        "s": pa.array(rng.choice(["a", "b", "c", None], n, p=[0.5, 0.2, 0.2, 0.1])),
        "d": pa.array(rng.choice(["x", "y", None], n)).dictionary_encode(),
        "a": rng.normal(3, 2, (n, 4)),
    }


ALL_CHAINS = {
    "x": [{"impute": {"strategy": "median", "indicator": True}}, {"clip": {"quantiles": [0.01, 0.99]}}, "standardize"],
    "x:1": [{"impute": {"strategy": "mean"}}, "standardize"],
    "t": ["standardize"],
    "t:1": ["quantile"],
    "i": ["vocabulary"],
    "i:1": ["frequency"],
    "s": ["one_hot"],
    "d": ["vocabulary"],
    "a": ["standardize", {"pca": 2}],
    "a:1": [{"min_max": {"per": "channel"}}],
    "x:2": [{"impute": "median"}, "robust"],
}


def test_moments_equal_numpy_on_unix_seconds():
    t = 1.4e9 + np.random.default_rng(1).normal(0, 288.67, 150_000)
    learned = fit({"t": t}, {"t": ["standardize"]}).of("t")[0]
    assert learned["mean"] == pytest.approx(t.mean(), rel=1e-12)
    assert learned["std"] == pytest.approx((t - t.mean()).std(), rel=1e-9)


def test_a_constant_has_no_spread():
    learned = fit({"t": np.full(100_000, 1e9 + 0.1)}, {"t": ["standardize"]}).of("t")[0]
    assert learned == {"mean": 1e9 + 0.1, "std": 0.0}


def test_scans_are_as_few_as_the_steps_allow():
    columns = mixed_columns()
    assert fit(columns, {"t": ["standardize"], "t:1": ["quantile"], "s": ["one_hot"]}).scans == 1
    assert fit(columns, {"x": [{"impute": "mean"}, "standardize"]}).scans == 1, "a fill is folded in"
    assert fit(columns, {"x": [{"impute": "median"}, {"clip": {"quantiles": [0.1, 0.9]}}, "standardize"]}).scans == 2
    assert fit(columns, {"t": ["standardize", "min_max"]}).scans == 2
    assert fit(columns, {"t": []}).scans == 1


@pytest.mark.parametrize("strategy", ["mean", "median", "mode"])
@pytest.mark.parametrize(
    "following", ["standardize", "min_max", "max_abs", "robust", {"clip": {"quantiles": [0.1, 0.6]}}]
)
def test_a_folded_fill_equals_filled_rows(strategy, following):
    x = mixed_columns()["x"].round(0)
    folded = fit({"x": x}, {"x": [{"impute": strategy}, following]})
    filled = np.where(np.isnan(x), folded.of("x")[0]["fill"], x)
    apart = fit({"x": filled}, {"x": [following]}).of("x")[0]
    assert folded.scans == 1
    assert folded.of("x")[1] == pytest.approx(apart, rel=1e-12)


def test_learned_values_are_json(small_units):
    learned = fit(mixed_columns(), ALL_CHAINS).learned
    assert json.loads(json.dumps(learned)) == {name: list(values) for name, values in learned.items()}


class LastFirst(ThreadPoolExecutor):
    """Earlier units finish later."""

    def submit(self, fn, /, *args, **kwargs):
        def late():
            time.sleep(0.02 if args[1] % 4_000 == 0 else 0.0)
            return fn(*args, **kwargs)

        return super().submit(late)


def test_bits_depend_on_no_executor(small_units):
    columns = mixed_columns()
    here = fit(columns, ALL_CHAINS)
    with LastFirst(3) as threads:
        assert fit(columns, ALL_CHAINS, executor=threads) == here


@pytest.mark.slow
def test_bits_depend_on_no_process(monkeypatch, forkserver):
    monkeypatch.setattr(fit_module, "UNIT_ROWS", 2 * scan_module.BLOCK_ROWS)
    columns = mixed_columns(5 * scan_module.BLOCK_ROWS - 100)
    here = fit(columns, ALL_CHAINS)
    with ProcessPoolExecutor(2, mp_context=forkserver) as processes:
        assert fit(columns, ALL_CHAINS, executor=processes) == here


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of dask and its event loop
def test_dask_gives_the_same_bits(small_units):
    distributed = pytest.importorskip("distributed")
    columns = mixed_columns()
    here = fit(columns, ALL_CHAINS)
    with distributed.Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=":0") as client:
        assert fit(columns, ALL_CHAINS, executor=client.get_executor()) == here


def test_blocks_of_wide_rows_are_short():
    source = MemorySource({"a": np.random.default_rng(0).normal(size=(700, 40_000))})
    learned = fit_features(plan({"a": ["standardize"]}), source, progress=False).of("a")[0]
    assert max(stop - start for start, stop in source.reads) == 64
    np.testing.assert_allclose(learned["std"], source.columns["a"].data.std(axis=0), rtol=1e-9)


def test_rows_are_those_of_the_filter_and_where(small_units):
    n = 5_000
    x, g = np.arange(n, dtype=float), np.arange(n) % 3
    mask = np.arange(n) % 2 == 0
    result = fit({"x": x, "g": g}, {"x": ["standardize"]}, mask=mask, where="g == 1")
    chosen = x[mask & (g == 1)]
    assert result.rows == len(chosen)
    assert result.of("x")[0]["mean"] == pytest.approx(chosen.mean(), rel=1e-12)


def test_derived_columns_in_any_order():
    result = fit({"x": np.arange(10.0)}, {"b": ["max_abs"]}, columns={"b": "a * 2", "a": "x + 1"})
    assert result.of("b")[0] == {"max_abs": 20.0}


def test_missing_values_are_refused_by_name_and_count():
    x = np.array([1.0, np.nan, 3.0, np.nan])
    with pytest.raises(MissingValueError, match=r"x \(x\): 2 of 4 training rows .*\nSay what .*impute"):
        fit({"x": x}, {"x": ["standardize"]})
    with pytest.raises(MissingValueError, match="x:1 .*3 of 4"):
        fit({"x": np.array([-3.0, np.nan, 2.0, -9.0])}, {"x": [{"impute": "mean"}], "x:1": ["sqrt", "standardize"]})
    with pytest.raises(MissingValueError, match="2 of 4"):
        fit({"x": np.array([-3.0, 4.0, 2.0, -9.0])}, {"x": ["standardize", "sqrt"]})
    assert fit({"x": x}, {"x": ["standardize"]}, complete=False).missing == {"x": 2}
    assert fit({"x": x}, {"x": [{"impute": "mean"}, "standardize"]}).missing == {"x": 2}


def test_refusals_name_feature_and_step():
    with pytest.raises(FitError, match="no training rows; got 0 of 3"):
        fit({"x": np.arange(3.0)}, {"x": ["standardize"]}, where="x > 5")
    with pytest.raises(FitError, match="x: step 'impute': nothing to learn from"):
        fit({"x": np.full(3, np.nan)}, {"x": [{"impute": "mean"}]})
    with pytest.raises(FitError, match="x: step 'standardize': .*infinite values"):
        fit({"x": np.array([1.0, np.inf])}, {"x": ["standardize"]})
    with pytest.raises(FeatureTypeError, match="s: step 'standardize': can't take this column; got text"):
        fit({"s": pa.array(["a"])}, {"s": ["standardize"]})
    with pytest.raises(ColumnNotFoundError, match="distanse: no column 'distanse'. Did you mean 'distance'"):
        fit({"distance": np.arange(3.0)}, {"distanse": []})
    with pytest.raises(DefinitionError, match="a column can't need itself"):
        fit({"x": np.arange(3.0)}, {"a": []}, columns={"a": "b + 1", "b": "a + 1"})


def test_too_many_distinct_values_name_hash(small_units):
    counts = Counts("Use the step hash.", limit=100)
    counts.update(from_raw(np.arange(90) * 10**6), None)
    counts.update(from_raw(np.arange(90)), None)
    with pytest.raises(FitError, match="more than 100 distinct values. Use the step hash"):
        counts.finish()


def test_vocabulary_is_exact_and_ordered(small_units):
    words = [f"w{i % 7 * i % 41}" for i in range(9_000)] + [None, ""]
    learned = fit({"s": pa.array(words)}, {"s": ["vocabulary"]}).of("s")[0]
    numbers: dict[str, int] = {}
    for word in words[:-2] + [""]:
        numbers[word] = numbers.get(word, 0) + 1
    expected = sorted(numbers, key=lambda word: (-numbers[word], word))
    assert learned["values"] == expected
    assert learned["counts"] == [numbers[word] for word in expected]
    assert fit({"s": pa.array(words).dictionary_encode()}, {"s": ["vocabulary"]}).of("s")[0] == learned


@pytest.mark.parametrize("kept", [500, 5_000, 50_000])
def test_a_sample_depends_on_no_order(kept):
    rng = np.random.default_rng(2)
    x = rng.normal(size=20_000)
    x[::17] = np.nan
    ids = np.arange(20_000)

    def part(rows):
        sample = Sample((0.5,), kept)
        for block in np.array_split(rows, 7):
            sample.update(Value(x[block]), Rows(block.astype(np.int64)))
        return sample

    whole = part(ids)
    merged = part(ids[15_000:])
    for rows in (ids[:4_000], ids[4_000:14_900], ids[14_900:15_000]):
        merged.merge(part(rows))
    assert merged.power == whole.power and merged.kept == whole.kept
    kept_values = np.sort(np.concatenate(whole.values))
    assert np.array_equal(np.sort(np.concatenate(merged.values)), kept_values)
    valid = int((~np.isnan(x)).sum())
    assert len(kept_values) == valid if valid <= kept else 0.7 * kept < len(kept_values) <= kept
    assert whole.finish() == merged.finish() == {"quantiles": [np.quantile(kept_values, 0.5)]}


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=60), st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_quantiles_are_numpys_to_the_bit(values, shares):
    sample = Sample(tuple(shares))
    sample.update(Value(np.array(values)), Rows(np.arange(len(values))))
    assert sample.finish()["quantiles"] == np.quantile(values, shares).tolist()


@pytest.mark.slow
def test_quantiles_of_many_rows_stay_within_the_rank_error():
    n = 6_000_000
    x = np.random.default_rng(3).lognormal(0, 4, n)
    learned = fit({"x": x}, {"x": ["quantile"]}).of("x")[0]["quantiles"]
    ranks = np.searchsorted(np.sort(x), learned[1:-1]) / n
    assert np.abs(ranks - np.linspace(0, 1, 1000)[1:-1]).max() < 0.002


def _die(*arguments):
    os._exit(1)


@pytest.mark.slow
def test_a_killed_worker_is_an_error(monkeypatch, forkserver):
    monkeypatch.setattr(fit_module, "run_described", _die)
    with (
        ProcessPoolExecutor(1, mp_context=forkserver) as processes,
        pytest.raises(FitError, match="a worker died at or near rows 0 to 3"),
    ):
        fit({"x": np.arange(3.0)}, {"x": ["standardize"]}, executor=processes)
