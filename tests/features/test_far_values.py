"""Times beyond a unit's years and integers beyond int64: right, or refused by name; never a neighbour."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import vaex

from vaxseq.errors import ExpressionError, FeatureTypeError
from vaxseq.features import FeatureSet, FittedFeatures
from vaxseq.features.records.record_column import RecordColumn

LARGE = 2**63 + 5
YEAR = {"version": 1, "inputs": {"x": {"features": [{"name": "y", "expr": "t.dt.year"}]}}}


@pytest.mark.parametrize(
    "raw",
    [
        [dt.date(2500, 6, 1)], [dt.datetime(2500, 6, 1)], ["2500-06-01"], [np.datetime64("2500-06-01")], "2500-06-01",
        np.datetime64("2500-06-01"), pd.Series([pd.Timestamp("2500-06-01").as_unit("s")]),
        pa.array([dt.date(1066, 6, 1)]), [dt.date(2020, 1, 1), dt.date(1677, 1, 1)],
    ],
)  # fmt: skip
def test_a_time_beyond_the_columns_unit_is_refused(raw: Any) -> None:
    frame = vaex.from_arrays(t=np.array(["2020-01-01", "2021-01-01"], "datetime64[ns]"))
    fitted = FeatureSet.from_dict(YEAR).fit(frame, progress=False)
    with pytest.raises(FeatureTypeError, match=r"column 't'.*beyond what datetime64\[ns\] holds"):
        fitted.transform_records({"t": raw})


def test_times_at_the_edge_and_in_coarser_units_are_right() -> None:
    for day in (dt.date(2262, 4, 10), dt.date(1678, 1, 1), dt.date(1970, 1, 1)):
        assert RecordColumn("t", "datetime64[ns]").many([day]).data[0] == np.datetime64(day)
    assert RecordColumn("t", "datetime64[s]").many([dt.date(9999, 1, 1)]).data[0] == np.datetime64("9999-01-01")
    assert RecordColumn("t", "timedelta64[ns]").many([np.timedelta64(5, "h")]).data[0] == np.timedelta64(5, "h")


def test_large_categories_are_known_wherever_they_come_from(tmp_path) -> None:
    keys = np.array([LARGE, LARGE, 7, LARGE + 1], np.uint64)
    steps = {"k": {"dtype": "int32", "features": [{"column": "k", "steps": ["vocabulary"]}]}}
    fitted = FeatureSet.from_dict({"version": 1, "inputs": steps}).fit(vaex.from_arrays(k=keys), progress=False)
    fitted.save(tmp_path / "fitted.json")
    for one in (fitted, FittedFeatures.load(tmp_path / "fitted.json")):
        assert one.transform_records({"k": keys})["k"].ravel().tolist() == [2, 2, 3, 4]
        assert one.transform_records({"k": [LARGE, None, 7, 2**64 - 3]})["k"].ravel().tolist() == [2, 0, 3, 1]
        assert one.transform_records({"k": LARGE})["k"].ravel().tolist() == [2]


def test_many_large_categories_far_apart_are_counted() -> None:
    keys = np.arange(1, 200_001, dtype=np.uint64) * np.uint64(90_000_000_000_000)
    steps = {"k": {"dtype": "int32", "features": [{"column": "k", "steps": ["vocabulary"]}]}}
    fitted = FeatureSet.from_dict({"version": 1, "inputs": steps}).fit(vaex.from_arrays(k=keys), progress=False)
    codes = fitted.transform_records({"k": keys})["k"].ravel()
    assert codes.tolist() == list(range(2, 200_002))


@pytest.mark.parametrize("expression", ["k % 10", "k == 7", "k // 2", "k + 0"])
def test_an_expression_refuses_what_it_would_round(expression: str) -> None:
    features = FeatureSet.from_dict({"version": 1, "inputs": {"x": {"features": [{"name": "m", "expr": expression}]}}})
    with pytest.raises(ExpressionError, match=f"a uint64 beyond 2.*{LARGE}"):
        features.fit(vaex.from_arrays(k=np.array([7, LARGE], np.uint64)), progress=False).transform_records(
            {"k": LARGE}
        )
    small = vaex.from_arrays(k=np.array([7, 2**53, 2**63 + 2**20], np.uint64))
    assert features.fit(small, progress=False).transform_records({"k": 7})["x"].shape == (1, 1)
