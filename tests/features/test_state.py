"""Fitted state: written and read back exactly, checked whole, and applied to frames."""

from __future__ import annotations

import json
import math
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import vaex
from hypothesis import given
from hypothesis import strategies as st
from prepared import PreparedPython

from vaxseq.errors import (
    ColumnNotFoundError,
    DefinitionError,
    FeatureTypeError,
    MissingValueError,
    OptionError,
    SourceError,
    SourceNotFoundError,
    StateError,
)
from vaxseq.expressions.values import Value
from vaxseq.features import FeatureSet, FittedFeatures
from vaxseq.features.learning.state_file import FitState, from_text, to_text
from vaxseq.features.program.cast import cast_to
from vaxseq.features.program.virtual import virtual_columns

ROWS = 2000

DEFINITION = {
    "columns": {"headwind": "speed * cos(heading * pi / 180)", "shout": "word.str.upper()"},
    "inputs": {
        "numeric": {
            "features": [
                {"column": "distance", "steps": ["log1p", "standardize"]},
                {"column": "temp", "steps": [{"impute": {"strategy": "median", "indicator": True}}, "standardize"]},
                {"column": "hour", "steps": [{"cyclical": {"period": 24}}]},
                {"column": "headwind", "steps": ["standardize"]},
                {"name": "odd one", "expr": "hour - 6", "steps": ["min_max"]},
            ]
        },
        "codes": {"dtype": "int32", "features": [{"columns": ["word", "shout"], "steps": ["vocabulary"]}]},
        "image": {"dtype": "uint8", "features": [{"column": "grid"}]},
    },
    "targets": {
        "late": {"expr": "delay >= 30"},
        "delay": {"column": "delay", "steps": ["standardize"]},
        "kind": {"column": "kind", "classes": True},
        "pair": {"columns": ["distance", "temp"], "steps": ["min_max"]},
    },
    "weights": {"column": "w"},
    "window": {"length": 8, "order_by": "hour"},
}


@pytest.fixture(scope="module")
def frame() -> vaex.dataframe.DataFrame:
    rng = np.random.default_rng(0)
    temp = rng.normal(10, 5, ROWS)
    temp[::50] = np.nan
    delay = rng.normal(10, 30, ROWS)
    delay[::77] = np.nan
    return vaex.from_arrays(
        distance=rng.uniform(100, 3000, ROWS),
        temp=temp,
        hour=rng.integers(0, 24, ROWS),
        speed=rng.uniform(0, 30, ROWS).astype("f4"),
        heading=rng.uniform(0, 360, ROWS),
        word=pa.array(rng.choice(["ua", "aa", "dl", None], ROWS).tolist()),
        grid=rng.integers(0, 255, (ROWS, 4, 4)).astype("u1"),
        delay=delay,
        kind=pa.array(rng.choice(["setosa", "virginica", "versicolor"], ROWS).tolist()),
        w=rng.uniform(1, 2, ROWS),
    )


@pytest.fixture(scope="module")
def fitted(frame: vaex.dataframe.DataFrame) -> FittedFeatures:
    return FeatureSet.from_dict(DEFINITION).fit(frame, where="hour <= 20", progress=False)


def edited(fitted: FittedFeatures, old: str, new: str, *, sign: bool = False) -> str:
    """The state's text with one edit, its sha256 made right again where asked."""
    text = fitted.to_json()
    assert old in text
    text = text.replace(old, new, 1)
    if sign:
        from vaxseq.features.learning.state_file import _digest

        content = json.loads(text)
        del content["sha256"]
        content["sha256"] = _digest(content)
        text = json.dumps(content)
    return text


def test_saved_state_comes_back_whole(fitted: FittedFeatures, tmp_path: Path) -> None:
    file = tmp_path / "fitted.json"
    fitted.save(file)
    assert FittedFeatures.load(file) == fitted
    assert FittedFeatures.load(file, feature_set=fitted.feature_set).state == fitted.state
    assert os.listdir(tmp_path) == ["fitted.json"]
    content = json.loads(file.read_text())
    assert content["data"]["where"] == "hour <= 20"
    assert content["data"]["rows"] == fitted.state.rows
    assert content["learned"]["numeric.temp"]["missing"] > 0
    assert content["libraries"]["numpy"] == np.__version__
    assert (
        content["learned"]["numeric.distance"]["steps"][1]["standardize"]["mean"]
        == fitted.state.learned["numeric.distance"][1]["mean"]
    )


