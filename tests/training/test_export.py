"""What is exported gives Keras's numbers, from records; the document of its records is one that records keep to."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import keras
import numpy as np
import pandas as pd
import pytest
from prepared import PreparedPython

import vaxseq as vs
from vaxseq.cli import main
from vaxseq.errors import OptionError, SourceError, SourceNotFoundError
from vaxseq.features.records.schema import like_training

IMPUTE = {"impute": {"strategy": "mean", "indicator": True}}
DEFINITION = {
    "columns": {"double": "x * 2"},
    "inputs": {
        "numeric": {
            "features": [
                {"column": "x", "steps": [IMPUTE, "standardize"], "unit": "m"},
                {"column": "double", "steps": ["standardize", {"impute": {"strategy": "constant", "value": 0}}]},
                {"column": "n", "steps": [{"clip": {"quantiles": [0.1, 0.9]}}, "min_max"]},
                {"column": "t", "steps": [{"cyclical": {"period": "day"}}]},
                {"column": "way", "steps": ["one_hot"]},
            ]
        },
        "code": {"dtype": "int32", "features": [{"column": "way", "steps": ["vocabulary"]}]},
    },
    "targets": {"y": {"column": "y"}},
}


def make_data(rows: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "x": rng.normal(5, 2, rows),
            "n": rng.integers(0, 50, rows),
            "t": np.datetime64("2024-01-01", "s") + rng.integers(0, 10**6, rows),
            "way": rng.choice(["up", "down"], rows),
            "y": rng.normal(size=rows),
        }
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    data = make_data()
    fitted = vs.FeatureSet.from_dict(DEFINITION).fit(data, progress=False)
    fitted.save(folder / "fitted.json")
    train = vs.Sequence(data, fitted, batch_size=100)
    inputs = {name: keras.Input(field.shape, dtype=field.dtype.name, name=name) for name, field in train.inputs.items()}
    code = keras.layers.Flatten()(keras.layers.Embedding(5, 3)(inputs["code"]))
    hidden = keras.layers.Dense(8, activation="relu")(keras.layers.Concatenate()([inputs["numeric"], code]))
    model = keras.Model(inputs, keras.layers.Dense(2)(hidden))
    model.save(folder / "model.keras")
    fitted.to_keras().serving_model(model).save(folder / "serving.keras")
    return folder


@pytest.fixture
def forked_exports(tensorflow_python: PreparedPython, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports run in forks of a process that has TensorFlow imported, which takes longer than they."""

    def run(command: list[str], *, env: dict[str, str], **options: Any) -> subprocess.CompletedProcess[str]:
        assert command[0] == sys.executable
        assert options == {"capture_output": True, "text": True, "check": False}
        return tensorflow_python.run(command[1:], env=env)

    monkeypatch.setattr("vaxseq.training.export.exporting.subprocess.run", run)


@pytest.mark.slow
def test_exports_give_the_same_numbers(forked_exports: None, trained: Path, tmp_path: Path) -> None:
    for to in ("saved-model", "onnx", "litert"):
        out = tmp_path / to / "out"
        out.parent.mkdir()
        done = vs.export(trained / "model.keras", trained / "fitted.json", out, to=to, records=make_data(40))
        assert done.records == 40, to
        assert done.difference is not None, to
        assert done.difference <= 1e-5, to
        assert done.bytes > 1000, to
        assert out.exists(), to
        if to != "litert":  # a folder, a file
            vs.export(trained / "model.keras", trained / "fitted.json", out, to=to, overwrite=True)
        assert sorted(path.name for path in out.parent.iterdir()) == ["out"], to
        assert "40 records: at most" in repr(done), to
    other = vs.FeatureSet.from_dict({"inputs": {"z": {"features": [{"column": "x", "steps": ["standardize"]}]}}})
    with pytest.raises(SourceError, match="can't be exported to litert; "):
        vs.export(trained / "model.keras", other.fit(make_data(), progress=False), tmp_path / "out.tflite", to="litert")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["litert", "onnx", "saved-model"]


@pytest.mark.slow
def test_a_model_with_its_features_inside_is_taken_too(forked_exports: None, trained: Path, tmp_path: Path) -> None:
    done = vs.export(trained / "serving.keras", trained / "fitted.json", tmp_path / "out.tflite", to="litert")
    assert done.records == 64
    assert done.difference is not None
    assert done.difference <= 1e-5


@pytest.mark.slow
def test_records_keep_to_their_schema(trained: Path) -> None:
    fitted = vs.FittedFeatures.load(trained / "fitted.json")
    schema = fitted.record_schema()
    assert schema["required"] == list(schema["properties"])
    assert schema["properties"]["way"] == {"type": ["string", "null"]}
    assert schema["properties"]["t"]["format"] == "date-time"
    assert schema["properties"]["x"]["description"] == "in m"
    record = {"x": 1.5, "n": 3, "t": "2024-01-01T00:00:00", "way": "up"}
    jsonschema.validate(record, schema)
    fitted.transform_records(record)
    for wrong in ({**record, "n": 1.5}, {**record, "x": "a"}, {"x": 1.0}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_made_up_records_are_served(trained: Path) -> None:
    fitted = vs.FittedFeatures.load(trained / "fitted.json")
    served = fitted.transform_records(like_training(fitted, 50))
    assert len(served["numeric"]) == 50
    assert np.isfinite(served["numeric"]).all()
    assert set(served["code"][:, 0].tolist()) == {1, 2, 3}


def test_the_command_writes_an_openapi_document(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["export", str(trained / "model.keras"), "--features", str(trained / "fitted.json"), "--to", "openapi"]
    with pytest.raises(SystemExit) as done:
        main([*arguments, "-o", str(tmp_path / "api.json"), "--json"])
    assert done.value.code == 0
    assert json.loads(capsys.readouterr().out)["to"] == "openapi"
    document = json.loads((tmp_path / "api.json").read_text())
    assert document["components"]["schemas"]["record"]["properties"]["n"]["type"] == "integer"
    with pytest.raises(SystemExit) as done:
        main([*arguments, "-o", str(tmp_path / "api.json")])
    assert done.value.code == 2


@pytest.mark.parametrize(
    ("model", "to", "kind", "said"),
    [
        ("model.keras", "onx", OptionError, "unknown format 'onx'. Did you mean 'onnx'"),
        ("absent.keras", "litert", SourceNotFoundError, "no such model file"),
    ],
)
def test_wrong_use_is_told(model: str, to: Any, kind: Any, said: str, trained: Path, tmp_path: Path) -> None:
    with pytest.raises(kind, match=said):
        vs.export(trained / model, trained / "fitted.json", tmp_path / "out", to=to)


@pytest.mark.parametrize("to", ["saved-model", "onnx", "litert", "openapi"])
def test_only_an_earlier_export_is_replaced(to: str, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "saved_model.pb").write_text("x")
    (mine / "thesis.txt").write_text("mine")
    (tmp_path / "model.keras").write_text("mine")
    vs.FeatureSet.from_dict(DEFINITION).fit(make_data(), progress=False).save(tmp_path / "fitted.json")
    for target in (mine, tmp_path / "model.keras"):
        with pytest.raises(SourceError, match=f"{target.name}: not replaced: it is"):
            vs.export(tmp_path / "model.keras", tmp_path / "fitted.json", target, to=to, overwrite=True)
    assert (mine / "thesis.txt").read_text() == (tmp_path / "model.keras").read_text() == "mine"
