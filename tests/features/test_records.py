"""Served records: the same bits as training, from any form that records come in, and clear refusals."""

from __future__ import annotations

import datetime as dt
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import vaex
from hypothesis import given, settings
from hypothesis import strategies as st

from vaxseq.errors import ColumnNotFoundError, FeatureTypeError, MissingValueError, OptionError
from vaxseq.features import FeatureSet, FittedFeatures
from vaxseq.features.records.record_column import RecordColumn
from vaxseq.frame import source_of

ROWS = 400
IMPUTED = [{"impute": {"strategy": "mean", "indicator": True}}, "standardize"]


@pytest.fixture(scope="module")
def frame() -> vaex.dataframe.DataFrame:
    rng = np.random.default_rng(1)
    wide = rng.normal(10, 5, ROWS)
    wide[::9] = np.nan
    narrow = rng.normal(0, 1, ROWS).astype("f4")
    narrow[::7] = np.nan
    return vaex.from_arrays(
        wide=wide,
        narrow=narrow,
        whole=pa.array(rng.integers(-5, 5, ROWS), pa.int32(), mask=rng.random(ROWS) < 0.1),
        small=rng.integers(0, 255, ROWS).astype("u1"),
        flag=pa.array([None if one < 0.1 else bool(one < 0.5) for one in rng.random(ROWS)]),
        word=pa.array(rng.choice(["ua", "aa", "", "é", None], ROWS).tolist()),
        when=np.datetime64("2014-01-01", "ns") + rng.integers(0, 10**15, ROWS).astype("m8[ns]"),
        grid=rng.integers(0, 16, (ROWS, 2, 2)).astype("u1"),
    )


@pytest.fixture(scope="module")
def fitted(frame: vaex.dataframe.DataFrame) -> FittedFeatures:
    fs = FeatureSet.from_dict({
        "columns": {"ratio": "wide / (small + 1)", "long": "word.str.len()"},
        "inputs": {
            "numeric": {"features": [
                {"columns": ["wide", "narrow", "whole", "flag", "ratio", "long"], "steps": IMPUTED},
                {"column": "small", "steps": ["log1p", "standardize"]},
                {"name": "hour", "expr": "when.dt.hour", "steps": [{"cyclical": {"period": 24}}]},
                {"column": "when", "name": "age", "steps": [{"elapsed": {"since": "2013-12-31", "unit": "days"}}]},
            ]},
            "codes": {"dtype": "int32", "features": [{"columns": ["word", "whole"], "steps": ["vocabulary"]}]},
            "image": {"features": [{"column": "grid", "steps": [{"scale": {"factor": 0.0625}}]}]},
        },
    })  # fmt: skip
    return fs.fit(frame, progress=False)


@pytest.fixture(scope="module")
def expected(fitted: FittedFeatures, frame: vaex.dataframe.DataFrame) -> dict[str, np.ndarray]:
    """What the reader's program makes of all rows."""
    source = source_of(frame)
    recipe = fitted.recipe(source.types())
    outputs = recipe.program.run(source.read(recipe.program.columns, 0, source.n_rows))
    return {
        field.name: np.concatenate(
            [outputs[part.output].data.reshape(ROWS, part.width) for part in field.parts], axis=1
        ).reshape((ROWS, *field.shape))
        for field in recipe.fields
    }


def columns_of(frame: vaex.dataframe.DataFrame) -> dict[str, Any]:
    return {
        name: list(frame.when.values) if name == "when" else frame[name].tolist() for name in frame.get_column_names()
    }


