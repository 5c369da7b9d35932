"""The serving layer gives what training read, to 1e-5, and lives in a .keras file on every backend."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pytest
import vaex
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vaxseq.errors import (
    ColumnNotFoundError,
    FeatureTypeError,
    FitError,
    MissingValueError,
    OptionError,
    StateError,
)
from vaxseq.features import FeatureSet, FittedFeatures
from vaxseq.training.layer import FittedLayer

pytestmark = pytest.mark.backend

ROWS = 400
RNG = np.random.default_rng(3)
TIMES = np.datetime64("2014-01-01", "ns") + RNG.integers(0, 4 * 10**15, ROWS).astype("m8[ns]")


def _columns(rows: int = ROWS) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    wide = rng.normal(10, 5, rows)
    wide[::9] = np.nan
    return {
        "wide": wide,
        "full": rng.normal(-3, 8, rows),
        "whole": pa.array(rng.integers(-5, 5, rows), pa.int32(), mask=rng.random(rows) < 0.1),
        "small": rng.integers(0, 255, rows).astype("u1"),
        "flag": pa.array([None if one < 0.1 else bool(one < 0.5) for one in rng.random(rows)]),
        "word": pa.array(rng.choice(["ua", "aa", "", "é|ua", None], rows).tolist()),
        "when": TIMES[:rows],
        "seconds": 1.4e9 + rng.normal(0, 300, rows),
        "grid": rng.normal(2, 3, (rows, 2, 3)),
    }


@pytest.fixture(scope="module")
def frame() -> vaex.dataframe.DataFrame:
    return vaex.from_arrays(**_columns())


def fit(frame: vaex.dataframe.DataFrame, inputs: dict[str, Any], **more: Any) -> FittedFeatures:
    return FeatureSet.from_dict({"inputs": inputs, **more}).fit(frame, progress=False)


def one_input(column: str, steps: list[Any], dtype: str = "float32") -> dict[str, Any]:
    return {"x": {"dtype": dtype, "features": [{"column": column, "steps": steps}]}}


def outputs_of(layer: FittedLayer, records: Any) -> dict[str, np.ndarray]:
    """The layer's tensors as arrays by input, from records."""
    found = layer(layer.encode(records))
    if not isinstance(found, dict):
        found = {layer.fitted.groups[0].name: found}
    return {name: keras.ops.convert_to_numpy(one) for name, one in found.items()}


def agree(fitted: FittedFeatures, records: Any) -> None:
    expected, got = fitted.transform_records(records), outputs_of(fitted.to_keras(), records)
    assert list(got) == list(expected)
    for name, array in expected.items():
        assert got[name].shape == array.shape
        np.testing.assert_allclose(got[name], array, rtol=1e-5, atol=1e-5, err_msg=name)


