"""Windows: equal to a brute-force reference over groups, gaps, filters, strides and horizons, lazily and stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import vaex
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vaxseq.errors import FeatureTypeError, MissingValueError, OptionError, SelectionError, StoreError
from vaxseq.plan.window import Window
from vaxseq.store import materialize
from vaxseq.training.sequence import Sequence


def made(rows: int, groups: int, seed: int) -> pd.DataFrame:
    """Groups one after the other, times that rise unevenly within each."""
    rng = np.random.default_rng(seed)
    group = np.sort(rng.integers(0, groups, rows))
    step = np.where(rng.random(rows) < 0.1, 100, rng.integers(1, 5, rows))
    return pd.DataFrame(
        {
            "group": [f"g{one}" for one in group],
            "t": np.cumsum(step),
            "a": rng.random(rows).astype(np.float32),
            "b": rng.random(rows),
            "y": rng.integers(0, 3, rows),
            "keep": rng.random(rows) < 0.9,
        }
    )


def reference(data: pd.DataFrame, window: Window, kept: np.ndarray[Any, Any]) -> list[tuple[Any, Any, int]]:
    """(x, y, row id) of each window, row by row in plain Python; x is padded with zeros on the left."""
    runs: list[list[int]] = []
    for row in range(len(data)):
        if not kept[row]:
            continue
        joins = (
            bool(runs)
            and runs[-1][-1] == row - 1
            and data.group[row] == data.group[row - 1]
            and (window.max_gap is None or data.t[row] - data.t[row - 1] <= window.max_gap)
        )
        if joins:
            runs[-1].append(row)
        else:
            runs.append([row])
    found = []
    for run in runs:
        usable = len(run) - window.horizon
        starts = list(range(0, usable - window.length + 1, window.stride))
        if not starts and usable > 0 and usable >= window.min_valid * window.length - 1e-9:
            starts = [0]
        for start in starts:
            rows = run[start : min(start + window.length, usable)]
            ahead = run[usable if len(rows) < window.length else start + window.length :][: window.horizon] or rows
            ahead = ahead[-(window.target_length or len(ahead)) :]
            x = data.loc[rows, ["a", "b"]].to_numpy().astype(np.float32)
            x = np.concatenate([np.zeros((window.length - len(x), 2), np.float32), x])
            y = data.loc[ahead, "y"].to_numpy()
            if window.target == "last":
                y = y[-1]
            elif window.target == "mean":
                y = np.float32(y.mean())
            elif window.target == "mode":
                y = np.bincount(y).argmax()
            else:
                width = window.target_length or window.horizon or window.length
                y = np.concatenate([np.zeros(width - len(y), y.dtype), y])
            found.append((x, y, ahead[-1]))
    return found


def arrow(data: pd.DataFrame, path: Path, batch_rows: int) -> Any:
    table = pa.Table.from_pandas(data, preserve_index=False)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=batch_rows)
    return vaex.open(str(path))


def served(sequence: Sequence, epoch: int = 0) -> list[tuple[Any, Any, int]]:
    found = []
    for number in range(len(sequence)):
        x, y, *_ = sequence.batch(epoch, number)
        x, y = np.asarray(x["x"] if isinstance(x, dict) else x), np.asarray(y)
        rows = sequence.row_ids(number, epoch).tolist()  # what fills up a shard's last batch isn't among them
        found += list(zip(x[: len(rows)], y[: len(rows)], rows, strict=True))
    return found


def same(got: list[tuple[Any, Any, int]], wanted: list[tuple[Any, Any, int]]) -> None:
    assert len(got) == len(wanted)
    for (x, y, row), (x0, y0, row0) in zip(got, wanted, strict=True):
        assert row == row0
        np.testing.assert_array_equal(x, x0)
        np.testing.assert_array_equal(y, y0)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(30, 300),
    groups=st.integers(1, 6),
    seed=st.integers(0, 99),
    length=st.integers(1, 7),
    stride=st.integers(1, 5),
    horizon=st.integers(0, 3),
    target=st.sampled_from(["last", "mean", "mode", "sequence"]),
    target_length=st.sampled_from([None, 1, 2, 3]),
    min_valid=st.sampled_from([1.0, 0.5, 0.01]),
    gap=st.sampled_from([None, 20]),
    filtered=st.booleans(),
    batch_size=st.integers(1, 40),
    piece=st.integers(7, 100),
)
def test_windows_equal_the_reference(
    tmp_path: Path, rows: int, groups: int, seed: int, length: int, stride: int, horizon: int, target: Any,
    target_length: int | None, min_valid: float, gap: Any, filtered: bool, batch_size: int, piece: int,
) -> None:  # fmt: skip
    data = made(rows, groups, seed)
    # a file of its own: an earlier example's threads may still read ahead from theirs
    frame = arrow(data, tmp_path / f"{uuid4()}.arrow", piece)
    if target_length is not None:
        target_length = min(target_length, horizon or length)
    window = Window(
        length, stride, group_by="group", order_by="t", horizon=horizon, target=target, target_length=target_length,
        max_gap=gap, min_valid=min_valid,
    )  # fmt: skip
    kept = data.keep.to_numpy() if filtered else np.ones(rows, dtype=bool)
    wanted = reference(data, window, kept)
    options: dict[str, Any] = {"inputs": {"x": ["a", "b"]}, "targets": "y", "window": window, "batch_size": batch_size}
    where = "keep" if filtered else None
    if not wanted:
        with pytest.raises(SelectionError, match="the longest run of rows is too short"):
            Sequence(frame, **options, where=where)
        return
    ordered = Sequence(frame, **options, where=where)
    same(served(ordered), wanted)
    shuffled = Sequence(frame, **options, where=where, shuffle="global", seed=seed)
    for epoch in (0, 1):
        got = served(shuffled, epoch)
        same(sorted(got, key=lambda one: one[2]), sorted(wanted, key=lambda one: one[2]))


@pytest.mark.parametrize("more", [{}, {"target_length": 1}, {"horizon": 5, "target_length": 3, "min_valid": 0.5}])
def test_windows_of_a_store_are_the_lazy_ones(tmp_path: Path, more: dict[str, Any]) -> None:
    data = made(500, 4, 7)
    frame = arrow(data, tmp_path / "d.arrow", 64)
    options: dict[str, Any] = {"inputs": {"x": ["a", "b"]}, "targets": "y", "where": "keep"}
    given = {"group_by": "group", "order_by": "t", "horizon": 2, "target": "sequence", "max_gap": 20, **more}
    window = Window(5, 2, **given)
    materialize(frame, None, tmp_path / "s.h5", **options, progress=False)
    for shuffle in (False, "global", "block"):
        lazy = Sequence(frame, **options, window=window, shuffle=shuffle, batch_size=16)  # type: ignore[arg-type]
        stored = Sequence(frame, **options, window=window, shuffle=shuffle, batch_size=16, store=tmp_path / "s.h5")  # type: ignore[arg-type]
        same(served(stored), served(lazy))
    materialize(frame, None, tmp_path / "t.h5", **options, shuffle_seed=1, progress=False)
    with pytest.raises(StoreError, match="the store is shuffled, so no window's rows are together"):
        Sequence(frame, **options, window=window, store=tmp_path / "t.h5")


@pytest.mark.slow
def test_windows_equal_keras_on_one_series() -> None:
    import keras

    rng = np.random.default_rng(0)
    x, y = rng.random((300, 3)).astype(np.float32), rng.random(300).astype(np.float32)
    frame = vaex.from_arrays(**{f"x{i}": x[:, i] for i in range(3)}, y=y)
    try:
        aligned = np.concatenate([y[9:], np.zeros(9, np.float32)])  # theirs is the target of the window's first row
        theirs = keras.utils.timeseries_dataset_from_array(x, aligned, 10, sequence_stride=3, batch_size=32)
    except (ImportError, ModuleNotFoundError):
        pytest.skip("timeseries_dataset_from_array needs TensorFlow")
    ours = Sequence(frame, inputs=["x0", "x1", "x2"], targets="y", window=Window(10, 3), batch_size=32)
    batches = list(theirs)
    assert len(batches) == len(ours)
    for number, (tx, ty) in enumerate(batches):
        ox, oy = ours.batch(0, number)
        np.testing.assert_array_equal(np.asarray(ox), np.asarray(tx))
        np.testing.assert_array_equal(np.asarray(oy), np.asarray(ty))


def test_short_series_are_padded_on_the_left_with_a_mask() -> None:
    frame = vaex.from_arrays(
        group=np.repeat([0, 1, 2], [6, 3, 1]), a=np.arange(1, 11, dtype=np.float32), y=np.arange(10)
    )
    window = Window(4, group_by="group", min_valid=0.5)
    sequence = Sequence(frame, inputs={"x": ["a"]}, targets="y", window=window, batch_size=8)
    x, y = sequence.batch(0, 0)
    values, mask = np.asarray(x["x"])[..., 0], np.asarray(x["mask"])
    assert values.tolist() == [[1, 2, 3, 4], [2, 3, 4, 5], [3, 4, 5, 6], [0, 7, 8, 9]]
    assert mask.tolist() == [[1, 1, 1, 1]] * 3 + [[0, 1, 1, 1]]
    assert np.asarray(y).tolist() == [3, 4, 5, 8]
    assert sequence.row_ids(0).tolist() == [3, 4, 5, 8]
    long = Sequence(frame, inputs={"x": ["a"]}, targets="y", window=window, where="group == 0")
    assert np.asarray(long.batch(0, 0)[0]["mask"]).tolist() == [[1, 1, 1, 1]] * 3  # one model takes all parts
    with pytest.raises(OptionError, match="min_valid: adds an input 'mask', which is there already"):
        Sequence(frame, inputs={"mask": ["a"]}, targets="y", window=window)


def test_past_future_and_static_inputs() -> None:
    frame = vaex.from_arrays(
        group=np.repeat([5, 6], 8), a=np.arange(16.0), plan=np.arange(16.0) * 10, size=np.repeat([1.0, 2.0], 8),
        y=np.arange(16.0),
    )  # fmt: skip
    window = Window(3, 2, group_by="group", horizon=2, target="sequence", future_inputs="plan", static_inputs="size")
    inputs = {"past": ["a", "plan"], "plan": ["plan"], "size": ["size"]}
    sequence = Sequence(frame, inputs=inputs, targets="y", window=window, batch_size=4)
    x, y = sequence.batch(0, 0)
    assert {name: np.asarray(one).shape for name, one in x.items()} == {
        "past": (4, 3, 2), "plan": (4, 2, 1), "size": (4, 1),
    }  # fmt: skip
    assert np.asarray(x["past"])[1, :, 0].tolist() == [2, 3, 4]
    assert np.asarray(x["plan"])[1, :, 0].tolist() == [50, 60]
    assert np.asarray(x["size"])[:, 0].tolist() == [1, 1, 2, 2]
    assert np.asarray(y)[1].tolist() == [5, 6]
    with pytest.raises(OptionError, match="no input 'plam'. Did you mean 'plan'"):
        Sequence(frame, inputs=inputs, window=Window(3, horizon=1, future_inputs="plam"))


def two_devices() -> pd.DataFrame:
    """100 and 90 rows in order, of two devices; every value says its row."""
    row = np.arange(190.0)
    return pd.DataFrame({"group": np.repeat([0, 1], [100, 90]), "t": row, "a": row, "plan": row * 10, "y": row})


def test_72_rows_and_the_twelve_after_them(tmp_path: Path) -> None:
    frame = arrow(two_devices(), tmp_path / "d.arrow", 64)

    def windows(**options: Any) -> tuple[Sequence, Any, Any]:
        window = Window(72, group_by="group", order_by="t", target="sequence", future_inputs="plan", **options)
        found = Sequence(frame, inputs={"x": ["a"], "plan": ["plan"]}, targets="y", window=window, batch_size=64)
        x, y = found.batch(0, 0)
        return found, x, np.asarray(y)

    found, x, y = windows(horizon=12)
    assert found.num_rows == (100 - 83) + (90 - 83) and y.shape == (24, 12)
    assert np.asarray(x["x"])[0, [0, -1], 0].tolist() == [0, 71] and y[0].tolist() == list(range(72, 84))
    nearer = windows(horizon=12, target_length=12)
    np.testing.assert_array_equal(nearer[2], y)
    found, x, y = windows(horizon=12, target_length=4)
    assert found.num_rows == 24 and found.targets["y"].shape == (4,)
    assert y[0].tolist() == [80, 81, 82, 83] and np.asarray(x["plan"])[0, :, 0].tolist() == list(range(720, 840, 10))
    assert found.row_ids(0)[0] == 83
    scores = found.attach(np.repeat(np.arange(24.0)[:, None], 4, axis=1), "score", epoch=0).evaluate("score")
    assert np.asarray(scores)[found.row_ids(0)].tolist() == [[one] * 4 for one in np.arange(24.0)]
    short = windows(horizon=24, target_length=6, min_valid=0.9)  # 66 rows and 24 ahead of 90
    assert np.asarray(short[1]["mask"]).sum(axis=1).tolist() == [72.0] * 5 + [66.0]
    assert short[2][-1].tolist() == list(range(184, 190))


def test_a_target_s_length_in_shards_resume_balance_and_splits(tmp_path: Path) -> None:
    import vaxseq as vs

    data = made(600, 2, 5)
    frame = arrow(data, tmp_path / "d.arrow", 64)
    window = Window(6, 2, group_by="group", order_by="t", horizon=5, target="mode", target_length=3)
    options: dict[str, Any] = {"inputs": ["a", "b"], "targets": "y", "window": window, "batch_size": 16}
    wanted = reference(data, window, np.ones(len(data), dtype=bool))
    shards = [one for rank in range(3) for one in served(Sequence(frame, **options, shuffle="global", shard=(rank, 3)))]
    same(sorted(shards, key=lambda one: one[2]), wanted)
    first, rest = Sequence(frame, **options), Sequence(frame, **options)
    for number in range(3):
        first[number]
    rest.seek(first.position())
    np.testing.assert_array_equal(np.asarray(rest[0][1]), [y for _, y, _ in wanted[48:64]])
    labels = np.array([y for _, y, _ in wanted])
    shares = {0: 0.2, 1: 0.3, 2: 0.5}
    drawn = np.array([y for _, y, _ in served(Sequence(frame, **options, balance=shares))])
    assert len(drawn) == len(labels)
    np.testing.assert_allclose(np.bincount(drawn) / len(drawn), list(shares.values()), atol=0.01)
    parts = vs.split(frame, {"train": 0.7, "test": 0.3}, by="time", key="t")
    for part in parts.values():
        kept = np.isin(data.t, part.t.to_numpy())
        same(served(Sequence(part, **options)), reference(data, window, kept))


def test_the_definition_s_window_block_is_the_window(tmp_path: Path) -> None:
    import vaxseq as vs

    frame = arrow(two_devices(), tmp_path / "d.arrow", 64)
    block = {
        "length": 72, "stride": 2, "group_by": ["group"], "order_by": "t", "horizon": 12, "target": "sequence",
        "target_length": 4, "future_inputs": "plan", "min_valid": 0.9,
    }  # fmt: skip
    inputs = {"x": {"features": [{"column": "a"}]}, "plan": {"features": [{"column": "plan"}]}}
    definition = {"inputs": inputs, "targets": {"y": {"column": "y"}}, "window": block}
    fitted = vs.FeatureSet.from_dict(definition).fit(frame, progress=False)
    fitted.save(tmp_path / "fitted.json")
    fitted = vs.FittedFeatures.load(tmp_path / "fitted.json")
    x, y = Sequence(frame, fitted, batch_size=8).batch(0, 0)
    window = Window(**{**block, "group_by": "group"})  # type: ignore[arg-type]
    plain = {"inputs": {"x": ["a"], "plan": ["plan"]}, "targets": "y"}
    x0, y0 = Sequence(frame, **plain, window=window, batch_size=8).batch(0, 0)  # type: ignore[arg-type]
    assert x.keys() == x0.keys()
    for name in x:
        np.testing.assert_array_equal(np.asarray(x[name]), np.asarray(x0[name]))
    np.testing.assert_array_equal(np.asarray(y), np.asarray(y0))


def test_missing_values_outside_of_every_window_do_no_harm() -> None:
    a = np.arange(12, dtype=np.float64)
    a[[0, 11]] = np.nan
    frame = vaex.from_arrays(a=a, y=np.arange(12))
    inside = Sequence(frame, inputs=["a"], targets="y", where="notmissing(a)", window=Window(3), batch_size=4)
    assert served(inside)[0][2] == 3 and len(served(inside)) == 8
    with pytest.raises(MissingValueError, match="row ids 0"):
        Sequence(frame, inputs=["a"], targets="y", window=Window(3)).batch(0, 0)


def test_unsorted_data_is_refused_with_the_remedy() -> None:
    def windows(group: list[Any], t: list[float], **options: Any) -> Sequence:
        frame = vaex.from_arrays(group=np.array(group), t=np.array(t), a=np.arange(len(t), dtype=np.float32))
        return Sequence(frame, inputs=["a"], window=Window(1, group_by="group", order_by="t", **options))

    with pytest.raises(SelectionError, match=r"group 1 comes back in row 2 .*--sort-by"):
        windows([1, 2, 1], [1, 1, 2])
    with pytest.raises(SelectionError, match=r"group b comes back in row 3 .*vaxseq convert --sort-by group,t\."):
        windows(["b", "a", "a", "b"], [1, 1, 2, 2])
    with pytest.raises(SelectionError, match=r"row 2 goes back in time; got 1 after 2.*--sort-by group,t\."):
        windows([1, 1, 1], [1, 2, 1])
    with pytest.raises(MissingValueError, match="1 rows have no time, first in row 1"):
        windows([1, 1, 1], [1, np.nan, 3])
    with pytest.warns(
        UserWarning, match=r"1 row has the same 't' as the row before in the group; the first is row 1"
    ) as said:
        windows([1, 1, 1], [1, 1, 3])
    assert said[0].filename == __file__  # the caller's own line
    with pytest.raises(FeatureTypeError, match="max_gap: got '30min' for a column of int"):
        windows([1, 1], [1, 2], max_gap="30min")


def test_a_split_by_time_has_no_window_across_the_border(tmp_path: Path) -> None:
    import vaxseq as vs

    data = made(400, 1, 3)
    frame = arrow(data, tmp_path / "d.arrow", 100)
    parts = vs.split(frame, {"train": 0.7, "test": 0.3}, by="time", key="t")
    window = Window(6, group_by="group", order_by="t", horizon=2)
    rows = {}
    for name, part in parts.items():
        mine = served(Sequence(part, inputs=["a", "b"], targets="y", window=window, batch_size=50))
        rows[name] = sorted(row for _, _, row in mine)
    assert rows["train"][-1] + 1 + 6 + 2 - 1 == rows["test"][0]


def test_windows_survive_a_pickle_and_predictions_come_back(tmp_path: Path) -> None:
    import pickle

    data = made(200, 2, 1)
    frame = arrow(data, tmp_path / "d.arrow", 50)
    sequence = Sequence(frame, inputs=["a"], targets="y", window=Window(5, 5, group_by="group"), batch_size=8)
    again = pickle.loads(pickle.dumps(sequence))
    same(served(again), served(sequence))
    rows = [row for _, _, row in served(sequence)]
    joined = sequence.attach(np.arange(len(rows), dtype=np.float32), "score", epoch=0)
    scores = np.asarray(joined.evaluate("score"))
    assert scores[rows].tolist() == list(range(len(rows))) and np.isnan(scores).sum() == 200 - len(rows)


def test_shards_resume_and_balance_work_on_windows_as_on_rows(tmp_path: Path) -> None:
    data = made(600, 3, 5)
    frame = arrow(data, tmp_path / "d.arrow", 64)
    options: dict[str, Any] = {
        "inputs": ["a"], "targets": "y", "batch_size": 16, "shuffle": "global",
        "window": Window(4, group_by="group", order_by="t", max_gap=20),
    }  # fmt: skip
    whole = sorted(row for _, _, row in served(Sequence(frame, **options)))
    shards = [Sequence(frame, **options, shard=(rank, 3)) for rank in range(3)]
    assert len({len(one) for one in shards}) == 1
    seen = [row for one in shards for number in range(len(one)) for row in one.row_ids(number, 0).tolist()]
    assert sorted(seen) == whole

    first = Sequence(frame, **options)
    for number in range(5):
        first[number]
    rest = Sequence(frame, **options)
    rest.seek(first.position())
    again = [row for number in range(len(rest)) for row in rest.row_ids(number).tolist()]
    done = [row for number in range(5) for row in first.row_ids(number, 0).tolist()]
    assert sorted(done + again) == whole

    balanced = Sequence(frame, **options, balance={0: 0.5, 1: 0.25, 2: 0.25})
    labels = np.concatenate([np.asarray(balanced.batch(0, number)[1]) for number in range(len(balanced))])
    shares = np.bincount(labels) / len(labels)
    np.testing.assert_allclose(shares, [0.5, 0.25, 0.25], atol=0.01)
