"""A batch shown is the batch served; a feature plotted has what was learned on it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import vaxseq as vs
from vaxseq.errors import OptionError

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

DEFINITION = {
    "inputs": {
        "numeric": {
            "features": [
                {"column": "x", "steps": [{"clip": {"quantiles": [0.05, 0.95]}}, "standardize"]},
                {"name": "logged", "expr": "x * 2 + 20", "steps": ["log1p"]},
                {"column": "way", "steps": ["one_hot"]},
            ]
        },
        "code": {"dtype": "int32", "features": [{"column": "way", "steps": ["vocabulary"]}]},
    },
    "targets": {"y": {"column": "y"}},
}


def make_data(rows: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    way = rng.choice(["up", "down"], rows)
    return pd.DataFrame({"x": rng.normal(size=rows), "way": way, "y": np.arange(rows), "t": np.arange(rows)})


def fit(data: pd.DataFrame) -> vs.FittedFeatures:
    return vs.FeatureSet.from_dict(DEFINITION).fit(data, progress=False)


def test_a_batch_with_its_raw_values() -> None:
    data = make_data()
    train = vs.Sequence(data, fit(data), batch_size=32, shuffle="global", class_weight=None)
    told = train.show(3, index=2, epoch=1).plain()
    ids = train.row_ids(2, epoch=1)[:3]
    assert told["row_ids"] == ids.tolist()
    x, y = train.batch(1, 2)
    kept = told["features"]
    assert [one["raw"] for one in kept["input.numeric.x"]] == data["x"].iloc[ids].tolist()
    assert [one["served"] for one in kept["input.numeric.x"]] == np.asarray(x["numeric"])[:3, 0].tolist()
    assert [one["raw"] for one in kept["input.code.way"]] == data["way"].iloc[ids].tolist()
    assert [one["served"] for one in kept["target.y.y"]] == np.asarray(y)[:3].tolist()
    assert len(kept["input.numeric.way"][0]["served"]) == 4
    assert "Batch 2 of epoch 1, its first 3 of 32 rows" in repr(train.show(3, index=2, epoch=1))
    assert "<table" in train.show()._repr_html_()


def test_plain_columns_and_windows() -> None:
    data = make_data()
    told = vs.Sequence(data, inputs=["x"], targets="y", batch_size=10).show(2).plain()
    assert told["features"]["target.y.y"][1] == {"raw": 1, "served": 1}
    windows = vs.Sequence(data, inputs=["x"], targets="y", window=vs.Window(length=5, order_by="t"), batch_size=10)
    shown = windows.show(2)
    assert shown.plain()["row_ids"] == [4, 5]
    one = shown.plain()["features"]["input.inputs.x"][0]
    assert one["served"] == np.float32(one["raw"])
    assert "the last of 5 rows" in repr(shown)


def test_no_rows_to_show_are_refused() -> None:
    train = vs.Sequence(make_data(), inputs=["x"])
    with pytest.raises(OptionError, match="show rows: got 0"):
        train.show(0)


def test_plots_of_numbers_and_categories() -> None:
    import matplotlib.pyplot as plt

    data = make_data()
    fitted = fit(data)
    before, after = fitted.plot("x", data)
    assert sum(patch.get_height() for patch in before.patches) == 200
    learned = fitted.state.learned["numeric.x"][0]
    assert {line.get_xdata()[0] for line in before.lines} == {learned["lower"], learned["upper"]}
    assert after.get_xlabel() == "x, served"
    plain = vs.FeatureSet.from_dict({"inputs": {"x": {"features": [{"column": "x", "steps": ["standardize"]}]}}})
    again = plain.fit(data, progress=False)
    mean, std = (again.state.learned["x.x"][0][name] for name in ("mean", "std"))
    assert {line.get_xdata()[0] for line in again.plot("x", data)[0].lines} == {mean, mean - std, mean + std}
    curve, _ = fitted.plot("numeric.x")
    assert len(curve.lines[0].get_xdata()) == 400
    assert [text.get_text() for text in fitted.plot("way").get_yticklabels()] != []
    with pytest.raises(OptionError, match="its steps learned no range. Pass the frame"):
        fitted.plot("logged")
    with pytest.raises(OptionError, match="no feature 'z'"):
        fitted.plot("z")
    plt.close("all")