IMPUTED = {"impute": {"strategy": "median", "indicator": True}}
CHAINS: list[tuple[str, list[Any], str]] = [
    ("full", [], "float32"),
    ("full", [{"cast": "float32"}], "float32"),
    ("wide", [{"cast": "bool"}, {"impute": "mode"}], "float32"),
    ("wide", [{"impute": "mean"}, {"cast": "int64"}], "int32"),
    ("full", [{"round": 1}], "float32"),
    ("small", ["log1p"], "float32"),
    ("small", ["sqrt", "standardize"], "float32"),
    ("full", [{"power": {"exponent": 0.5, "signed": True}}], "float32"),
    ("full", [{"clip": {"quantiles": [0.1, 0.9]}}, "min_max"], "float32"),
    ("wide", [IMPUTED, {"clip": {"lower": 0}}, "standardize"], "float32"),
    ("wide", [{"impute": "mean"}], "float64"),
    ("wide", [{"impute": {"strategy": "constant", "value": -1}}], "float16"),
    ("full", ["standardize"], "float32"),
    ("full", [{"min_max": {"lower": -1}}], "float32"),
    ("full", ["max_abs"], "float32"),
    ("full", ["robust"], "float32"),
    ("full", [{"quantile": {"references": 50}}], "float32"),
    ("small", [{"quantile": {"references": 1000}}], "float32"),
    ("wide", [{"bucketize": {"edges": [0, 5, 12], "missing": "bucket"}}], "float32"),
    ("full", [{"bucketize": {"buckets": 8}}], "int32"),
    ("word", ["vocabulary"], "int32"),
    ("word", ["vocabulary"], "int64"),
    ("whole", [{"vocabulary": {"max_size": 3}}], "float32"),
    ("flag", ["one_hot"], "float32"),
    ("word", [{"one_hot": {"unseen_column": False}}], "float32"),
    ("word", ["multi_hot"], "float32"),
    ("word", [{"impute": "mode"}, "lower", "one_hot"], "float32"),
    ("word", ["frequency", "standardize"], "float32"),
    ("word", [{"hash": 1000}], "int32"),
    ("word", [{"hash": 2**31 - 2}], "int32"),
    ("word", ["strip", "length", IMPUTED, "standardize"], "float32"),
    ("word", [{"matches": "u"}, {"impute": "mode"}], "float32"),
    ("when", [{"parts": ["hour", "weekday", "month"]}], "float32"),
    ("when", [{"parts": {"units": "hour", "timezone": "Europe/Paris"}}, {"cyclical": 24}], "float32"),
    ("when", [{"cyclical": {"period": "year", "timezone": "America/New_York"}}], "float32"),
    ("when", [{"elapsed": {"since": "2014-01-01", "unit": "days"}}, "standardize"], "float32"),
    ("seconds", [{"cyclical": 86400}], "float32"),
    ("grid", [{"scale": {"factor": 0.25, "offset": -1}}, {"reshape": [3, 2]}], "float32"),
    ("grid", ["standardize", "flatten"], "float32"),
    ("grid", [{"standardize": {"per": "channel"}}], "float32"),
    ("grid", [{"pca": {"components": 2, "whiten": True}}], "float32"),
    ("small", [], "uint8"),
    ("small", [{"cast": "bool"}], "bool"),
    ("small", [], "uint16"),
]


@pytest.mark.parametrize(("column", "steps", "dtype"), CHAINS, ids=[f"{i}-{c[0]}-{c[2]}" for i, c in enumerate(CHAINS)])
def test_the_layer_equals_transform_records(
    frame: vaex.dataframe.DataFrame, column: str, steps: list[Any], dtype: str
) -> None:
    fitted = fit(frame, one_input(column, steps, dtype))
    agree(fitted, records_of(frame))


def test_every_step_is_in_a_chain() -> None:
    from vaxseq.features.transforms import STEPS

    named = {one if isinstance(one, str) else next(iter(one)) for _, steps, _ in CHAINS for one in steps}
    looks_back = {name for name, step in STEPS.items() if step.__module__.endswith(".history")}
    assert named == set(STEPS) - looks_back


INPUTS = {
    "numeric": {
        "features": [
            {"columns": ["wide", "whole", "flag", "ratio", "long"], "steps": [IMPUTED, "standardize"]},
            {"column": "full", "steps": [{"quantile": {"references": 20}}]},
            {"name": "doubled", "expr": "col('numeric__full') * 2", "steps": []},
            {"name": "hour", "expr": "when.dt.hour", "steps": [{"cyclical": {"period": 24}}]},
            {"name": "lately", "expr": "seconds - 1.4e9", "steps": ["standardize"]},
        ]
    },
    "codes": {"dtype": "int32", "features": [{"columns": ["word", "whole"], "steps": ["vocabulary"]}]},
    "image": {"features": [{"column": "grid", "steps": ["standardize"]}]},
}
DERIVED = {"ratio": "wide / (small + 1)", "long": "word.str.len()"}


@pytest.fixture(scope="module")
def fitted(frame: vaex.dataframe.DataFrame) -> FittedFeatures:
    return fit(frame, INPUTS, columns=DERIVED)