def same(got: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert list(got) == list(expected)
    for name, array in expected.items():
        assert got[name].dtype == array.dtype and got[name].shape == array.shape
        assert got[name].tobytes() == np.ascontiguousarray(array).tobytes(), name


@pytest.mark.parametrize(
    "form", ["lists", "arrays", "table", "batch", "pandas", "pyarrow pandas", "list of dicts", "chunked"]
)
def test_every_form_gives_the_bits_of_training(
    form: str, fitted: FittedFeatures, frame: vaex.dataframe.DataFrame, expected: dict[str, np.ndarray]
) -> None:
    lists = columns_of(frame)
    flat = {name: value for name, value in lists.items() if name != "grid"}
    image = pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(frame.grid.values))
    table = pa.table({**{name: pa.array(value) for name, value in flat.items()}, "grid": image})
    records: Any = {
        "lists": lists,
        "arrays": {**lists, **{name: frame[name].values for name in ("wide", "small", "when", "grid")}},
        "table": table,
        "batch": table.to_batches()[0],
        "chunked": pa.concat_tables([table.slice(0, 100), table.slice(100)]),
        "pandas": pd.DataFrame({**flat, "grid": [np.asarray(one) for one in lists["grid"]]}),
        "pyarrow pandas": pd.DataFrame({**{n: pd.array(v) for n, v in flat.items() if n in ("whole", "flag", "word")},
                                        **{n: v for n, v in flat.items() if n not in ("whole", "flag", "word")},
                                        "grid": lists["grid"]}),
        "list of dicts": [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)],
    }[form]  # fmt: skip
    same(fitted.transform_records(records), expected)


def test_one_record_at_a_time_gives_the_bits_of_training(
    fitted: FittedFeatures, frame: vaex.dataframe.DataFrame, expected: dict[str, np.ndarray]
) -> None:
    lists = columns_of(frame)
    for row in range(0, ROWS, 7):
        record = {name: values[row] for name, values in lists.items()}
        same(fitted.transform_records(record), {name: array[row : row + 1] for name, array in expected.items()})


FLOATS = st.none() | st.floats(width=64)


@settings(max_examples=40)
@given(
    st.lists(
        st.fixed_dictionaries({
            "wide": FLOATS,
            "narrow": st.none() | st.floats(width=32),
            "whole": st.none() | st.integers(-(2**31), 2**31 - 1),
            "small": st.integers(0, 255),
            "flag": st.none() | st.booleans(),
            "word": st.none() | st.text(st.characters(codec="utf-8"), max_size=3) | st.sampled_from(["ua", "aa"]),
            "when": st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)),
            "grid": st.lists(st.lists(st.integers(0, 255), min_size=2, max_size=2), min_size=2, max_size=2),
        }),
        min_size=1,
        max_size=6,
    )
)  # fmt: skip
@pytest.mark.slow
def test_one_many_frame_and_program_agree(fitted: FittedFeatures, records: list[dict[str, Any]]) -> None:
    for record in records:  # an infinite ratio of float32 range is honest; beyond it is refused
        if record["wide"] is not None and abs(record["wide"]) > 1e30:
            record["wide"] = float("inf")
    many = fitted.transform_records({name: [record[name] for record in records] for name in records[0]})
    for row, record in enumerate(records):
        same(fitted.transform_records(record), {name: array[row : row + 1] for name, array in many.items()})
    frame = vaex.from_arrays(
        wide=np.array([np.nan if r["wide"] is None else r["wide"] for r in records]),
        narrow=np.array([np.nan if r["narrow"] is None else r["narrow"] for r in records], "f4"),
        whole=pa.array([r["whole"] for r in records], pa.int32()),
        small=np.array([r["small"] for r in records], "u1"),
        flag=pa.array([r["flag"] for r in records], pa.bool_()),
        word=pa.array([r["word"] for r in records], pa.string()),
        when=np.array([r["when"] for r in records], "M8[ns]"),
        grid=np.array([r["grid"] for r in records], "u1"),
    )
    bound = fitted.transform(frame)
    for group in fitted.groups:
        shown = [np.asarray(bound[place.column].values).reshape(len(records), -1) for place in group.places]
        assert np.concatenate(shown, axis=1).tobytes() == many[group.name].tobytes()


