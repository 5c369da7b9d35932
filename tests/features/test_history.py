"""Features that look back equal pandas over groups, missing values, block borders: rows, windows, stores, records."""

from __future__ import annotations

import itertools
import pickle
import statistics
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import vaex
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vaxseq import FeatureSet, FittedFeatures, Sequence, Window, materialize, split
from vaxseq.errors import DefinitionError, FeatureTypeError, MissingValueError, SelectionError, SourceError
from vaxseq.features.definition.json_schema import json_schema
from vaxseq.features.history import columns
from vaxseq.features.transforms import parse_step
from vaxseq.frame import source_of

nan = np.nan
SERIES = {"group_by": "group", "order_by": "t"}


def run(steps: list[Any], values: Any, position: Any, cuts: list[int], times: Any = None) -> Any:
    """The steps' results, the rows cut into blocks."""
    found = np.asarray(values, np.float64)
    for raw in steps:
        stage = parse_step(raw, "step").stage()
        edges = [0, *cuts, len(found)]
        blocks = [slice(low, high) for low, high in itertools.pairwise(edges)]
        with np.errstate(all="ignore"):
            parts = [stage.run(found[b], position[b], None if times is None else times[b]) for b in blocks]
        found = np.concatenate(parts)
    return found


@st.composite
def series(draw: st.DrawFn) -> tuple[pd.Series, np.ndarray, list[int]]:
    """Values with holes, each row's group in order, and where blocks end."""
    rows = draw(st.integers(1, 120))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    scale = draw(st.sampled_from([1.0, 1e-6, 1e6]))
    values = (rng.normal(size=rows) + draw(st.sampled_from([0.0, 3.0, -100.0]))) * scale
    if draw(st.booleans()):
        values = np.round(values / scale) * scale  # ties and constant stretches
    values[rng.random(rows) < draw(st.sampled_from([0.0, 0.1, 0.6]))] = nan
    values[rng.random(rows) < 0.02] = np.inf
    group = np.sort(rng.integers(0, draw(st.integers(1, 6)), rows))
    cuts = sorted(draw(st.lists(st.integers(0, rows), max_size=8)))
    return pd.Series(values), group, cuts


def equal(got: Any, wanted: Any, scale: Any) -> None:
    """To rtol 1e-9 of the values that went in; pandas' own running sums are no better."""
    wanted = np.asarray(wanted, np.float64)
    greatest = np.nanmax(np.abs(np.where(np.isfinite(scale), scale, 0.0)), initial=0.0)
    np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9 * greatest)


@settings(max_examples=150)
@given(
    data=series(),
    rows=st.integers(1, 40),
    least=st.integers(1, 40),
    name=st.sampled_from(["mean", "std", "min", "max", "sum"]),
)
def test_rolling_equals_pandas_whatever_the_blocks(data: Any, rows: int, least: int, name: str) -> None:
    values, group, cuts = data
    least = min(least, rows)
    grouped = values.groupby(group)
    position = grouped.cumcount().to_numpy()
    step = {"rolling": {"rows": rows, "statistic": name, "min_rows": least}}
    got = run([step], values, position, cuts)
    wanted = getattr(grouped.rolling(rows, min_periods=least), name)().to_numpy()
    if name == "std":  # pandas takes a root of its sums' rounding: compare variances
        got, wanted = got**2, wanted**2
        finite = values[np.isfinite(values)]
        equal(got, wanted, finite**2)
    else:
        equal(got, wanted, values)
    whole = run([step], values, position, [])
    np.testing.assert_array_equal(run([step], values, position, cuts), whole)


