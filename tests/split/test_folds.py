"""Folds: each row validates once, parts never overlap, groups and times stay apart, and cross-validation runs."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import vaex
from hypothesis import given, settings
from hypothesis import strategies as st

import vaxseq as vs
from vaxseq.errors import ColumnNotFoundError, MissingValueError, OptionError, SelectionError


def make_frame(rows: int = 997, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return vaex.from_arrays(
        row=np.arange(rows),
        x=rng.normal(size=rows),
        group=rng.integers(0, 40, rows),
        label=np.array(["a", "b", "c"])[rng.choice(3, rows, p=[0.7, 0.25, 0.05])],
        t=np.datetime64("2024-01-01", "s") + rng.permutation(rows) * 3600,
        y=rng.normal(size=rows),
    )


def ids(frame: Any) -> set[int]:
    return set(frame.row.tolist())


@settings(max_examples=30)
@given(st.integers(20, 300), st.integers(2, 9), st.sampled_from(["random", "group", "stratified"]), st.booleans())
def test_every_row_validates_once(rows: int, k: int, by: str, filtered: bool) -> None:
    frame = make_frame(rows)
    if filtered:
        frame = frame[frame.x > -1]
    key = {"random": None, "group": "group", "stratified": "label"}[by]
    everything = ids(frame)
    seen: list[int] = []
    for one in vs.folds(frame, k, by=by, key=key, seed=3):
        train, validation = ids(one["train"]), ids(one["validation"])
        assert not train & validation
        assert train | validation == everything
        assert one.rows == {"train": len(train), "validation": len(validation)}
        seen += validation
    assert sorted(seen) == sorted(everything)


def test_groups_stay_together_and_classes_keep_their_shares() -> None:
    frame = make_frame()
    for one in vs.folds(frame, 5, by="group", key="group"):
        assert not set(one["train"].group.tolist()) & set(one["validation"].group.tolist())
    for one in vs.folds(frame, 5, by="stratified", key=frame["label"]):
        counts = pd.Series(one["validation"]["label"].tolist()).value_counts()
        whole = pd.Series(frame["label"].tolist()).value_counts() / 5
        assert (abs(counts - whole) <= 1).all()


def test_time_folds_train_on_what_was_before() -> None:
    frame = make_frame()
    made = vs.folds(frame, 4, by="time", key="t", gap="12h")
    assert len(made) == 4
    before = 0
    for one in made:
        train, validation = np.array(one["train"].t.tolist()), np.array(one["validation"].t.tolist())
        assert validation.min() - train.max() > np.timedelta64(12, "h")
        assert one.dropped == 12
        assert len(train) > before
        assert abs(len(validation) - 997 / 5) <= 1
        assert one.rows == {"train": len(train), "validation": len(validation)}
        before = len(train)
    assert ids(made[-1]["train"]) > ids(made[0]["validation"])


def test_folds_are_the_same_again_and_change_with_the_seed() -> None:
    first, again, other = (vs.folds(make_frame(), 3, seed=seed) for seed in (1, 1, 2))
    assert [ids(one["validation"]) for one in first] == [ids(one["validation"]) for one in again]
    assert [ids(one["validation"]) for one in first] != [ids(one["validation"]) for one in other]


def test_no_row_is_copied_and_frames_pickle(tmp_path) -> None:
    table = pa.table({"x": np.arange(100_000.0)})
    with pa.OSFile(str(tmp_path / "d.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    made = vs.folds(vs.open(tmp_path / "d.arrow"), 3)
    assert len(pickle.dumps(vs.Sequence(made[0]["train"], inputs=["x"]))) < 20_000


def test_they_show_themselves_and_take_any_table() -> None:
    made = vs.folds(make_frame().to_pandas_df(), 3)
    assert "3 folds by random" in repr(made)
    assert "333" in made._repr_html_()
    assert made[1].rows["validation"] in (332, 333)


@pytest.mark.slow
def test_cross_validation() -> None:
    """As the documentation has it: what is learned is learned from each fold's training rows alone."""
    import keras

    data = make_frame().to_pandas_df()
    data["y"] = data["x"] * 2
    fs = vs.FeatureSet.from_dict(
        {"inputs": {"x": {"features": [{"column": "x", "steps": ["standardize"]}]}}, "targets": {"y": {"column": "y"}}}
    )
    scores = []
    for fold in vs.folds(data, 3):
        fitted = fs.fit(fold["train"], progress=False)
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.Adam(0.1), "mse")
        validation = vs.Sequence(fold["validation"], fitted, batch_size=64)
        stop = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
        train = vs.Sequence(fold["train"], fitted, batch_size=64, shuffle="global")
        model.fit(train, validation_data=validation, epochs=12, callbacks=[stop], verbose=0)
        scores.append(model.evaluate(validation, verbose=0))
    assert max(scores) < 0.5


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"k": 1}, OptionError, "folds k: got 1, expected a whole number from 2"),
        ({"k": 2.5}, OptionError, "folds k: got 2.5"),
        ({"by": "hash"}, OptionError, "folds by: got 'hash'"),
        ({"by": "group"}, OptionError, "folds key: got None, expected a column's name with by='group'"),
        ({"key": "group"}, OptionError, "folds key: got 'group', expected none with by='random'"),
        ({"by": "time", "key": ["t", "x"]}, OptionError, "takes one column"),
        ({"gap": 3}, OptionError, "folds gap: goes with by='time'"),
        ({"by": "group", "key": "groups"}, ColumnNotFoundError, "Did you mean 'group'"),
        ({"by": "group", "key": "one"}, SelectionError, "would have no rows. Take fewer folds"),
        ({"by": "time", "key": "holes"}, MissingValueError, "rows have no time"),
        ({"seed": -1}, OptionError, "folds seed: got -1"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], kind: type[Exception], said: str) -> None:
    frame = make_frame()
    frame["one"] = frame.row * 0
    holes = frame.x.to_numpy().copy()
    holes[5] = np.nan
    frame["holes"] = holes
    with pytest.raises(kind, match=said):
        vs.folds(frame, **{"k": 3, **options})


def test_split_parts_parts_again_and_by_classes() -> None:
    frame = make_frame()
    parts = vs.split(frame, {"develop": {"train": 0.7, "validation": 0.1}, "test": 0.2}, by="stratified", key="label")
    assert list(parts) == ["train", "validation", "test", "develop"]
    assert ids(parts["develop"]) == ids(parts["train"]) | ids(parts["validation"])
    assert sum(parts.rows.values()) == 997
    plain = vs.split(frame, {"train": 0.7, "validation": 0.1, "test": 0.2}, stratify="label")
    assert {name: ids(plain[name]) for name in plain} == {name: ids(parts[name]) for name in plain}
    with pytest.raises(OptionError, match="the part 'train' is there twice"):
        vs.split(frame, {"train": {"train": 0.5}, "b": 0.5})
    with pytest.raises(OptionError, match="takes the column of classes as key; got None"):
        vs.split(frame, {"a": 0.5, "b": 0.5}, by="stratified")
