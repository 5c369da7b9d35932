"""Every column of every input has a name of its own, the same from all that hold the features."""

from __future__ import annotations

import numpy as np
import pandas as pd

import vaxseq as vs


def make_data(rows: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "x": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows)),
            "way": rng.choice(["up", "down", "missing"], rows),
            "tags": rng.choice(["a|b", "b"], rows),
            "t": np.datetime64("2024-01-01", "s") + rng.integers(0, 10**6, rows),
            "pixels": list(rng.normal(size=(rows, 4))),
            "code": rng.integers(0, 3, rows),
        }
    )


DEFINITION = {
    "inputs": {
        "numeric": {
            "features": [
                {"column": "x", "steps": [{"impute": {"strategy": "mean", "indicator": True}}, "standardize"]},
                {"column": "way", "steps": ["one_hot"]},
                {"column": "tags", "steps": ["multi_hot"]},
                {"column": "t", "steps": [{"cyclical": {"period": "day"}}]},
                {"name": "when", "column": "t", "steps": [{"parts": {"units": ["hour", "weekday"]}}]},
                {"name": "shape", "column": "pixels", "steps": [{"pca": {"components": 2}}]},
                {"column": "pixels", "steps": ["standardize"]},
            ]
        },
        "code": {"dtype": "int32", "features": [{"column": "code", "steps": ["vocabulary"]}]},
    }
}
NUMERIC = [
    "x", "x_missing", "way_missing", "way_unseen", "way_down", "way_missing_2", "way_up", "tags_missing",
    "tags_unseen", "tags_b", "tags_a", "t_sin", "t_cos", "when_hour", "when_weekday", "shape_pc1", "shape_pc2",
    "pixels_0", "pixels_1", "pixels_2", "pixels_3",
]  # fmt: skip


def test_names_match_the_columns() -> None:
    data = make_data()
    fitted = vs.FeatureSet.from_dict(DEFINITION).fit(data, progress=False)
    names = fitted.feature_names
    assert isinstance(names, dict)
    assert sorted(names["numeric"]) == sorted(NUMERIC)
    assert names["code"] == ["code"]
    train = vs.Sequence(data, fitted, batch_size=300)
    assert train.feature_names == names == fitted.to_keras().feature_names
    matrix = train.batch(0, 0)[0]["numeric"]
    place = names["numeric"].index
    assert matrix.shape == (300, len(NUMERIC))
    np.testing.assert_array_equal(matrix[:, place("x_missing")], data["x"].isna())
    np.testing.assert_array_equal(matrix[:, place("way_up")], data["way"] == "up")
    np.testing.assert_array_equal(matrix[:, place("tags_a")], data["tags"] == "a|b")
    np.testing.assert_array_equal(matrix[:, place("when_hour")], data["t"].dt.hour)


def test_scikit_learn_form() -> None:
    fitted = vs.FeatureSet.from_dict(DEFINITION).fit(make_data(), progress=False)
    out = fitted.get_feature_names_out()
    assert out.dtype == object
    assert len(out) == len(set(out)) == len(NUMERIC) + 1
    assert out[0] == "numeric__x"
    assert out[-1] == "code__code"


def test_plain_columns_have_their_own_names() -> None:
    data = make_data()
    assert vs.Sequence(data, inputs=["code", "pixels"]).feature_names == [
        "code", "pixels_0", "pixels_1", "pixels_2", "pixels_3",
    ]  # fmt: skip
    assert vs.Sequence(data, inputs={"a": "code", "b": ["code"]}).feature_names == {"a": ["code"], "b": ["code"]}