@settings(max_examples=60)
@given(data=series(), rows=st.integers(1, 30), halflife=st.sampled_from([0.3, 1.0, 4.0, 25.0]))
def test_lag_diff_and_ewm_equal_pandas_whatever_the_blocks(data: Any, rows: int, halflife: float) -> None:
    values, group, cuts = data
    grouped = values.groupby(group)
    position = grouped.cumcount().to_numpy()
    np.testing.assert_array_equal(run([{"lag": rows}], values, position, cuts), grouped.shift(rows))
    np.testing.assert_array_equal(run([{"diff": rows}], values, position, cuts), grouped.diff(rows))
    finite = values.where(np.isfinite(values))
    got = run([{"ewm": halflife}], values, position, cuts)
    equal(got, finite.groupby(group).ewm(halflife=halflife).mean().to_numpy(), values)
    np.testing.assert_array_equal(got, run([{"ewm": halflife}], values, position, []))
    chain = [{"lag": 1}, {"rolling": {"rows": 3, "min_rows": 2}}, {"diff": rows}]
    mean = finite.groupby(group).transform(lambda one: one.shift(1).rolling(3, min_periods=2).mean().diff(rows))
    equal(run(chain, finite, position, cuts), mean, values)
    np.testing.assert_array_equal(run(chain, values, position, cuts), run(chain, values, position, []))


@given(data=series(), rows=st.integers(1, 30), extra=st.integers(0, 5))
def test_a_window_s_rows_alone_give_the_same_bits(data: Any, rows: int, extra: int) -> None:
    """What is known when a row is served: its last rows, not all that went before."""
    values, group, _ = data
    position = values.groupby(group).cumcount().to_numpy()
    for name in ("mean", "std"):
        step = [{"rolling": {"rows": rows, "statistic": name, "min_rows": 1}}]
        whole = run(step, values, position, [])
        reach = min(position[-1] + 1, rows + extra)
        np.testing.assert_array_equal(run(step, values[-reach:], np.arange(reach), [])[-1], whole[-1])


@pytest.mark.parametrize("offset", [0.0, 1.4e9, -1e12])
def test_std_keeps_its_digits_on_a_large_offset(offset: float) -> None:
    values = np.random.default_rng(1).normal(size=300) + offset
    got = run([{"rolling": {"rows": 37, "statistic": "std"}}], values, np.arange(300), [])
    exact = [float(statistics.stdev([Fraction(one) for one in values[end - 37 : end]])) for end in range(37, 301)]
    np.testing.assert_allclose(got[36:], exact, rtol=1e-12)


def test_a_large_value_leaves_no_trace() -> None:
    values = np.array([0.1, 1e18, 0.1, 0.2, 0.3, 0.4])
    np.testing.assert_array_equal(
        run([{"rolling": {"rows": 2, "statistic": "sum"}}], values, np.arange(6), [])[3:],
        [0.1 + 0.2, 0.2 + 0.3, 0.3 + 0.4],
    )
    flat = np.full(50, 0.1)
    assert (run([{"rolling": {"rows": 7, "statistic": "std"}}], flat, np.arange(50), [])[6:] == 0).all()


@given(data=series(), unit=st.sampled_from([None, "rows", "min"]), timed=st.booleans())
def test_since_equals_a_walk_over_the_rows(data: Any, unit: Any, timed: bool) -> None:
    values, group, cuts = data
    position = values.groupby(group).cumcount().to_numpy()
    events = values.to_numpy() > np.nanmedian(values) if values.notna().any() else np.zeros(len(values), bool)
    clock = np.cumsum(np.arange(len(values)) % 7)
    times = clock.astype("M8[s]") if timed or unit == "min" else clock
    wanted, last = [], None
    for row, event in enumerate(events):
        last = None if position[row] == 0 else last
        last = row if event else last
        past = nan if last is None else row - last if unit == "rows" else clock[row] - clock[last]
        wanted.append(past / 60 if unit == "min" else past)
    got = run(["since" if unit is None else {"since": unit}], events, position, cuts, times)
    np.testing.assert_array_equal(got, wanted)


def made(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "group": [f"g{one}" for one in np.sort(rng.integers(0, 5, rows))],
            "t": np.datetime64("2014-01-01", "s") + np.cumsum(rng.integers(1, 900, rows)).astype("m8[s]"),
            "wind": rng.normal(8, 3, rows),
            "code": rng.integers(0, 9, rows),
            "y": rng.normal(size=rows).astype(np.float32),
            "keep": rng.random(rows) < 0.8,
        }
    )


def arrow(data: pd.DataFrame, path: Path, batch_rows: int = 97) -> Any:
    table = pa.Table.from_pandas(data, preserve_index=False)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=batch_rows)
    return vaex.open(str(path))