def test_encoded_records_are_what_a_layer_can_take(fitted: FittedFeatures, frame: vaex.dataframe.DataFrame) -> None:
    encoded = fitted.encode_records(columns_of(frame))
    assert {str(array.dtype) for array in encoded.values()} == {"float32", "int32"}
    assert encoded["codes__word"].dtype == np.int32
    assert np.isnan(encoded["numeric__wide"]).sum() == np.isnan(frame.wide.values).sum()
    assert np.isnan(encoded["numeric__whole"]).tolist() == [one is None for one in frame.whole.tolist()]
    assert encoded["image__grid"].shape == (ROWS, 2, 2)
    known = {one.name: one for one in fitted.encodings()}
    assert list(known) == [name for name in encoded if "__side" not in name]
    assert known["codes__word"].boundary == 1 and known["numeric__wide"].boundary == 0


def record(**changes: Any) -> dict[str, Any]:
    base = {"wide": 1.0, "narrow": 1.0, "whole": 1, "small": 1, "flag": True, "word": "ua", "grid": [[1, 2], [3, 4]]}
    return {**base, "when": "2014-05-06 07:08:09", "further": object(), **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"wide": "1.5"}, "column 'wide': got text, expected a number"),
        ({"wide": True}, "column 'wide': got bool, expected a number"),
        ({"whole": 1.5}, "column 'whole': got .*1.5.*, expected a whole number"),
        ({"whole": 2**40}, "column 'whole': got 1099511627776 to 1099511627776"),
        ({"whole": 2**80}, "column 'whole': got"),
        ({"small": -1}, "column 'small': got -1 to -1"),
        ({"flag": 1}, "column 'flag': got int, expected True or False"),
        ({"word": 3}, "column 'word': got int, expected text"),
        ({"when": "yesterday"}, "column 'when': got 'yesterday', expected a time"),
        ({"when": 5}, "column 'when': got int, expected a time"),
        ({"grid": [[1, 2, 3], [4, 5, 6]]}, r"column 'grid': got values of shape \(2, 3\)"),
        ({"grid": [["a", "b"], ["c", "d"]]}, "column 'grid': got rows of other lengths, or of text"),
        ({"wide": object()}, "column 'wide': got values of mixed or unreadable types"),
    ],
)
def test_a_value_of_another_type_is_refused(fitted: FittedFeatures, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FeatureTypeError, match=message):
        fitted.transform_records(record(**changes))
    lists = {name: [value, value] for name, value in record(**changes).items()}
    with pytest.raises(FeatureTypeError, match=message):
        fitted.transform_records(lists)


def test_all_wrong_values_are_named_together(fitted: FittedFeatures) -> None:
    with pytest.raises(FeatureTypeError, match=r"column 'wide'(.|\n)*column 'flag'(.|\n)*"):
        fitted.transform_records(record(wide="a", flag="b"))


def test_missing_columns_are_all_named(fitted: FittedFeatures) -> None:
    there = record()
    del there["wide"], there["word"]
    with pytest.raises(
        ColumnNotFoundError, match=r"column 'wide' isn't there(.|\n)*column 'word' isn't there(.|\n)*Pass None"
    ):
        fitted.transform_records(there)
    with pytest.raises(ColumnNotFoundError, match=r"records\[1\]: column 'wide'"):
        fitted.transform_records([record(), {**there, "word": "a"}])
    with pytest.raises(ColumnNotFoundError, match="Did you mean 'widee'"):
        fitted.transform_records(pd.DataFrame({**{n: [v] for n, v in there.items()}, "widee": [1]}))


