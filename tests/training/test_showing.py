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


def places(ax: object) -> dict[str, float]:
    return {text.get_text(): text.xy[0] for text in ax.texts}


@pytest.mark.parametrize("filled", [True, False])
def test_what_is_learned_after_other_steps_lies_where_its_raw_value_is(filled: bool) -> None:
    import matplotlib.pyplot as plt

    rng = np.random.default_rng(0)
    data = {"x": np.where(rng.random(4000) < 0.1 * filled, np.nan, rng.lognormal(5, 0.5, 4000))}
    steps = [*([{"impute": {"strategy": "median"}}] if filled else []), "log1p", "standardize"]
    fitted = vs.FeatureSet.from_dict({"inputs": {"x": {"features": [{"column": "x", "steps": steps}]}}}).fit(
        data, progress=False
    )
    state = fitted.state.learned["x.x"][-1]
    before, _ = fitted.plot("x", data)
    alone = fitted.plot("x")
    for one in (before, alone):
        found = places(one)
        assert found["mean"] == pytest.approx(np.expm1(state["mean"]))
        assert found["mean + std"] == pytest.approx(np.expm1(state["mean"] + state["std"]))
        assert ("fill" in found) == filled
    curve = alone.lines[0]
    np.testing.assert_allclose(np.interp(found["mean"], *curve.get_data()), 0, atol=0.02)
    plt.close("all")


def test_a_one_hot_place_is_shown() -> None:
    data = {"way": list("abcdef") * 20}
    fitted = vs.FeatureSet.from_dict({"inputs": {"x": {"features": [{"column": "way", "steps": ["one_hot"]}]}}}).fit(
        data, progress=False
    )
    names = fitted.feature_names
    assert f"1 at [{names.index('way_e')}] of {len(names)}" in repr(fitted.explain({"way": "e"}))


def test_times_are_shown_without_their_empty_digits() -> None:
    times = np.datetime64("2024-01-05T06:00:00", "ns") + np.arange(50) * np.timedelta64(30, "m")
    fs = vs.FeatureSet.from_dict(
        {"inputs": {"x": {"features": [{"column": "t", "steps": [{"cyclical": {"period": "day"}}]}]}}}
    )
    fitted = fs.fit({"t": times}, progress=False)
    assert " 2024-01-05T06:30:00\n" in repr(fitted.explain({"t": times[1]}))
    assert " 2024-01-05T06:00:00.5\n" in repr(fitted.explain({"t": times[0] + np.timedelta64(500, "ms")}))


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
    curve = fitted.plot("numeric.x")
    assert len(curve.lines[0].get_xdata()) == 400
    assert [text.get_text() for text in fitted.plot("way").get_yticklabels()] != []
    with pytest.raises(OptionError, match="its steps learned no range of raw values. Pass the frame"):
        fitted.plot("logged")
    with pytest.raises(OptionError, match="no feature 'z'"):
        fitted.plot("z")
    plt.close("all")