FILL: dict[str, Any] = {"impute": {"strategy": "constant", "value": 0.0}}
DEFINITION: dict[str, Any] = {
    "series": SERIES,
    "columns": {"cube": "wind ** 3"},
    "inputs": {
        "x": {
            "dtype": "float64",
            "features": [
                {"column": "wind"},
                {"column": "wind", "name": "lag", "steps": [{"lag": {"rows": 2}}, FILL]},
                {"column": "cube", "name": "mean", "steps": [{"rolling": {"rows": 6, "min_rows": 1}}]},
                {"column": "wind", "name": "ewm", "steps": [{"ewm": {"halflife_rows": 3}}, "standardize"]},
                {"expr": "code == 4", "name": "since", "steps": [{"since": {"unit": "min"}}, FILL]},
                {"expr": "col('x__lag') - wind", "name": "change"},
            ],
        }
    },
    "targets": {"y": {"column": "y"}},
}


def expected(data: pd.DataFrame, fitted: FittedFeatures) -> np.ndarray:
    """The features by pandas."""
    lag = data.groupby("group").wind.shift(2).fillna(0.0)
    mean = (data.wind**3).groupby(data.group).rolling(6, min_periods=1).mean().to_numpy()
    ewm = data.groupby("group").wind.ewm(halflife=3).mean().to_numpy()
    learned = fitted.state.learned["x.ewm"][0]
    event = data.t.where(data.code == 4).groupby(data.group).ffill()
    since = ((data.t - event).dt.total_seconds() / 60).fillna(0.0)
    return np.column_stack([data.wind, lag, mean, (ewm - learned["mean"]) / learned["std"], since, lag - data.wind])