def test_a_missing_value_without_a_rule_is_refused(fitted: FittedFeatures) -> None:
    with pytest.raises(MissingValueError, match=r"numeric\.hour: missing in 1 of 1 records(.|\n)*numeric\.age"):
        fitted.transform_records(record(when=None))
    with pytest.raises(MissingValueError, match=r"image\.grid: missing in 1 of 2 records, first in record 1"):
        fitted.transform_records([record(), record(grid=None)])
    filled = fitted.transform_records(record(wide=None, narrow=None, whole=None, flag=None, word=None))
    assert not np.isnan(filled["numeric"]).any() and filled["codes"].tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (3, "got int, expected a dict of lists"),
        ("abc.arrow", r"got str, .*pathlib\.Path"),
        ([1, 2], r"records\[0\]: got int, expected a dict"),
    ],
)
def test_what_are_no_records(fitted: FittedFeatures, records: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        fitted.transform_records(records)


def test_columns_must_be_alike(fitted: FittedFeatures) -> None:
    lists = {name: [value] * 3 for name, value in record().items()}
    with pytest.raises(OptionError, match="different lengths"):
        fitted.transform_records({**lists, "wide": [1.0]})
    with pytest.raises(OptionError, match="'wide' is one value beside columns of several"):
        fitted.transform_records({**lists, "wide": 1.0})


def test_no_records_give_no_rows(fitted: FittedFeatures) -> None:
    shapes = {"numeric": (0, 16), "codes": (0, 2), "image": (0, 2, 2)}
    table = pa.table({"wide": pa.array([], pa.float64())})
    empty = {name: [] for name in record()}
    assert {name: array.shape for name, array in fitted.transform_records(empty).items()} == shapes
    assert fitted.transform_records([])["codes"].shape == (0, 2)
    with pytest.raises(ColumnNotFoundError):
        fitted.transform_records(table)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("2014-01-02", "2014-01-02"),
        ("2014-01-02T03:04:05Z", "2014-01-02T03:04:05"),
        ("2014-01-02T03:04:05+02:00", "2014-01-02T01:04:05"),
        ("2014-01-02 03:04:05.123456789", "2014-01-02T03:04:05.123456789"),
        (dt.datetime(2014, 1, 2, 3, 4, 5), "2014-01-02T03:04:05"),
        (pd.Timestamp("2014-01-02 03:04:05"), "2014-01-02T03:04:05"),
        (np.datetime64("2014-01-02T03"), "2014-01-02T03"),
        (dt.datetime(2014, 1, 2, 3, tzinfo=dt.timezone(dt.timedelta(hours=1))), "2014-01-02T02"),
        (dt.date(2014, 1, 2), "2014-01-02"),
        (None, "NaT"),
        (pd.NaT, "NaT"),
    ],
)
def test_times_in_their_many_forms(raw: Any, expected: str) -> None:
    for value in (RecordColumn("t", "datetime64[ns]").one(raw), RecordColumn("t", "datetime64[ns]").many([raw])):
        assert value.data.dtype == "M8[ns]"
        assert str(value.data[0]) == str(np.datetime64(expected, "ns"))


@pytest.mark.parametrize(
    "type_name",
    ["float64", "float32", "int64", "uint8", "bool", "text", "datetime64[us]", "timedelta64[s]", "float32[3]"],
)
@pytest.mark.parametrize(
    "raw", [[None, None], [float("nan")] * 2, np.array([np.nan, np.nan]), pa.nulls(2), pd.Series([None, None])]
)
def test_nothing_but_missing_values(type_name: str, raw: Any) -> None:
    if "[3]" in type_name and not (isinstance(raw, list) and raw[0] is None):
        return
    value = RecordColumn("x", type_name).many(raw)
    assert value.is_missing().tolist() == [True, True]


@pytest.mark.bench
def test_the_benchmark_runs(root: Path) -> None:
    spec = importlib.util.spec_from_file_location("bench_records", root / "tests" / "bench" / "bench_records.py")
    assert spec is not None and spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    assert bench.measure(rows=100, repeats=2)["vaxseq_s"] > 0


def test_a_record_is_rounded_to_its_column_first() -> None:
    for value in (
        RecordColumn("x", "float32").one(0.1),
        RecordColumn("x", "float32").many([0.1]),
        RecordColumn("x", "float32").many(pa.array([0.1])),
    ):
        assert value.data.dtype == np.float32 and value.data[0] == np.float32(0.1)
    assert RecordColumn("n", "int16").many([3.0]).data.dtype == np.int16
