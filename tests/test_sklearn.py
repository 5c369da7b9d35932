"""The transformer keeps scikit-learn's contract, and gives the numbers of training."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import vaxseq as vs
from vaxseq.errors import OptionError
from vaxseq.sklearn import FeatureTransformer


@parametrize_with_checks([FeatureTransformer()])
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def make_data(rows: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"x": rng.normal(size=rows), "z": rng.normal(size=rows), "way": rng.choice(["a", "b"], rows)})
    data["y"] = (data["x"] + (data["way"] == "a") > 0.5).astype(int)
    return data


DEFINITION = {
    "inputs": {
        "numeric": {"features": [{"columns": ["x", "z"], "steps": ["standardize"]}]},
        "way": {"dtype": "int32", "features": [{"column": "way", "steps": ["vocabulary"]}]},
    },
    "targets": {"y": {"column": "y"}},
}


def test_the_matrix_is_what_training_reads() -> None:
    data = make_data()
    transformer = FeatureTransformer(DEFINITION).fit(data.drop(columns="y"))
    fitted = vs.FeatureSet.from_dict(DEFINITION).fit(data, progress=False)
    x = vs.Sequence(data, fitted, batch_size=400).batch(0, 0)[0]
    made = transformer.transform(data.drop(columns="y"))
    np.testing.assert_array_equal(made[:, :2], np.asarray(x["numeric"]))
    np.testing.assert_array_equal(made[:, 2:], np.asarray(x["way"]))
    assert transformer.get_feature_names_out().tolist() == fitted.get_feature_names_out().tolist()
    only = FeatureTransformer(DEFINITION, inputs=["way"]).fit(data)
    np.testing.assert_array_equal(only.transform(data), np.asarray(x["way"]))


def test_tables_of_all_kinds_and_filtered_frames(tmp_path) -> None:
    data = make_data()
    vs.FeatureSet.from_dict(DEFINITION).save(tmp_path / "f.yaml")
    transformer = FeatureTransformer(str(tmp_path / "f.yaml")).fit(data)
    expected = transformer.transform(data)
    np.testing.assert_array_equal(transformer.transform(pl.from_pandas(data)), expected)
    frame = vs.open(_written(data, tmp_path))
    np.testing.assert_array_equal(transformer.transform(frame), expected)
    kept = frame[frame.x > 0]
    np.testing.assert_array_equal(transformer.transform(kept), expected[(data["x"] > 0).to_numpy()])


def _written(data: pd.DataFrame, folder: Any) -> Any:
    vs.convert(data, folder / "d.arrow", progress=False)
    return folder / "d.arrow"


def test_it_clones_pickles_small_and_names_its_output() -> None:
    data = make_data(20_000)
    transformer = FeatureTransformer(DEFINITION).fit(data)
    assert not hasattr(clone(transformer), "fitted_")
    text = pickle.dumps(transformer)
    assert len(text) < 10_000
    np.testing.assert_array_equal(pickle.loads(text).transform(data), transformer.transform(data))
    out = FeatureTransformer(DEFINITION).set_output(transform="pandas").fit_transform(data)
    assert out.columns.tolist() == ["numeric__x", "numeric__z", "way__way"]


def test_pipelines_search_and_explanations() -> None:
    data = make_data()
    x, y = data.drop(columns="y"), data["y"]
    steps = make_pipeline(FeatureTransformer(), LogisticRegression())
    search = GridSearchCV(steps, {"logisticregression__C": [0.1, 1.0]}, cv=3).fit(x, y)
    assert search.best_score_ > 0.8
    told = permutation_importance(search.best_estimator_, x, y, random_state=0, n_repeats=3)
    order = [x.columns[place] for place in np.argsort(-told.importances_mean)]
    assert order[:2] == ["x", "way"] or order[:2] == ["way", "x"]
    curve = partial_dependence(search.best_estimator_, x, ["x"], grid_resolution=5)["average"][0]
    assert (np.diff(curve) > 0).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"definition": 5}, "definition: got int, expected a FeatureSet"),
        ({"definition": DEFINITION, "inputs": ["ways"]}, "no input 'ways'. Did you mean 'way'"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], said: str) -> None:
    transformer = FeatureTransformer(**options)
    with pytest.raises(OptionError, match=said):
        transformer.fit(make_data())


def test_a_column_without_steps_asks_for_a_definition() -> None:
    transformer = FeatureTransformer()
    with pytest.raises(OptionError, match="column 't' of datetime64"):
        transformer.fit(pd.DataFrame({"t": pd.to_datetime(["2024-01-01"])}))