def rows_of(sequence: Sequence) -> np.ndarray:
    return np.concatenate([np.asarray(sequence.batch(0, number)[0]) for number in range(len(sequence))])


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.integers(60, 400), seed=st.integers(0, 99), block=st.sampled_from([13, 64, 65_536]))
@pytest.mark.slow
def test_rows_windows_stores_and_records_equal_pandas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, seed: int, block: int
) -> None:
    monkeypatch.setattr(columns, "BLOCK_ROWS", block)
    monkeypatch.setenv("VAXSEQ_CACHE", str(tmp_path / f"cache-{rows}-{seed}-{block}"))
    data = made(rows, seed)
    frame = arrow(data, tmp_path / f"{rows}-{seed}-{block}.arrow")
    fitted = FeatureSet.from_dict(DEFINITION).fit(frame, where="keep", progress=False)
    assert FittedFeatures.from_json(fitted.to_json()) == fitted
    wanted = expected(data, fitted)
    options: dict[str, Any] = {"batch_size": 50, "shuffle": False}

    plain = rows_of(Sequence(frame, fitted, **options))
    np.testing.assert_allclose(plain, wanted, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(rows_of(Sequence(frame, fitted, where="keep", **options)), plain[data.keep])
    np.testing.assert_array_equal(fitted.transform_records(data)["x"], plain)
    frames = fitted.transform(frame)
    np.testing.assert_array_equal(
        np.column_stack([frames[f"x__{n}"].to_numpy() for n in ("lag", "since")]), plain[:, [1, 4]]
    )

    window = Window(7, group_by="group", order_by="t")
    windows = Sequence(frame, fitted, window=window, **options)
    store = tmp_path / f"{rows}-{seed}-{block}.store"
    materialize(frame, fitted, store, overwrite=True, progress=False)
    stored = Sequence(frame, fitted, store=store, window=window, **options)
    places = np.concatenate([windows.row_ids(number) for number in range(len(windows))])
    for one in (windows, stored):
        np.testing.assert_array_equal(rows_of(one), np.stack([plain[last - 6 : last + 1] for last in places]))


def test_the_past_is_the_frame_s_whatever_the_filter_or_split(tmp_path: Path) -> None:
    data = made(400, 3)
    frame = arrow(data, tmp_path / "a.arrow")
    fitted = FeatureSet.from_dict(DEFINITION).fit(frame, progress=False)
    whole = rows_of(Sequence(frame, fitted, batch_size=64, shuffle=False))
    files = sorted(columns.cache_folder().glob("history-*"))
    narrowed = frame[frame.wind > 8]
    np.testing.assert_array_equal(
        rows_of(Sequence(narrowed, fitted, batch_size=64, shuffle=False)), whole[data.wind > 8]
    )
    parts = split(frame, {"train": 0.5, "test": 0.5}, seed=1)
    for part in (parts["train"], parts["test"]):
        sequence = Sequence(part, fitted, batch_size=64, shuffle=False)
        ids = np.concatenate([sequence.row_ids(number) for number in range(len(sequence))])
        np.testing.assert_array_equal(rows_of(sequence), whole[ids])
    assert sorted(columns.cache_folder().glob("history-*")) == files  # computed once for all of these


def test_a_column_of_the_past_is_made_once_and_is_the_same_when_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAXSEQ_CACHE", str(tmp_path / "cache"))
    frame = arrow(made(300, 5), tmp_path / "a.arrow")
    fitted = FeatureSet.from_dict(DEFINITION).fit(frame, progress=False)
    source = fitted.source_of(frame)
    files = {file.name: file.read_bytes() for file in (tmp_path / "cache").glob("*")}
    assert len(files) == 4 and all(name.startswith("history-") for name in files)
    monkeypatch.setattr(columns, "_compute", lambda *_: pytest.fail("computed again"))
    again = fitted.source_of(frame)
    assert again.fingerprint() == source.fingerprint()
    assert again.names == source.names
    monkeypatch.undo()
    monkeypatch.setenv("VAXSEQ_CACHE", str(tmp_path / "other"))
    assert fitted.source_of(frame).fingerprint() == source.fingerprint()
    frame["double"] = frame.wind * 2
    assert {file.name for file in (tmp_path / "other").glob("*")} == set(files)
    changed = made(300, 5).assign(wind=1.0)
    fitted.source_of(arrow(changed, tmp_path / "b.arrow"))
    assert len(list((tmp_path / "other").glob("*"))) == 8


def test_another_process_reads_the_same_files(tmp_path: Path) -> None:
    frame = arrow(made(2000, 6), tmp_path / "a.arrow")
    fitted = FeatureSet.from_dict(DEFINITION).fit(frame, progress=False)
    source = fitted.source_of(frame)
    sent = pickle.dumps(source.spec())
    assert len(sent) < 20_000
    opened = pickle.loads(sent).open()
    name = next(name for name in source.names if name.startswith("__history_"))
    ids = np.array([1999, 0, 777])
    np.testing.assert_array_equal(opened.gather([name], ids)[name].data, source.gather([name], ids)[name].data)
    bound = pickle.loads(pickle.dumps(fitted.transform(frame)))
    np.testing.assert_array_equal(bound["x__mean"].to_numpy(), fitted.transform(frame)["x__mean"].to_numpy())


def test_frames_in_memory_and_of_no_order(tmp_path: Path) -> None:
    data = made(200, 7)
    definition = {**DEFINITION, "series": {}, "targets": {}}
    definition["inputs"] = {"x": {"features": [{"column": "wind", "steps": [{"diff": 1}, FILL]}]}}
    fitted = FeatureSet.from_dict(definition).fit(vaex.from_pandas(data), progress=False)
    got = rows_of(Sequence(vaex.from_pandas(data), fitted, batch_size=200, shuffle=False))[:, 0]
    np.testing.assert_array_equal(got, data.wind.diff().fillna(0.0).astype(np.float32))
    sliced = rows_of(Sequence(vaex.from_pandas(data)[50:90], fitted, batch_size=200, shuffle=False))[:, 0]
    assert sliced[0] == 0 and sliced[1] == got[51]  # a slice is a frame of its own: nothing stands before it


def test_a_gap_begins_a_new_series(tmp_path: Path) -> None:
    data = made(300, 8)
    gap = data.groupby("group").t.diff() > pd.Timedelta("10min")
    assert gap.any()
    definition = {**DEFINITION, "series": {**SERIES, "max_gap": "10min"}}
    definition["inputs"] = {"x": {"dtype": "float64", "features": [{"column": "wind", "steps": ["lag", FILL]}]}}
    fitted = FeatureSet.from_dict(definition).fit(arrow(data, tmp_path / "a.arrow"), progress=False)
    wanted = data.groupby([data.group, gap.cumsum()]).wind.shift(1).fillna(0.0)
    np.testing.assert_array_equal(fitted.transform_records(data)["x"][:, 0], wanted)


def test_the_window_block_says_the_series_too(tmp_path: Path) -> None:
    window = {"length": 4, "group_by": ["group"], "order_by": "t", "max_gap": "10min"}
    definition = {**{key: value for key, value in DEFINITION.items() if key != "series"}, "window": window}
    data = made(300, 9)
    frame = arrow(data, tmp_path / "a.arrow")
    one = FeatureSet.from_dict(definition).fit(frame, progress=False)
    other = FeatureSet.from_dict(DEFINITION).fit(frame, progress=False)
    np.testing.assert_array_equal(one.transform_records(data)["x"], other.transform_records(data)["x"])
    assert FeatureSet.from_dict(one.feature_set.to_dict()) == one.feature_set


def test_first_rows_are_missing_and_the_usual_rule_applies(tmp_path: Path) -> None:
    data = made(200, 10)
    frame = arrow(data, tmp_path / "a.arrow")
    definition = {**DEFINITION, "inputs": {"x": {"features": [{"column": "wind", "steps": [{"lag": 3}]}]}}}
    groups = data.group.nunique()
    with pytest.raises(MissingValueError, match=rf"x.wind \(col\('wind'\)\): {3 * groups} of 200 training rows"):
        FeatureSet.from_dict(definition).fit(frame, progress=False)
    first = data.groupby("group").cumcount() < 3
    definition["inputs"]["x"]["features"][0]["steps"].append({"impute": {"strategy": "mean", "indicator": True}})
    fitted = FeatureSet.from_dict(definition).fit(frame, progress=False)
    got = fitted.transform_records(data)["x"]
    np.testing.assert_array_equal(got[:, 1], first)
    encoded = fitted.encode_records(data.iloc[:5])
    np.testing.assert_array_equal(np.isnan(encoded["x__wind"]).reshape(-1), [True] * 3 + [False] * 2)
    assert "lag(rows=3)" in repr(fitted.summary().data) or "lag" in str(fitted.summary().data)


def test_a_target_may_look_back_and_is_not_undone(tmp_path: Path) -> None:
    data = made(200, 11)
    definition = {**DEFINITION, "targets": {"step": {"column": "wind", "dtype": "float64", "steps": ["diff"]}}}
    frame = arrow(data, tmp_path / "a.arrow")
    fitted = FeatureSet.from_dict(definition).fit(frame, progress=False)
    sequence = Sequence(frame, fitted, batch_size=200, shuffle=False, on_missing="drop")
    wanted = data.groupby("group").wind.diff().dropna()
    np.testing.assert_array_equal(np.concatenate([np.asarray(sequence.batch(0, 0)[1]).reshape(-1)]), wanted)
    with pytest.raises(FeatureTypeError, match=r"target.step: step 'diff' looks back, so it can't be undone"):
        fitted.inverse_transform("step", [1.0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.iloc[::-1], r"series: row 1 goes back in time; got .* after .*vaxseq convert --sort-by"),
        (lambda d: pd.concat([d, d[:1]]), r"series: group .* comes back in row 200 after another group"),
        (lambda d: d.assign(t=d.t.where(d.index != 7)), r"series: 1 rows have no time, first in row 7"),
    ],
)
def test_rows_out_of_order_are_refused(tmp_path: Path, change: Any, message: str) -> None:
    frame = arrow(change(made(200, 12)), tmp_path / "a.arrow")
    with pytest.raises((SelectionError, MissingValueError), match=message):
        FeatureSet.from_dict(DEFINITION).fit(frame, progress=False)