def records_of(frame: vaex.dataframe.DataFrame, rows: int = ROWS) -> dict[str, Any]:
    return {
        name: frame[name].values[:rows] if name in ("when", "grid") else frame[name].tolist()[:rows]
        for name in frame.get_column_names()
    }


def test_several_inputs_come_by_name(fitted: FittedFeatures, frame: vaex.dataframe.DataFrame) -> None:
    agree(fitted, records_of(frame))


def test_steps_that_look_back_run_before_the_layer() -> None:
    rng = np.random.default_rng(0)
    columns = {"t": np.arange(60), "g": np.repeat([1, 2], 30), "x": rng.normal(size=60)}
    steps = [{"rolling": {"rows": 4, "statistic": "mean"}}, IMPUTED, "standardize"]
    series = {"group_by": ["g"], "order_by": "t"}
    fitted = fit(vaex.from_arrays(**columns), one_input("x", steps), series=series)
    agree(fitted, columns)


def test_an_expression_keeps_what_float32_would_lose(fitted: FittedFeatures) -> None:
    assert {one.name: one.boundary for one in fitted.encodings()}["numeric__lately"] == 0
    assert not any(one.encoded for one in fitted.encodings() if one.name == "numeric__lately")


@settings(max_examples=20)
@given(
    st.lists(
        st.fixed_dictionaries({
            "wide": st.none() | st.floats(-1e6, 1e6) | st.just(float("inf")),
            "full": st.floats(-1e6, 1e6) | st.sampled_from([float("inf"), float("-inf")]),
            "whole": st.none() | st.integers(-(2**31), 2**31 - 1),
            "small": st.integers(0, 255),
            "flag": st.none() | st.booleans(),
            "word": st.none() | st.text(st.characters(codec="utf-8"), max_size=3) | st.sampled_from(["ua", "aa", ""]),
            "when": st.datetimes(dt.datetime(1678, 1, 1), dt.datetime(2262, 4, 11)),
            "seconds": st.floats(1.3e9, 1.5e9),
            "grid": st.lists(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3), min_size=2, max_size=2),
        }),
        min_size=1,
        max_size=4,
    )
)  # fmt: skip
def test_any_record(fitted: FittedFeatures, records: list[dict[str, Any]]) -> None:
    if len(records) > 1:  # one or four: each number of rows is compiled by itself
        records = (records * 2)[:4]
    agree(fitted, {name: [record[name] for record in records] for name in records[0]})


NUMERIC = [
    "log1p",
    "sqrt",
    "standardize",
    "min_max",
    "robust",
    "max_abs",
    {"clip": {"quantiles": [0.1, 0.9]}},
    {"quantile": {"references": 20}},
    {"impute": "median"},
    {"power": {"exponent": 2, "signed": True}},
    {"cast": "float32"},
    {"scale": {"factor": 30, "offset": 1}},
    {"cyclical": 7},
]


def _normal(number: float) -> float:
    """What lies between zero and it is a number for XLA, too, which takes a subnormal one for zero."""
    return 0.0 if abs(number) < 1e-30 else number


