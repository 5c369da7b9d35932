"""Numbers that an array's type can't hold: told with an example, or refused with the row; never in silence."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import vaex

import vaxseq as vs
from vaxseq.errors import FeatureTypeError

BIG = 2**24


def read(column: Any, **options: Any) -> Any:
    data = vs.Sequence(vaex.from_arrays(a=column), **{"inputs": ["a"], "batch_size": 4, **options})
    return [np.asarray(data[i][0]).ravel().tolist() for i in range(len(data))]


@pytest.mark.parametrize(
    ("column", "example"),
    [
        (np.array([1, BIG + 1]), f"{BIG + 1} becomes {BIG}"),
        (np.array([1, -BIG - 1]), f"{-BIG - 1} becomes {-BIG}"),
        (np.array([1, BIG + 1], np.int32), f"{BIG + 1} becomes {BIG}"),
        (np.array([1, 2**63 + 1], np.uint64), f"{2**63 + 1} becomes {2**63}"),
        (pa.array([None, BIG + 1, 1]).slice(1), f"{BIG + 1} becomes {BIG}"),
    ],
)
def test_whole_numbers_that_are_rounded_are_told_with_an_example(column, example):
    with pytest.warns(UserWarning, match=f"input 'inputs', 'a': {example} in float32, .* identifiers") as told:
        read(column)
    assert [one.filename for one in told if one.category is UserWarning] == [__file__]


def test_they_are_told_once_for_each_column():
    frame = vaex.from_arrays(a=np.arange(BIG, BIG + 40), b=np.arange(BIG, BIG + 40), c=np.arange(40))
    data = vs.Sequence(frame, inputs=["a", "b", "c"], batch_size=4)
    with pytest.warns(UserWarning, match="in float32") as told:
        list(data)
    assert len([one for one in told if one.category is UserWarning]) == 2
    list(data)


@pytest.mark.parametrize(
    "column",
    [
        np.array([BIG, -BIG]), np.array([BIG + 2, 2**40]), np.array([0, 255], np.uint8), np.array([2**31 - 128], "i4"),
        np.array([np.inf, -np.inf, 3.4e38]), np.array([0.1, 1e-50]), pa.array([BIG, None]).slice(0, 1),
    ],
)  # fmt: skip
def test_what_is_held_or_only_less_precise_is_not_told(column):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(column)


@pytest.mark.parametrize("value", [1e39, -1e300])
@pytest.mark.parametrize("shuffle", [False, "global"])
@pytest.mark.slow
def test_finite_values_beyond_the_type_are_refused_with_their_row(value, shuffle):
    column = np.arange(4000.0)
    column[2345] = value
    message = rf"{str(value).replace('+', '.')} in row 2,345 doesn't fit float32"
    data = vs.Sequence(vaex.from_arrays(a=column), inputs=["a"], batch_size=32, shuffle=shuffle)
    with pytest.raises(FeatureTypeError, match=message):
        list(data)
    whole = vs.Sequence(vaex.from_arrays(a=column), inputs=["a"], batch_size=32, where="a < 1e30 and a > -1e30")
    assert sum(len(batch[0]) for batch in whole) == 3999


def test_a_definition_s_dtype_is_what_counts():
    train = vaex.from_arrays(a=np.array([1.0, 2.0]), b=np.array([1, 2]))
    frame = vaex.from_arrays(a=np.array([1.0, 1e39]), b=np.array([1, BIG + 1]))
    for kind in ("float64", "float32"):
        block = {"dtype": kind, "features": [{"column": "a"}, {"column": "b"}]}
        fitted = vs.FeatureSet.from_dict({"version": 1, "inputs": {"x": block}}).fit(train, progress=False)
        data = vs.Sequence(frame, fitted, batch_size=2)
        if kind == "float64":
            assert np.asarray(data[0][0]).tolist() == [[1.0, 1.0], [1e39, BIG + 1]]
        else:
            with pytest.raises(FeatureTypeError, match="got 1e.39, expected at most"):
                data[0]


def test_a_standardized_column_is_only_less_precise():
    frame = vaex.from_arrays(a=np.array([BIG, BIG + 1, BIG + 2, BIG + 3]))
    block = {"features": [{"column": "a", "steps": ["standardize"]}]}
    fitted = vs.FeatureSet.from_dict({"version": 1, "inputs": {"x": block}}).fit(frame, progress=False)
    assert len(np.unique(np.asarray(vs.Sequence(frame, fitted, batch_size=4)[0][0]))) == 4


def test_targets_beyond_int32_are_refused_with_their_row():
    with pytest.raises(FeatureTypeError, match="values from 1 to 1099511627776 don't fit int32. .* in row 1"):
        read(np.array([1, 2**40]), inputs=["a"], targets="a")


def dataset(folder: Any, name: str, values: list[Any]) -> str:
    source, target = folder / f"{name}.csv", folder / f"{name}.arrow"
    source.write_text("a,b\n" + "".join(f"{value},{number}\n" for number, value in enumerate(values)))
    vs.convert(str(source), str(target), progress=False)
    return str(target)


def test_convert_records_the_least_and_the_greatest_value(tmp_path):
    assert vs.Manifest.load(dataset(tmp_path, "whole", [5, "", -3])).ranges == {"a": (-3, 5), "b": (0, 2)}
    ranges = vs.Manifest.load(dataset(tmp_path, "float", [1.5, "nan", -2.5])).ranges
    assert ranges == {"a": (-2.5, 1.5), "b": (0, 2)}
    assert [type(one) for one in ranges["b"]] == [int, int]
    assert vs.Manifest.load(dataset(tmp_path, "text", ["x", "y", ""])).ranges == {"b": (0, 2)}


def test_a_dataset_s_known_values_are_checked_before_anything_is_read(tmp_path):
    big = vs.open(dataset(tmp_path, "big", [1, BIG + 1]))
    with pytest.warns(UserWarning, match=f"{BIG + 1} becomes {BIG} in float32") as told:
        data = vs.Sequence(big, inputs=["a"], batch_size=2)
    assert [one.filename for one in told if one.category is UserWarning] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(data)
        vs.Sequence(big, inputs=["a"], batch_size=2, where="a < 100")[0]
    large = vs.open(dataset(tmp_path, "large", [1.5, 1e39]))
    with pytest.raises(FeatureTypeError, match=r"feature 'a': its values go to 1e.39, and float32 to"):
        vs.Sequence(large, inputs=["a"], batch_size=2)
    assert len(vs.Sequence(large, inputs=["a"], batch_size=2, where="a < 100")[0][0]) == 1