def test_equal_times_are_told(tmp_path: Path) -> None:
    data = made(200, 13)
    data.loc[1, "t"] = data.t[0]
    with pytest.warns(UserWarning, match="series: 1 row has the same 't' as the row before .* row 1"):
        FeatureSet.from_dict(DEFINITION).fit(arrow(data, tmp_path / "a.arrow"), progress=False)


def one(steps: list[Any], **more: Any) -> dict[str, Any]:
    return {"series": SERIES, "inputs": {"x": {"features": [{"column": "wind", "steps": steps}]}}, **more}


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        (one(["standardize", "lag"]), r"steps\[1\]: 'lag' looks back, so it can't come after 'standardize'"),
        (one(["lag"], series=None), r"steps\[0\]: 'lag' looks back, but in what isn't said. Add series:"),
        (one([{"rolling": {"rows": 3, "min_rows": 4}}]), r"min_rows: expected at most rows \(3\)"),
        (one([{"rolling": {"rows": 3, "statistic": "median"}}]), r"rolling.statistic: .*'max' or 'sum'; got 'median'"),
        (one([{"lag": 0}]), r"greater than or equal to 1; got 0"),
        (one([{"ewm": 1e9}]), r"less than or equal to 10922"),
        (one(["lag"], series={"max_gap": "1h"}), r"series.max_gap: needs a column to measure"),
        (one(["lag"], series={"order_by": "t", "max_gap": "soon"}), r"series.max_gap: got 'soon', expected"),
        (one(["lag"], series={"groups": "group"}), r"series.groups: unknown key 'groups'. Did you mean 'group_by'"),
    ],
)  # fmt: skip
def test_a_definition_says_what_is_wrong(definition: Any, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        FeatureSet.from_dict(definition)


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        (one(["lag"], series={"group_by": "gruop"}), r"series: column 'gruop' isn't in the data. Did you mean 'group'"),
        (one(["lag"], series={"order_by": "group"}), r"order_by='group': got text, expected times or numbers"),
        (one(["lag"], series={"order_by": "t", "max_gap": 5}), r"max_gap: got 5 for a column of datetime"),
        (one([{"since": "h"}], series={"order_by": "code"}), r"unit 'h' needs .* times; got order_by of int"),
        ({**one(["lag"]), "columns": {"w": "wind > 3"}, "inputs": {"x": {"features": [
            {"column": "group", "steps": ["lag"]}]}}}, r"step 'lag': can't take this column; got text"),
        ({**one([]), "inputs": {"x": {"features": [{"column": "wind"}, {"expr": "col('x__wind') + 1", "name": "more",
            "steps": ["lag"]}]}}}, r"'lag' looks back, so it can't read the feature 'x__wind'"),
    ],
)  # fmt: skip
def test_a_check_reads_no_rows_and_says_what_is_wrong(tmp_path: Path, definition: Any, message: str) -> None:
    frame = arrow(made(50, 14), tmp_path / "a.arrow")
    before = set(columns.cache_folder().glob("*"))
    with pytest.raises((DefinitionError, FeatureTypeError), match=message):
        FeatureSet.from_dict(definition).check(frame)
    FeatureSet.from_dict(DEFINITION).check(frame)
    assert set(columns.cache_folder().glob("*")) == before


