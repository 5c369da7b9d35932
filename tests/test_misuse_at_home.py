"""What a person with a table in a notebook gets wrong at first: each message says where, what, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

import vaxseq as vs

FRAME = pd.DataFrame({"x": np.arange(40.0), "g": ["a", "b"] * 20, "y": np.arange(40.0) % 3})
DEFINITION = {
    "inputs": {
        "numeric": {"features": [{"column": "x", "steps": ["standardize"]}, {"column": "g", "steps": ["one_hot"]}]}
    }
}
FEATURES = vs.FeatureSet.from_dict(DEFINITION)


def closed() -> Any:
    connection = duckdb.connect()
    relation = connection.sql("select range x from range(3)")
    connection.close()
    return relation


def failing() -> Any:
    # with one thread: of several, one fails and DuckDB may tell of the others' stop in its place
    query = "select cast(if(range = 300000, 'x', '1') as int) a from range(400000)"
    return duckdb.connect(config={"threads": 1}).sql(query)


def fitted() -> vs.FittedFeatures:
    return FEATURES.fit(FRAME, progress=False)


def state(folder: Path) -> Path:
    fitted().save(folder / "fitted.json")
    return folder / "fitted.json"


MISUSES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a list of frames": (lambda _: vs.Sequence([FRAME, FRAME], inputs=["x"]), r"frame: got list, .*pandas\.concat"),
    "a mask as where": (
        lambda _: vs.Sequence(FRAME, inputs=["x"], where=FRAME.x > 0),
        "where: an expression is a text; got Series. Write it as text, as 'x > 0'",
    ),
    "two targets to draft": (
        lambda _: vs.draft(FRAME, ["x", "y"], progress=False),
        "draft target: got list, expected a column or an expression",
    ),
    "an array as a draft's target": (
        lambda _: vs.draft(FRAME, FRAME["y"], progress=False),
        "draft target: got Series, .*Put an array into the frame",
    ),
    "no rows to draft from": (lambda _: vs.draft(FRAME[:0], "y", progress=False), "no rows; the frame is empty"),
    "no rows to fit": (lambda _: FEATURES.fit(FRAME[:0], progress=False), "fit: the frame has no rows"),
    "no rows to split": (lambda _: vs.split(FRAME[:0], {"a": 0.5, "b": 0.5}), "split: the frame is empty"),
    "times as text to split by": (
        lambda _: vs.split(FRAME.assign(t="2024-01-01"), {"a": 0.5, "b": 0.5}, by="time", key="t"),
        r"split key 't': got text, .*pandas\.to_datetime",
    ),
    "a query that fails, lazily": (
        lambda _: vs.Sequence(pl.LazyFrame({"a": [1]}).select("b"), inputs=["b"]),
        'frame: the query failed: unable to find column "b"',
    ),
    "a query of no file": (
        lambda folder: vs.convert(pl.scan_parquet(folder / "a.parquet"), folder / "o.arrow", progress=False),
        "<LazyFrame>: the query failed: .*a.parquet",
    ),
    "a query whose connection is closed": (
        lambda folder: vs.convert(closed(), folder / "o.arrow", progress=False),
        "<DuckDBPyRelation>: the query failed: .*closed",
    ),
    "a query that fails in its middle": (
        lambda folder: vs.convert(
            failing(),
            folder / "o.arrow",
            progress=False,
        ),
        "<DuckDBPyRelation>: the stream broke off: Conversion Error: Could not convert string 'x' to INT32. Mend what",
    ),
    "rows as batches": (
        lambda folder: vs.convert(iter([{"x": 1}, {"x": 2}]), folder / "o.arrow", progress=False),
        r"<list_iterator>: got a row, expected record batches, .*pyarrow\.Table\.from_pylist",
    ),
    "tuples as batches": (
        lambda folder: vs.convert(iter([(1, 2)]), folder / "o.arrow", progress=False),
        r"got a tuple, expected record batches, .*pandas\.DataFrame\(rows\)",
    ),
    "a Sequence as a source": (
        lambda folder: vs.convert(vs.Sequence(FRAME, inputs=["x"]), folder / "o.arrow", progress=False),
        "convert: got Sequence, .*Pass the frame that it was made from",
    ),
    "source and target swapped": (
        lambda folder: vs.convert(folder / "o.arrow", FRAME, progress=False),
        r"convert: option target; got DataFrame, .*The source comes first",
    ),
    "complex numbers": (
        lambda folder: vs.convert({"c": np.zeros(2, complex)}, folder / "o.arrow", progress=False),
        "<dict>: column 'c': complex numbers, .*Make two columns of it",
    ),
    "two columns of one name": (
        lambda folder: vs.convert(pd.concat([FRAME, FRAME], axis=1), folder / "o.arrow", progress=False),
        "<DataFrame>: the column 'x' is there twice. Rename one",
    ),
    "a file's format of a frame": (
        lambda folder: vs.convert(FRAME, folder / "o.arrow", format="csv", progress=False),
        "option format; got 'csv' for a DataFrame, which is no file. Leave it out",
    ),
    "a polars expression as an input": (
        lambda _: vs.Sequence(pl.from_pandas(FRAME), inputs=[pl.col("x")]),
        "inputs: got Expr, expected a column's name. Write it as text",
    ),
    "a model to export": (
        lambda folder: vs.export(object(), fitted(), folder / "o.onnx", to="onnx"),  # type: ignore[arg-type]
        r"export model: got object, .*model\.save",
    ),
    "no model to serve": (lambda _: fitted().to_keras().serving_model(None), "serving_model: got NoneType"),
    "a state as a definition": (
        lambda folder: vs.FeatureSet.load(state(folder)),
        r"fitted.json: a fitted state, expected a definition\. Load it: FittedFeatures\.load",
    ),
}


@pytest.mark.parametrize("misuse", MISUSES)
def test_each_says_what_to_do(misuse: str, tmp_path: Path) -> None:
    call, said = MISUSES[misuse]
    with pytest.raises(vs.VaxseqError, match=f"(?s){said}"):
        call(tmp_path)
    assert not (tmp_path / "o.arrow").exists()


@pytest.mark.parametrize("habit", ["transform", "transform_records", "get_feature_names_out"])
def test_a_definition_is_told_from_what_it_is_fitted_to(habit: str) -> None:
    with pytest.raises(AttributeError, match=f"FeatureSet has no '{habit}'; what fit returns has: fitted = "):
        getattr(FEATURES, habit)
    with pytest.raises(AttributeError, match="no attribute 'nothing_like_it'"):
        FEATURES.nothing_like_it  # noqa: B018


def test_a_pandas_row_is_a_record() -> None:
    served = fitted().transform_records(FRAME.iloc[3])["numeric"]
    np.testing.assert_array_equal(served, fitted().transform_records(FRAME[3:4])["numeric"])
