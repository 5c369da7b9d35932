"""A logged model comes back from a local file store with the same numbers, types and features."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

import vaxseq as vs
import vaxseq.mlflow
from vaxseq.errors import OptionError, SourceError, SourceNotFoundError

pytestmark = [pytest.mark.backend, pytest.mark.slow]

DEFINITION = {
    "inputs": {
        "x": {
            "features": [
                {"columns": ["a", "n"], "steps": ["standardize"]},
                {"column": "m", "steps": [{"impute": {"strategy": "mean"}}]},
                {"column": "way", "steps": ["one_hot"]},
                {"column": "t", "name": "t_day", "steps": [{"cyclical": {"period": "day"}}]},
                {"column": "took", "steps": ["elapsed", "standardize"]},
                {"columns": ["flag", "p"]},
            ]
        },
        "shop": {"dtype": "int32", "features": [{"column": "shop", "steps": ["vocabulary"]}]},
    },
    "targets": {"y": {"column": "y", "steps": ["standardize"]}},
}


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "runs").as_uri())


def make_data(rows: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    seconds = [pd.to_timedelta(rng.integers(0, 10**6, rows), "s") for _ in range(2)]
    data = pd.DataFrame(
        {
            "a": rng.normal(size=rows),
            "n": rng.integers(0, 9, rows),
            "m": pd.array(rng.integers(0, 9, rows), dtype="Int64"),
            "way": rng.choice(["up", "down"], rows),
            "shop": rng.choice(["p", "q", "r"], rows),
            "t": pd.Timestamp("2024-01-01") + seconds[0],
            "took": seconds[1],
            "flag": rng.random(rows) < 0.5,
            "p": list(rng.normal(size=(rows, 3))),
            "y": rng.normal(50, 5, rows),
        }
    )
    data.loc[3, "m"] = data.loc[4, "way"] = None
    return data


def make_model(fitted: vs.FittedFeatures, data: pd.DataFrame) -> Any:
    width = fitted.transform_records(data[:2])["x"].shape[1]
    x, shop = keras.Input((width,), name="x"), keras.Input((1,), dtype="int32", name="shop")
    codes = keras.layers.Flatten()(keras.layers.Embedding(8, 2)(shop))
    return keras.Model({"x": x, "shop": shop}, keras.layers.Dense(1)(keras.layers.Concatenate()([x, codes])))


def test_what_is_loaded_back_gives_the_same_numbers(tmp_path: Path) -> None:
    data = make_data()
    fitted = vs.FeatureSet.from_dict(DEFINITION).fit(data, progress=False)
    model = make_model(fitted, data)
    with mlflow.start_run() as run:
        info = vaxseq.mlflow.log_model(model, fitted, "power")
    assert info.run_id == run.info.run_id
    records = data.drop(columns="y")
    loaded = mlflow.pyfunc.load_model(info.model_uri)
    expected = model.predict(fitted.transform_records(data), verbose=0)
    np.testing.assert_array_equal(loaded.predict(records), expected)
    np.testing.assert_array_equal(loaded.predict(records[7:8].to_dict("records")), loaded.predict(records[7:8]))
    assert loaded.get_raw_model().fitted.state == fitted.state
    files = {file.suffix for file in Path(tmp_path / "runs").rglob("*") if file.is_file()}
    assert {".keras", ".json"} <= files
    assert not {".pkl", ".pickle"} & files


def test_the_signature_is_the_record_s_schema() -> None:
    data = make_data()
    fitted = vs.FeatureSet.from_dict(DEFINITION).fit(data, progress=False)
    info = vaxseq.mlflow.log_model(make_model(fitted, data), fitted)
    mlflow.end_run()
    told = {one["name"]: one["type"] for one in info.signature.inputs.to_dict()}
    assert told == {
        "a": "double", "n": "long", "m": "any", "way": "string", "shop": "string", "t": "datetime", "took": "any",
        "flag": "boolean", "p": "array",
    }  # fmt: skip
    assert set(told) == set(fitted.record_schema()["properties"])
    assert json.loads(info.signature.to_dict()["outputs"])[0]["tensor-spec"] == {"dtype": "float32", "shape": [-1, 1]}
    loaded = mlflow.pyfunc.load_model(info.model_uri)
    with pytest.raises(MlflowException, match="missing inputs"):
        loaded.predict(data[["a", "n"]])
    with pytest.raises(MlflowException, match="Failed to convert column a from type object to DataType.double"):
        loaded.predict(data.drop(columns="y").assign(a="word"))


def test_a_model_with_its_layer_inside_and_a_file(tmp_path: Path) -> None:
    data = make_data()
    fitted = vs.FeatureSet.from_dict(DEFINITION).fit(data, progress=False)
    model = make_model(fitted, data)
    fitted.to_keras().serving_model(model).save(tmp_path / "power.keras")
    fitted.save(tmp_path / "fitted.json")
    info = vaxseq.mlflow.log_model(tmp_path / "power.keras", tmp_path / "fitted.json", pip_requirements=["vaxseq"])
    mlflow.end_run()
    found = mlflow.pyfunc.load_model(info.model_uri).predict(data.drop(columns="y"))
    np.testing.assert_allclose(found, model.predict(fitted.transform_records(data), verbose=0), atol=1e-5)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    data = make_data()
    fitted = vs.FeatureSet.from_dict(DEFINITION).fit(data, progress=False)
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    with pytest.raises(OptionError, match=r"log_model: the model doesn't take what the features give, \{'x': \(\d+,\)"):
        vaxseq.mlflow.log_model(other, fitted)
    with pytest.raises(SourceNotFoundError, match="no such model file"):
        vaxseq.mlflow.log_model(tmp_path / "none.keras", fitted)
    (tmp_path / "text.keras").write_text("x")
    with pytest.raises(SourceError, match=r"text\.keras: can't be read as a Keras model"):
        vaxseq.mlflow.log_model(tmp_path / "text.keras", fitted)
    assert not (tmp_path / "runs").exists()
