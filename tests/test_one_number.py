"""One number everywhere: virtual column = reader's batch = served record = step by step in NumPy, to the last bit."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import vaex
from hypothesis import given, settings
from hypothesis import strategies as st

import vaxseq as vs
from vaxseq.errors import FeatureTypeError, FitError, MissingValueError
from vaxseq.expressions import evaluate
from vaxseq.expressions.values import Value, as_float, from_raw
from vaxseq.features.program.cast import cast_to
from vaxseq.features.transforms import STEPS, parse_step

ROWS = 700
FILL = {"impute": {"strategy": "constant", "value": -7.5}}
WHOLE_FILL = {"impute": "mode"}


def _table() -> pa.Table:
    rng = np.random.default_rng(5)
    real = rng.normal(3, 4, ROWS)
    real[rng.random(ROWS) < 0.1] = np.nan
    real[:8] = [np.inf, -np.inf, 0.0, -0.0, 1e300, -1e-300, 2.0**63, 5e-324]
    tame = rng.normal(-2, 9, ROWS)
    tame[rng.random(ROWS) < 0.1] = np.nan
    words = rng.choice(["ua", "aa", "", " B ", "é|ua", None], ROWS)
    times = np.datetime64("2014-01-01", "us") + rng.integers(-(10**15), 10**15, ROWS).astype("m8[us]")
    grid = rng.normal(2, 3, (ROWS, 2, 3))
    return pa.table({
        "real": pa.array(real),
        "tame": pa.array(tame, mask=rng.random(ROWS) < 0.05),
        "narrow": pa.array(rng.normal(0, 1, ROWS).astype("f4"), mask=rng.random(ROWS) < 0.1),
        "whole": pa.array(rng.integers(-6, 6, ROWS), pa.int16(), mask=rng.random(ROWS) < 0.1),
        "large": pa.array(rng.integers(-(2**62), 2**62, ROWS)),
        "flag": pa.array([None if one < 0.1 else bool(one < 0.5) for one in rng.random(ROWS)]),
        "word": pa.array(words.tolist(), pa.string()),
        "code": pa.array(words.tolist(), pa.string()).dictionary_encode(),
        "when": pa.array(times, mask=rng.random(ROWS) < 0.05),
        "grid": pa.FixedShapeTensorArray.from_numpy_ndarray(grid),
    })  # fmt: skip


TABLE = _table()
KINDS = {
    "real": "float", "tame": "float", "narrow": "float", "whole": "int", "large": "int", "flag": "bool",
    "word": "text", "code": "text", "when": "datetime", "grid": "array",
}  # fmt: skip


@pytest.fixture(scope="module", params=["arrow of many batches", "hdf5", "memory"])
def frame(request: pytest.FixtureRequest) -> Iterator[vaex.dataframe.DataFrame]:
    """The same rows from each kind of file."""
    if request.param == "memory":
        columns = {name: TABLE[name].combine_chunks() for name in TABLE.column_names if name != "grid"}
        yield vaex.from_arrays(**columns, grid=TABLE["grid"].combine_chunks().to_numpy_ndarray())
        return
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / ("d.arrow" if request.param.startswith("arrow") else "d.hdf5")
        if target.suffix == ".arrow":
            with pa.OSFile(str(target), "wb") as sink, pa.ipc.new_file(sink, TABLE.schema) as writer:
                for start, stop in ((0, 1), (1, 130), (130, 131), (131, 640), (640, ROWS)):
                    writer.write_table(TABLE.slice(start, stop - start).unify_dictionaries())
        else:
            vs.convert(TABLE, target, progress=False)
        yield vs.open(target)


def check(frame: Any, column: str, steps: list[Any], dtype: str, *, where: str | None = None) -> bool:
    """Whether all doors agree to the last bit; False when the definition is refused for these rows."""
    definition = {"inputs": {"x": {"dtype": dtype, "features": [{"column": column, "steps": steps}]}}}
    try:
        fitted = vs.FeatureSet.from_dict(definition).fit(frame, where=where, progress=False)
        batches = vs.Sequence(frame, fitted, where=where, batch_size=97, shuffle="global", seed=3)
        read = [(batches.row_ids(i, 0), batches.batch(0, i)[0]) for i in range(batches.num_batches)]
    except (FeatureTypeError, FitError, MissingValueError):
        return False
    rows = np.concatenate([ids for ids, _ in read])
    assert len(set(rows.tolist())) == len(rows)
    reader = np.concatenate([one for _, one in read])[np.argsort(rows)]
    rows = np.sort(rows)

    learned = fitted.state.learned[f"x.{column}"]
    value = from_raw(TABLE[column].combine_chunks())
    value = value.take(rows)
    by_hand = in_numpy(value, steps, learned, dtype)
    same(reader, by_hand, f"reader: {column} {steps}")

    raw: dict[str, Any] = {column: TABLE[column].take(pa.array(rows))}
    if column == "grid":
        raw[column] = TABLE["grid"].combine_chunks().to_numpy_ndarray()[rows]
    same(fitted.transform_records(raw)["x"], by_hand, f"records: {column} {steps}")

    shown = fitted.transform(frame)
    virtual = np.ma.asarray(shown.evaluate(f"x__{column}", filtered=False, array_type="numpy"))
    assert not np.ma.getmaskarray(virtual)[rows].any()
    same(np.ma.getdata(virtual)[rows], by_hand, f"virtual column: {column} {steps}")
    return True


def in_numpy(value: Value, steps: list[Any], learned: Any, dtype: str) -> np.ndarray:
    """Each step by itself, and the side columns after them."""
    sides = []
    with np.errstate(all="ignore"):
        for raw, known in zip(steps, learned, strict=True):
            step = parse_step(raw, "here")
            if (side := step.side(known)) is not None:
                sides.append(side(value).data[:, None])
            value = step.apply(value, known)
        if sides:
            value = Value(np.concatenate([as_float(value).data.reshape(len(value), -1), *sides], axis=1))
        return cast_to(dtype)(value).data


def same(got: np.ndarray, expected: np.ndarray, what: str) -> None:
    assert got.dtype == expected.dtype, what
    assert np.ascontiguousarray(got).tobytes() == np.ascontiguousarray(expected).tobytes(), what


INDICATED = {"impute": {"strategy": "mean", "indicator": True}}
EVERY: list[tuple[str, list[Any], str]] = [
    ("tame", [{"cast": "int64"}, WHOLE_FILL], "int64"),
    ("tame", [{"cast": "float32"}, FILL], "float32"),
    ("tame", [{"cast": "bool"}, {"impute": "mode"}], "float32"),
    ("tame", [FILL, {"round": 1}], "float64"),
    ("flag", [{"impute": "mode"}, "log1p"], "float32"),
    ("tame", [FILL, {"clip": {"lower": 0}}, "sqrt"], "float32"),
    ("narrow", [{"impute": "median"}, {"power": {"exponent": 0.3, "signed": True}}], "float32"),
    (
        "narrow",
        [{"clip": {"quantiles": [0.02, 0.98]}}, {"impute": {"strategy": "median", "indicator": True}}],
        "float32",
    ),
    ("tame", [INDICATED, "standardize"], "float64"),
    ("narrow", [INDICATED, {"min_max": {"lower": -1}}], "float32"),
    ("tame", [FILL, "max_abs"], "float32"),
    ("tame", [FILL, "robust"], "float64"),
    ("tame", [{"quantile": {"references": 60}}, FILL], "float64"),
    ("real", [{"clip": {"lower": -1e3, "upper": 1e3}}, "standardize", FILL], "float32"),
    ("real", [{"bucketize": {"edges": [-1, 0, 3], "missing": "bucket"}}], "int32"),
    ("tame", [{"bucketize": {"buckets": 5}}, WHOLE_FILL], "int32"),
    ("word", [{"vocabulary": {"max_size": 3}}], "int32"),
    ("code", ["vocabulary"], "uint8"),
    ("large", ["vocabulary"], "int32"),
    ("flag", ["one_hot"], "float32"),
    ("code", ["strip", "lower", {"one_hot": {"max_size": 2}}], "float32"),
    ("word", [{"multi_hot": {"max_size": 3}}], "float32"),
    ("whole", ["frequency"], "float64"),
    ("word", [{"hash": 50}], "int32"),
    ("large", [{"hash": {"buckets": 1000, "seed": 4}}], "int32"),
    ("when", [{"parts": {"units": ["hour", "weekday"], "timezone": "Europe/Paris"}}, FILL], "float32"),
    ("when", [{"cyclical": {"period": "year", "timezone": "America/New_York"}}, FILL], "float32"),
    ("when", [{"elapsed": {"since": "2014-01-01", "unit": "hours"}}, INDICATED, "standardize"], "float64"),
    ("whole", [FILL, {"cyclical": 7}], "float32"),
    ("code", ["length", INDICATED], "float32"),
    ("word", [{"matches": "u"}, {"impute": "mode"}], "float32"),
    ("grid", [{"scale": {"factor": 0.1, "offset": 2}}, {"reshape": [3, 2]}], "float32"),
    ("grid", [{"standardize": {"per": "channel"}}, "flatten"], "float64"),
    ("grid", [{"pca": {"components": 3, "whiten": True}}], "float32"),
    ("large", [], "int64"),
    ("grid", [], "float16"),
]


@pytest.mark.parametrize(("column", "steps", "dtype"), EVERY, ids=[f"{i}-{one[0]}" for i, one in enumerate(EVERY)])
def test_every_step(frame: Any, column: str, steps: list[Any], dtype: str) -> None:
    assert check(frame, column, steps, dtype)


def test_every_step_is_listed() -> None:
    named = {one if isinstance(one, str) else next(iter(one)) for _, steps, _ in EVERY for one in steps}
    looks_back = {name for name, step in STEPS.items() if step.__module__.endswith(".history")}
    assert named == set(STEPS) - looks_back


@pytest.mark.parametrize("where", ["whole > 0", "(tame > -3) & (flag | (narrow < 0))", "word == 'ua'"])
def test_under_a_filter(frame: Any, where: str) -> None:
    assert check(frame, "tame", [INDICATED, "standardize"], "float32", where=where)
    assert check(frame, "code", ["vocabulary"], "int32", where=where)


def test_under_the_frame_s_own_filter(frame: Any) -> None:
    filtered = frame[(frame.whole > 0).fillmissing(False)]
    assert check(filtered, "tame", [INDICATED, "standardize"], "float32")
    assert check(filtered, "word", ["one_hot"], "float32", where="large > 0")


NUMERIC = st.sampled_from([
    "log1p", "sqrt", "standardize", "min_max", "max_abs", "robust", {"clip": {"quantiles": [0.1, 0.9]}}, {"round": 2},
    {"quantile": {"references": 30}}, {"impute": "median"}, {"power": {"exponent": 3, "signed": True}},
    {"cast": "float32"}, {"cast": "int64"}, {"cast": "bool"}, {"scale": 3}, {"clip": {"lower": -50, "upper": 50}},
    {"bucketize": {"buckets": 4}},
])  # fmt: skip
TEXT = st.sampled_from(["lower", "strip", {"impute": "mode"}])
CODED = st.sampled_from(["vocabulary", "one_hot", "frequency", {"hash": 9}, "multi_hot"])
CHAIN = st.one_of(
    st.tuples(
        st.sampled_from([name for name, kind in KINDS.items() if kind in ("float", "int", "bool")]),
        st.lists(NUMERIC, max_size=4).map(lambda steps: [*steps, FILL]),
    ),
    st.tuples(
        st.sampled_from(["word", "code"]),
        st.tuples(st.lists(TEXT, max_size=2), CODED).map(lambda pair: [*pair[0], pair[1]]),
    ),
)


@settings(max_examples=25)
@given(chain=CHAIN, dtype=st.sampled_from(["float32", "float64"]), where=st.sampled_from([None, "whole >= -2"]))
def test_any_chain(frame: Any, chain: tuple[str, list[Any]], dtype: str, where: str | None) -> None:
    check(frame, *chain, dtype, where=where)


EXPRESSIONS = [
    "tame * 2 + whole", "tame / (whole + 0.5)", "where(flag, tame, narrow)", "word.str.len() - whole",
    "when.dt.hour * 60 + when.dt.minute", "(tame > 0) & flag", "large // 7 % 10", "grid.sum()", "isin(code, ['ua'])",
    "maximum(tame, whole)", "log1p(abs(real))", "arctan2(tame, narrow)", "fillmissing(whole, 3) ** 2",
]  # fmt: skip


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_expressions(frame: Any, text: str) -> None:
    features = [{"name": "e", "expr": text, "steps": [FILL]}]
    fitted = vs.FeatureSet.from_dict({"inputs": {"x": {"dtype": "float64", "features": features}}}).fit(
        frame, progress=False
    )
    batches = vs.Sequence(frame, fitted, batch_size=150)
    reader = np.concatenate([batches.batch(0, i)[0] for i in range(batches.num_batches)])[:, 0]
    columns = {name: from_raw(TABLE[name].combine_chunks()) for name in TABLE.column_names}
    with np.errstate(all="ignore"):
        by_hand = parse_step(FILL, "here").apply(evaluate(text, columns), {}).data
    same(reader, by_hand, text)
    raw: dict[str, Any] = {name: TABLE[name] for name in fitted.reads(fitted.groups[0])}
    if "grid" in raw:
        raw["grid"] = TABLE["grid"].combine_chunks().to_numpy_ndarray()
    same(fitted.transform_records(raw)["x"][:, 0], by_hand, text)
    same(np.asarray(fitted.transform(frame).x__e.values), by_hand, text)