def test_it_pickles_as_its_json(fitted: FittedFeatures) -> None:
    data = pickle.dumps(fitted)
    assert b'"format": "vaxseq fitted features"' in data
    again = pickle.loads(data)
    assert again == fitted and hash(again) == hash(fitted) and again.recipe().fields == fitted.recipe().fields


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=64), max_size=20), st.text(max_size=10))
def test_floats_come_back_to_the_bit(numbers: list[float], text: str) -> None:
    learned = {"x.a": ({"numbers": numbers, "deep": {text: [numbers]}, "whole": 2**63, "nothing": None, "yes": True},)}
    state = FitState(
        learned=learned, rows=1, scans=1, where=text, data_fingerprint="f", columns={"a": "text"}, missing={"x.a": 0}
    )
    if any(ord(sign) >= 0xD800 and ord(sign) < 0xE000 for sign in text):
        return
    _, _, steps, again = from_text(to_text({"version": 1}, "d", {"x.a": ("step",)}, state), "state")
    assert steps == {"x.a": ("step",)} and again.where == text
    found = again.learned["x.a"][0]
    assert [math.copysign(1, one) for one in found["numbers"]] == [math.copysign(1, one) for one in numbers] or any(
        map(math.isnan, numbers)
    )
    assert np.array_equal(np.array(found["numbers"]), np.array(numbers), equal_nan=True)
    assert found["whole"] == 2**63 and found["yes"] is True and found["nothing"] is None
    assert list(found["deep"]) == [text]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a state file"),
        ("[]", "not a state file; expected JSON with format"),
        ("{}", "not a state file"),
        ('{"format": "vaxseq fitted features", "version": 99}', "state of version 99, expected 1"),
        ('{"format": "vaxseq fitted features", "version": 1}', "edited or damaged"),
        ('{"a": NaN}', "NaN isn't JSON"),
        ("[" * 100_000, "not a state file"),
    ],
)
def test_what_is_no_state_file_is_refused(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "fitted.json"
    file.write_text(text)
    with pytest.raises(StateError, match=message):
        FittedFeatures.load(file)


def test_edits_are_noticed(fitted: FittedFeatures) -> None:
    with pytest.raises(StateError, match="edited or damaged"):
        FittedFeatures.from_json(edited(fitted, '"period": 24', '"period": 12'))
    with pytest.raises(StateError, match="means something else"):
        FittedFeatures.from_json(edited(fitted, '"period": 24', '"period": 12', sign=True))
    with pytest.raises(StateError, match="can't read the definition in it"):
        FittedFeatures.from_json(edited(fitted, '"log1p"', '"log2p"', sign=True))
    with pytest.raises(StateError, match="isn't in the data"):
        FittedFeatures.from_json(edited(fitted, '"distance": "float64"', '"distanze": "float64"', sign=True))
    with pytest.raises(StateError, match="data.rows: Field required"):
        FittedFeatures.from_json(edited(fitted, '"rows"', '"rowz"', sign=True))
    with pytest.raises(StateError, match="edited or damaged|not a state file"):
        FittedFeatures.from_json(fitted.to_json()[:-200])


def test_another_definition_is_refused_with_what_differs(fitted: FittedFeatures, tmp_path: Path) -> None:
    file = tmp_path / "fitted.json"
    fitted.save(file)
    other = FeatureSet.from_dict({**DEFINITION, "targets": {"late": {"expr": "delay >= 60"}}})
    with pytest.raises(
        StateError, match="another definition; targets.late.expr: got 'delay >= 60', fitted with 'delay >= 30'"
    ):
        FittedFeatures.load(file, feature_set=other)
    with pytest.raises(SourceNotFoundError, match="Did you mean 'fitted.json'"):
        FittedFeatures.load(tmp_path / "fited.json")


def test_a_failed_save_leaves_the_old_file(
    fitted: FittedFeatures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "fitted.json"
    old = '{"format": "vaxseq fitted features"}'
    file.write_text(old)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SourceError, match="No space left"):
        fitted.save(file)
    assert file.read_text() == old and os.listdir(tmp_path) == ["fitted.json"]
    with pytest.raises(SourceError, match="can't be written"):
        fitted.save(tmp_path / "no" / "fitted.json")


def batch(fitted: FittedFeatures, frame: vaex.dataframe.DataFrame) -> dict[str, Value]:
    from vaxseq.frame import source_of

    source = source_of(frame)
    recipe = fitted.recipe(source.types())
    outputs = recipe.program.run(source.read(recipe.program.columns, 0, source.n_rows))
    places = [place for group in fitted.groups for place in group.places]
    return {place.column: value for place, value in zip(places, outputs, strict=True)}


def test_virtual_columns_are_the_program_to_the_last_bit(
    fitted: FittedFeatures, frame: vaex.dataframe.DataFrame
) -> None:
    bound = fitted.transform(frame)
    assert "numeric__odd one" in str(bound.get_column_names()) or "numeric__odd_one" in str(bound.get_column_names())
    for name, value in batch(fitted, frame).items():
        shown = bound[name].values
        assert np.asarray(shown).dtype == value.data.dtype
        assert np.asarray(shown).tobytes() == np.ascontiguousarray(value.data).tobytes(), name
    assert np.allclose(
        bound.headwind.values, frame.speed.values.astype("f8") * np.cos(np.radians(frame.heading.values))
    )
    assert bound.shout.tolist()[:50] == [None if one is None else one.upper() for one in frame.word.tolist()[:50]]
    part = bound[bound.hour > 12]
    everything = bound["numeric__distance"].values[bound.hour.values > 12]
    assert part["numeric__distance"].values.tobytes() == everything.tobytes()


def test_missing_targets_stay_missing(fitted: FittedFeatures, frame: vaex.dataframe.DataFrame) -> None:
    lost = np.isnan(frame.delay.values)
    found = batch(fitted, frame)
    assert lost.sum() > 10
    for name in ("target__late", "target__delay"):
        assert (found[name].is_missing() == lost).all()
    assert np.array_equal(found["target__late"].data[~lost], (frame.delay.values[~lost] >= 30).astype("f4"))


def test_the_recipe_names_fields_in_order(fitted: FittedFeatures) -> None:
    fields = fitted.recipe().fields
    assert [(field.role, field.name) for field in fields] == [
        ("input", "numeric"), ("input", "codes"), ("input", "image"),
        ("target", "late"), ("target", "delay"), ("target", "kind"), ("target", "pair"), ("weight", "w"),
    ]  # fmt: skip
    assert [field.shape for field in fields] == [(7,), (2,), (4, 4), (), (), (), (2,), ()]
    assert [str(field.dtype) for field in fields] == [
        "float32",
        "int32",
        "uint8",
        "float32",
        "float32",
        "int32",
        "float32",
        "float32",
    ]
    assert [(part.name, part.start, part.width) for part in fields[0].parts] == [
        ("distance", 0, 1), ("temp", 1, 2), ("hour", 3, 2), ("headwind", 5, 1), ("odd one", 6, 1),
    ]  # fmt: skip
    assert fitted.window == {
        "length": 8, "stride": 1, "group_by": None, "order_by": "hour", "horizon": 0, "target": "last",
        "target_length": None, "max_gap": None, "min_valid": 1.0, "future_inputs": None, "static_inputs": None,
    }  # fmt: skip


def test_rows_without_answers_can_be_transformed(fitted: FittedFeatures, frame: vaex.dataframe.DataFrame) -> None:
    bare = frame.drop(["delay", "kind", "w"], check=False)
    names = fitted.transform(bare).get_column_names()
    assert "numeric__distance" in names and "target__late" not in names and "weight__w" not in names
    with pytest.raises(ColumnNotFoundError, match="column 'delay': needed by the features, isn't in the data"):
        fitted.recipe({name: fitted.state.columns[name] for name in bare.get_column_names()})


def test_other_data_is_refused_with_what_differs(fitted: FittedFeatures, frame: vaex.dataframe.DataFrame) -> None:
    other = frame.copy()
    other["word"] = np.arange(len(other))
    other["hour"] = other.hour.astype("float64")
    with pytest.raises(
        StateError, match=r"column 'hour': got float64, expected int64(.|\n)*column 'word': got int64, expected text"
    ):
        fitted.transform(other)
    with pytest.raises(ColumnNotFoundError, match="column 'temp'"):
        fitted.transform(frame.drop("temp", check=False))
    narrow = frame.copy()
    narrow["hour"] = narrow.hour.astype("int16")  # the same kind, narrower: the same numbers
    assert (
        fitted.transform(narrow)["numeric__hour"].values.tobytes()
        == fitted.transform(frame)["numeric__hour"].values.tobytes()
    )


def test_targets_are_undone(fitted: FittedFeatures, frame: vaex.dataframe.DataFrame) -> None:
    found = batch(fitted, frame)
    known = ~np.isnan(frame.delay.values)
    undone = fitted.inverse_transform("delay", found["target__delay"].data)
    assert np.allclose(undone[known], frame.delay.values[known], rtol=1e-5, atol=1e-4)
    assert fitted.inverse_transform("kind", found["target__kind"].data).tolist() == frame.kind.tolist()
    assert fitted.classes("kind") == ["setosa", "versicolor", "virginica"]
    assert fitted.classes("late") is None
    scores = np.eye(3)[[2, 0]]
    assert fitted.inverse_transform("kind", scores).tolist() == ["virginica", "setosa"]
    pair = np.stack([found["target__pair__distance"].data, found["target__pair__temp"].data], axis=1)
    assert np.allclose(fitted.inverse_transform("pair", pair)[:, 0], frame.distance.values, rtol=1e-5)
    with pytest.raises(OptionError, match=r"got shape \(2000,\), expected \(rows, 2\)"):
        fitted.inverse_transform("pair", pair[:, 0])
    with pytest.raises(OptionError, match="target 'lat': not in the definition. Did you mean 'late'"):
        fitted.inverse_transform("lat", [1.0])
    with pytest.raises(StateError, match="got a code 0 to 7"):
        fitted.inverse_transform("kind", [0, 7])


def test_a_class_that_no_training_row_has_is_refused(fitted: FittedFeatures, frame: vaex.dataframe.DataFrame) -> None:
    records = {"kind": ["setosa", "rosa"], "delay": [1.0, 2.0], "distance": [1.0, 2.0], "temp": [1.0, 2.0]}
    with pytest.raises(StateError, match="'rosa', which isn't one of the 3 classes"):
        fitted.transform_targets(records)
    records["kind"][1] = "virginica"
    assert fitted.transform_targets(records)["kind"].tolist() == [0, 2]
    assert fitted.transform_targets(records)["pair"].shape == (2, 2)


@pytest.mark.parametrize("kind", ["int64", "uint8", "bool"])
def test_classes_of_numbers_are_sorted(kind: str) -> None:
    labels = np.array([7, 1, 7, 3, 0, 1]).astype(kind)
    frame = vaex.from_arrays(x=np.arange(6.0), y=labels)
    fs = FeatureSet.from_dict(
        {"inputs": {"x": {"features": [{"column": "x"}]}}, "targets": {"y": {"column": "y", "classes": True}}}
    )
    fitted = FittedFeatures.from_json(fs.fit(frame, progress=False).to_json())
    classes = np.unique(labels)
    assert fitted.classes("y") == classes.tolist()
    assert fitted.transform_targets({"y": labels})["y"].tolist() == np.searchsorted(classes, labels).tolist()


def test_a_missing_class_is_masked() -> None:
    whole = pa.array([None, 1, None, 2])
    frame = vaex.from_arrays(x=np.arange(4.0), y=pa.array(["b", None, "a", "b"]), whole=whole)
    fs = FeatureSet.from_dict({
        "columns": {"even": "whole % 2 == 0"},
        "inputs": {"x": {"features": [{"column": "x"}]}},
        "targets": {"y": {"column": "y", "classes": True}},
    })  # fmt: skip
    fitted = fs.fit(frame, progress=False)
    assert fitted.transform(frame)["target__y"].tolist() == [1, None, 0, 1]
    assert fitted.transform(frame)["even"].tolist() == [None, False, None, True]
    assert fitted.transform(frame)[fitted.transform(frame).even]["whole"].tolist() == [2]
    assert batch(fitted, frame)["target__y"].missing is not None


def test_a_feature_that_may_be_missing_must_say_what_then(frame: vaex.dataframe.DataFrame) -> None:
    fs = FeatureSet.from_dict({"inputs": {"x": {"features": [{"column": "temp", "steps": ["standardize"]}]}}})
    with pytest.raises(MissingValueError, match=r"x\.temp.*40 of 2,000 training rows"):
        fs.fit(frame, progress=False)


@pytest.mark.parametrize(
    ("dtype", "values", "message"),
    [
        ("float16", [1.0, 70000.0], "got 70000, expected at most 65504"),
        ("float32", [1.0, 1e39], "got 1e\\+39, expected at most 3.4"),
        ("uint8", [1, 256], "got 1 to 256, expected 0 to 255"),
        ("int8", [-129, 0], "got -129 to 0"),
        ("int32", [1.5], "its last value is float, expected what fits int32. End with"),
        ("bool", [0, 1], "its last value is int, expected what fits bool"),
        ("float32", np.array(["2014"], "M8[s]"), "datetime.*Turn times"),
        ("float32", pa.array(["a"]), "text.*Turn text into numbers"),
    ],
)
def test_what_a_type_cannot_hold_is_refused(dtype: str, values: object, message: str) -> None:
    with pytest.raises(FeatureTypeError, match=message):
        cast_to(dtype)(Value(values if isinstance(values, (np.ndarray, pa.Array)) else np.array(values)))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int64", "uint8", "uint32"])
@pytest.mark.parametrize("kind", ["bool", "int8", "uint8", "int64", "float64"])
def test_what_fits_is_cast_and_missing_stays(dtype: str, kind: str) -> None:
    if kind == "float64" and "int" in dtype:
        return
    value = Value(np.array([0, 1, 1]).astype(kind))
    assert cast_to(dtype)(value).data.dtype == dtype and cast_to(dtype)(value).data.tolist() == [0, 1, 1]
    empty = cast_to(dtype)(Value(np.zeros(0, kind)))
    assert len(empty) == 0 and empty.data.dtype == dtype
    lost = Value(np.array([0.0, np.nan])) if kind == "float64" else Value(np.zeros(2, kind), np.array([False, True]))
    assert cast_to(dtype)(lost).is_missing().tolist() == [False, True]
    if kind == "float64":
        assert np.isinf(cast_to(dtype)(Value(np.array([np.inf, 1.0]))).data[0])


@pytest.mark.slow
def test_a_transformed_frame_works_in_another_process(
    fitted: FittedFeatures, frame: vaex.dataframe.DataFrame, tmp_path: Path, python: PreparedPython
) -> None:
    file = tmp_path / "d.arrow"
    frame.drop("grid", check=False).export_arrow(str(file))
    plain = {**DEFINITION, "inputs": {"numeric": DEFINITION["inputs"]["numeric"]}}  # type: ignore[index]
    fitted = FeatureSet.from_dict(plain).fit(str(file), progress=False)
    bound = fitted.transform(str(file))
    for name, (function, _) in virtual_columns(
        fitted.feature_set.derived, fitted.groups, fitted.state.learned, fitted.state.columns
    ).items():
        assert len(pickle.dumps(function)) < 4000, name  # vaex pickles each alone, so each must be small
    (tmp_path / "frame.pickle").write_bytes(pickle.dumps(bound))
    code = (
        "import pickle, sys\n"
        "frame = pickle.load(open(sys.argv[1], 'rb'))\n"
        "print(frame['numeric__distance'].values.tobytes().hex()[:64])"
    )
    done = python.run(["-c", code, tmp_path / "frame.pickle"], check=True)
    assert done.stdout.strip() == bound["numeric__distance"].values.tobytes().hex()[:64]


def test_the_tables_show_what_was_learned(fitted: FittedFeatures, frame: vaex.dataframe.DataFrame) -> None:
    summary = fitted.summary()
    text = repr(summary)
    assert "where hour <= 20" in text and "impute(strategy=median" in text and "2." in text
    html = summary._repr_html_()
    assert "http" not in html and "<script" not in html and "hour &lt;= 20" in html
    assert summary.plain()["numeric.temp"]["width"] == 2
    assert summary.plain()["numeric.temp"]["missing"] == pytest.approx(0.02, abs=0.005)
    assert "FittedFeatures: 8 features" in repr(fitted)
    shown = fitted.preview(frame, rows=100)
    assert shown.plain()["target.late.late"]["missing"] == 2
    assert shown.plain()["input.numeric.distance"]["warnings"] == []
    assert "First 100 rows" in repr(shown)
    json.dumps(shown.plain())


def test_the_preview_warns() -> None:
    frame = vaex.from_arrays(big=np.arange(10) * 1e4, same=np.ones(10), bad=np.array([np.inf, *range(9)]))
    fs = FeatureSet.from_dict({"inputs": {"x": {"features": [{"dtype": "float"}]}}})
    shown = fs.fit(frame, progress=False).preview(frame, where="big >= 0")
    warnings = {name: found["warnings"] for name, found in shown.plain().items()}
    assert warnings["input.x.big"][0].startswith("large: up to 9e+04")
    assert warnings["input.x.same"] == ["constant"]
    assert warnings["input.x.bad"] == ["infinite in 1"]


def test_an_expression_reads_other_features(frame: vaex.dataframe.DataFrame) -> None:
    fs = FeatureSet.from_dict({
        "columns": {"double": "distance * 2"},
        "inputs": {
            "b": {"features": [
                {"name": "third", "expr": "col('b__second') + double", "steps": ["min_max"]},
                {"name": "second", "expr": "col('a__distance') * col('a__temp')", "steps": ["standardize"]},
            ]},
            "a": {"dtype": "float64", "features": [
                {"column": "distance", "steps": ["log1p", "standardize"]},
                {"column": "temp", "steps": [{"impute": {"strategy": "mean"}}]},
            ]},
        },
    })  # fmt: skip
    fitted = fs.fit(frame, where="double > 1000", progress=False)
    chosen = frame.distance.values * 2 > 1000
    log = np.log1p(frame.distance.values)
    scaled = (log - log[chosen].mean()) / log[chosen].std()
    temp = np.where(np.isnan(frame.temp.values), np.nanmean(frame.temp.values[chosen]), frame.temp.values)
    product = scaled * temp
    second = (product - product[chosen].mean()) / product[chosen].std()
    assert np.allclose(fitted.transform(frame)["b__second"].values, second, rtol=1e-5, atol=1e-5)
    third = second.astype("f4") + frame.distance.values * 2
    third = (third - third[chosen].min()) / (third[chosen].max() - third[chosen].min())
    assert np.allclose(fitted.transform(frame)["b__third"].values, third, rtol=1e-5, atol=1e-5)
    again = FittedFeatures.from_json(fitted.to_json())
    records = {name: frame[name].tolist() for name in ("distance", "temp")}
    served = again.transform_records(records)
    found = batch(again, frame)
    assert served["b"].tobytes() == np.stack([found["b__third"].data, found["b__second"].data], axis=1).tobytes()
    assert again.encode_records(records)["b__second"].shape == (ROWS,)
    with ThreadPoolExecutor(2) as pool:
        assert fs.fit(frame, where="double > 1000", executor=pool, progress=False).state.learned == fitted.state.learned


def test_features_that_need_one_another_are_refused(frame: vaex.dataframe.DataFrame) -> None:
    fs = FeatureSet.from_dict({
        "inputs": {"a": {"features": [
            {"name": "x", "expr": "col('a__y') + 1"},
            {"name": "y", "expr": "col('a__x') + distance"},
        ]}}
    })  # fmt: skip
    with pytest.raises(DefinitionError, match="the features need one another: a__x -> a__y -> a__x"):
        fs.check(frame)
    unknown = FeatureSet.from_dict({"inputs": {"a": {"features": [{"name": "x", "expr": "col('a__z') + distance"}]}}})
    with pytest.raises(DefinitionError, match="column 'a__z' isn't in the data"):
        unknown.check(frame)