def test_a_cache_folder_that_can_t_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VAXSEQ_CACHE", str(tmp_path / "file" / "cache"))
    frame = arrow(made(50, 15), tmp_path / "a.arrow")
    with pytest.raises(SourceError, match="can't hold 1,600 bytes of columns that look back.*Set VAXSEQ_CACHE"):
        FeatureSet.from_dict(DEFINITION).fit(frame, progress=False)


def test_the_key_sees_data_functions_and_nothing_else(tmp_path: Path) -> None:
    frame = arrow(made(50, 16), tmp_path / "a.arrow")
    key = source_of(frame).rows_fingerprint(["wind"])
    assert source_of(frame[frame.wind > 3]).rows_fingerprint(["wind"]) == key
    more = frame.copy()
    more["double"] = more.wind * 2
    assert source_of(more).rows_fingerprint(["wind"]) == key
    assert source_of(more).rows_fingerprint(["double"]) != key
    assert source_of(frame[5:30]).rows_fingerprint(["wind"]) != key
    scaled = {}
    for scale in (2.0, 3.0):
        learned = one([{"impute": {"strategy": "constant", "value": scale}}])
        scaled[scale] = FeatureSet.from_dict(learned).fit(frame, progress=False).transform(frame)
    keys = {source_of(bound).rows_fingerprint(["x__wind"]) for bound in scaled.values()}
    assert len(keys) == 2  # the same expression over another function


def test_the_schema_knows_the_steps_and_the_series() -> None:
    import jsonschema

    jsonschema.validate(DEFINITION, json_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**DEFINITION, "series": {"group": "x"}}, json_schema())