@settings(max_examples=40)
@given(
    chain=st.lists(st.sampled_from(NUMERIC), min_size=1, max_size=4),
    rows=st.lists(st.floats(-1e3, 1e3, width=32).map(_normal) | st.just(float("nan")), min_size=3, max_size=30),
)
def test_any_chain(chain: list[Any], rows: list[float]) -> None:
    assume(all(one != {"cyclical": 7} for one in chain[:-1]))
    frame = vaex.from_arrays(x=np.array([*rows, 1.5, 2.5, -40.0]))
    try:
        filled = {"impute": {"strategy": "constant", "value": 9}}
        fitted = fit(frame, one_input("x", [*chain, filled]))
        layer = fitted.to_keras()
    except (FitError, FeatureTypeError):  # nothing left to learn from; float32 can't hold it
        return
    records = {"x": np.resize(frame.x.values, 33).tolist()}  # all of them: each number of rows is compiled by itself
    (expected,), (got,) = fitted.transform_records(records).values(), outputs_of(layer, records).values()
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_codes_differ_at_most_within_a_float32_ulp_of_an_edge() -> None:
    edges = [0.1, 1 / 3, 1e6 / 7]
    near = [np.nextafter(np.float32(edge), np.float32(sign * 1e9)) for edge in edges for sign in (-1, 1)]
    x = np.array([*edges, *np.nextafter(edges, -1e9), *np.nextafter(edges, 1e9), *near], dtype=np.float64)
    fitted = fit(vaex.from_arrays(x=x), one_input("x", [{"bucketize": edges}]))
    expected, got = fitted.transform_records({"x": x})["x"], outputs_of(fitted.to_keras(), {"x": x})["x"]
    apart = (expected != got)[:, 0]
    distance = np.abs(x[:, None] - edges).min(axis=1)
    assert (distance[apart] <= np.spacing(x[apart].astype("f4"))).all()
    whole = fit(vaex.from_arrays(x=x), one_input("x", [{"bucketize": edges}], "int32"))  # ready before the layer: exact
    agree(whole, {"x": x})
    assert (outputs_of(whole.to_keras(), {"x": x})["x"] == whole.transform_records({"x": x})["x"]).all()


@pytest.mark.parametrize(
    ("steps", "name"), [(["standardize"], "standardize"), (["robust"], "robust"), (["quantile"], "quantile")]
)
def test_what_float32_cannot_hold_is_refused(frame: vaex.dataframe.DataFrame, steps: list[Any], name: str) -> None:
    fitted = fit(frame, one_input("seconds", steps))
    with pytest.raises(FeatureTypeError, match=rf"^x\.seconds: step '{name}': .*Subtract a constant near the centre"):
        fitted.to_keras()


@pytest.mark.parametrize("steps", [["standardize"], ["min_max"], [{"scale": 2.0}, "standardize", "max_abs"]])
def test_a_centre_far_off_is_taken_away_before_the_layer(steps: list[Any]) -> None:
    x = np.random.default_rng(0).normal(2000.0, 7.0, 500)  # as float32 it would be wrong by 2e-5 of a deviation
    fitted = fit(vaex.from_arrays(x=x), one_input("x", steps))
    assert fitted.encodings()[0].boundary >= len(steps) - 1
    agree(fitted, {"x": x})


@pytest.mark.parametrize(
    "steps", [["standardize", {"scale": 1000.0}], ["standardize", {"power": {"exponent": 0.5, "signed": True}}]]
)
def test_what_a_step_lost_no_later_step_magnifies(steps: list[Any]) -> None:
    x = np.random.default_rng(0).normal(50.0, 3.0, 4000)
    fitted = fit(vaex.from_arrays(x=x), one_input("x", steps))
    assert fitted.encodings()[0].boundary == 2
    agree(fitted, {"x": x})


def test_what_nothing_fills_is_refused_as_in_training(frame: vaex.dataframe.DataFrame) -> None:
    for dtype, steps in (("float32", ["standardize"]), ("int32", [{"bucketize": [0, 5]}])):
        definition = FeatureSet.from_dict({"inputs": one_input("wide", steps, dtype)})
        fitted = definition.fit(frame, where="notmissing(wide)", progress=False)
        for serve in (fitted.transform_records, fitted.encode_records):
            with pytest.raises(MissingValueError, match="missing in 1 of 2 records, first in record 1"):
                serve({"wide": [1.0, None]})


def test_numbers_beyond_the_layer_are_refused(frame: vaex.dataframe.DataFrame) -> None:
    fitted = fit(frame, one_input("full", ["standardize"]))
    with pytest.raises(FeatureTypeError, match=r"x\.full: got 1e\+300, expected at most 3\.40282e\+38"):
        fitted.encode_records({"full": 1e300})
    ids = fit(vaex.from_arrays(i=np.array([1, 2**40])), one_input("i", [], "int64"))
    with pytest.raises(FeatureTypeError, match=r"x\.i: got 1099511627776 to .* Give them codes by a step"):
        ids.encode_records({"i": 2**40})


def test_a_dtype_policy_changes_nothing(fitted: FittedFeatures, frame: vaex.dataframe.DataFrame) -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        agree(fitted, records_of(frame, 4))
    finally:
        keras.config.set_dtype_policy("float32")


def test_it_refuses_other_inputs(fitted: FittedFeatures) -> None:
    layer = fitted.to_keras()
    with pytest.raises(OptionError, match=r"expected the dict that fitted\.encode_records gives"):
        layer(np.zeros((2, 3), "f4"))
    with pytest.raises(ColumnNotFoundError, match="no array 'numeric__wide'"):
        layer({"numeric__wid": np.zeros(3, "f4")})


def serving_model(fitted: FittedFeatures) -> Any:
    """A small model on the features, with its layer in front."""
    shapes = {field.name: (field.shape, field.dtype.name) for field in fitted.recipe(roles=("input",)).fields}
    inputs = {name: keras.Input(shape, dtype=dtype, name=name) for name, (shape, dtype) in shapes.items()}
    flat = [keras.layers.Flatten()(keras.layers.Rescaling(1.0)(one)) for one in inputs.values()]
    trained = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Concatenate()(flat)))
    return fitted.to_keras().serving_model(trained)


LOAD = """
import json, sys
import keras
import numpy as np
import vaxseq as vs

path, records = sys.argv[1], json.loads(sys.argv[2])
model = keras.saving.load_model(path, custom_objects={"FittedLayer": vs.FittedLayer})
layer = model.get_layer("features")
print(json.dumps([keras.backend.backend(), model.predict(layer.encode(records), verbose=0).tolist()]))
"""


RING = {"jax": "tensorflow", "tensorflow": "torch", "torch": "jax"}


@pytest.mark.slow
@pytest.mark.parametrize("reader", ["itself", "another"])
def test_a_keras_file_serves_in_a_fresh_process(
    reader: str, fitted: FittedFeatures, frame: vaex.dataframe.DataFrame, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Saved by this backend (CI runs each), read by it and by the next."""
    wanted = keras.backend.backend() if reader == "itself" else RING[keras.backend.backend()]
    environment = {**os.environ, "KERAS_BACKEND": wanted}
    model, path = serving_model(fitted), tmp_path / "served.keras"
    model.save(path)
    records = {**records_of(frame, 5), "wide": [1.0, None, 1e30, -3.0, 2.0], "word": ["ua", None, "", "?", "x"]}
    plain = {**records, "when": [str(one) for one in records["when"]], "grid": records["grid"].tolist()}
    expected = model.predict(fitted.encode_records(records), verbose=0)
    command = ["-c", LOAD, str(path), json.dumps(plain)]
    prepared = "keras_python" if reader == "itself" else f"{wanted}_python"
    if prepared in ("keras_python", "tensorflow_python"):
        done = request.getfixturevalue(prepared).run(command, env=environment)
    else:
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    backend, got = json.loads(done.stdout.splitlines()[-1])
    assert backend == wanted
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_the_file_holds_json_and_no_pickle(fitted: FittedFeatures, tmp_path: Path) -> None:
    config = keras.saving.serialize_keras_object(fitted.to_keras())
    assert set(config["config"]) == {"name", "state"}
    assert json.loads(config["config"]["state"])["format"] == "vaxseq fitted features"
    again = keras.saving.deserialize_keras_object(config)
    assert isinstance(again, FittedLayer) and again.fitted == fitted
    config["config"]["state"] = config["config"]["state"].replace("median", "mean")
    with pytest.raises(StateError, match="layer 'features': the file was edited or damaged"):
        FittedLayer.from_config(config["config"])


def test_symbolic_shapes_are_those_of_the_arrays(fitted: FittedFeatures, frame: vaex.dataframe.DataFrame) -> None:
    layer = fitted.to_keras()
    symbolic = layer(layer.new_inputs())
    for name, array in outputs_of(layer, records_of(frame, 4)).items():
        assert tuple(symbolic[name].shape) == (None, *array.shape[1:])
        assert keras.backend.standardize_dtype(symbolic[name].dtype) == array.dtype.name
