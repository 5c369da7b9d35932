"""The one door: each kind of table gives the frame that the others give, by every verb, to the last bit."""

from __future__ import annotations

import datetime as dt
import gc
import time
import weakref
from pathlib import Path
from typing import Any

import duckdb
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest
import vaex

import vaxseq as vs
from vaxseq.dataset import scratch
from vaxseq.errors import OptionError, SourceError
from vaxseq.frame import frame_of, source_of
from vaxseq.sklearn import FeatureTransformer

ROWS = 500


def make_table() -> pa.Table:
    rng = np.random.default_rng(7)
    words = np.array(["ab", "c", "", "dé"], dtype=object)[rng.integers(0, 4, ROWS)]
    floats = rng.normal(size=ROWS)
    floats[rng.random(ROWS) < 0.1] = np.nan
    return pa.table(
        {
            "row": np.arange(ROWS),
            "x": pa.array(floats, from_pandas=True),
            "small": rng.normal(size=ROWS).astype(np.float32),
            "count": rng.integers(-9, 9, ROWS).astype(np.int16),
            "flag": rng.random(ROWS) < 0.5,
            "when": pa.array(rng.integers(0, 10**9, ROWS) * 10**6, pa.timestamp("us")),
            "word": pa.array([None if n % 7 == 0 else word for n, word in enumerate(words)], pa.large_string()),
        }
    )


class Stream:
    """What only has ``__arrow_c_stream__``."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._table.__arrow_c_stream__(requested_schema)


class Interchange:
    """What only has ``__dataframe__``."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __dataframe__(self, nan_as_null: bool = False, allow_copy: bool = True) -> Any:
        return self._table.__dataframe__(nan_as_null, allow_copy)


def structured(table: pa.Table) -> np.ndarray:
    frame = table.to_pandas()
    word = frame.pop("word")
    kinds = [(name, frame[name].to_numpy().dtype) for name in frame]
    made = np.empty(len(frame), [*kinds, ("word", object)])
    for name in frame:
        made[name] = frame[name].to_numpy()
    made["word"] = word.to_numpy()
    return made


def kinds(table: pa.Table, folder: Path) -> dict[str, Any]:
    file = folder / "table.parquet"
    if not file.exists():
        pa.parquet.write_table(table, file, row_group_size=77)
        with pa.OSFile(str(folder / "table.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=99)
    frame = table.to_pandas()
    return {
        "path": folder / "table.arrow",
        "vaex": vs.open(folder / "table.arrow"),
        "pandas": frame,
        "pandas of Arrow": table.to_pandas(types_mapper=pd.ArrowDtype),
        "pandas nullable": frame.convert_dtypes(dtype_backend="numpy_nullable"),
        "polars": pl.from_arrow(table),
        "polars lazy": pl.from_arrow(table).lazy(),
        "Table": table,
        "RecordBatch": table.combine_chunks().to_batches()[0],
        "RecordBatchReader": table.to_reader(max_chunksize=33),
        "Dataset": pa.dataset.dataset(file),
        "DuckDB": duckdb.connect().from_arrow(table),
        "DuckDB of a file": duckdb.connect().sql(f"select * from '{file}'"),
        "dict": {name: column.to_numpy() for name, column in zip(table.column_names, table.columns, strict=True)},
        "dict of lists": table.to_pydict(),
        "structured": structured(table),
        "stream": Stream(table),
        "interchange": Interchange(table),
    }


KINDS = (
    "path", "vaex", "pandas", "pandas of Arrow", "pandas nullable", "polars", "polars lazy", "Table", "RecordBatch",
    "RecordBatchReader", "Dataset", "DuckDB", "DuckDB of a file", "dict", "dict of lists", "structured", "stream",
    "interchange",
)  # fmt: skip

DEFINITION = {
    "columns": {"double": "x * 2"},
    "inputs": {
        "numeric": {
            "features": [
                {"columns": ["x", "double"], "steps": [{"impute": {"strategy": "mean"}}, "standardize"]},
                {"columns": ["small", "count", "flag"]},
                {"name": "hour", "expr": "when.dt.hour"},
            ]
        },
        "word": {"dtype": "int32", "features": [{"column": "word", "steps": ["vocabulary"]}]},
    },
    "targets": {"odd": {"expr": "row % 2", "dtype": "float32"}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("door")


def batches(sequence: Any) -> bytes:
    """All that an epoch hands out, with the arrays' types and shapes."""
    said = []
    for index in range(len(sequence)):
        for part in sequence.batch(1, index):
            for name, array in part.items() if isinstance(part, dict) else [("", part)]:
                plain = np.asarray(array)
                said.append(f"{name}{plain.dtype}{plain.shape}".encode() + plain.tobytes())
    return b"".join(said)


def values(frame: Any, names: Any = None) -> list[Any]:
    """What a frame's columns hold, to the last bit."""
    source = source_of(frame)
    found = []
    for name in names or source.shown():
        value = source.read([name], 0, source.n_rows)[name]
        kept = ~value.is_missing()
        found.append((name, kept.tolist(), value.compress(kept).data.tolist()))
    return found


def _parts(parts: dict[str, Any]) -> list[Any]:
    return [frame.row.tolist() for frame in parts.values()]


def _convert(data: Any, _: Any, folder: Path) -> Any:
    manifest = vs.convert(data, folder / "made.arrow", overwrite=True, progress=False)
    return manifest.n_rows, values(folder / "made.arrow")


def _materialize(data: Any, fitted: Any, folder: Path) -> Any:
    stored = vs.materialize(data, fitted, folder / "store.h5", overwrite=True, progress=False)
    return stored.rows, batches(vs.Sequence(data, fitted, batch_size=64, store=folder / "store.h5"))


def _report(data: Any, fitted: Any, folder: Path) -> Any:
    file = vs.report(data, folder / "report.html", features=fitted, progress=False).path
    return file.stat().st_size > 10_000


def _plot(data: Any, fitted: Any, _: Path) -> Any:
    figure, axes = plt.subplots(1, 2)
    fitted.plot("x", data, ax=axes)
    plt.close(figure)
    return [(one.get_xlabel(), one.dataLim.bounds) for one in axes]


def _transformed(data: Any, *_: Any) -> Any:
    made = FeatureTransformer(vs.FeatureSet.from_dict(DEFINITION)).fit(data)
    return made.transform(data).tobytes(), made.get_feature_names_out().tolist()


def _fit(data: Any, *_: Any) -> Any:
    return vs.FeatureSet.from_dict(DEFINITION).fit(data, where="row > 10", progress=False).state.learned


SHUFFLED = {"batch_size": 64, "shuffle": "global", "seed": 3, "where": "count > -5"}
WINDOWS = {"batch_size": 8, "window": vs.Window(length=8, stride=3, order_by="row")}

# Each verb's answer, which is the same for every kind of table.
VERBS: dict[str, Any] = {
    "check": lambda data, fitted, folder: vs.FeatureSet.from_dict(DEFINITION).check(data),
    "draft": lambda data, fitted, folder: vs.draft(data, "x", progress=False).to_yaml(),
    "fit": _fit,
    "transform": lambda data, fitted, folder: values(fitted.transform(data), ["numeric__x", "word__word"]),
    "transform_records": lambda data, fitted, folder: {
        name: array.tobytes() for name, array in fitted.transform_records(data).items()
    },
    "preview": lambda data, fitted, folder: repr(fitted.preview(data)),
    "plot": _plot,
    "split": lambda data, fitted, folder: _parts(vs.split(data, {"train": 0.8, "test": 0.2}, by="group", key="word")),
    "folds": lambda data, fitted, folder: [_parts(one) for one in vs.folds(data, 3, by="time", key="when")],
    "Sequence": lambda data, fitted, folder: batches(vs.Sequence(data, fitted, **SHUFFLED)),
    "Sequence of columns": lambda data, fitted, folder: batches(
        vs.Sequence(data, inputs=["small", "count"], targets="row", batch_size=77)
    ),
    "windows": lambda data, fitted, folder: batches(vs.Sequence(data, inputs=["small"], targets="row", **WINDOWS)),
    "show": lambda data, fitted, folder: repr(vs.Sequence(data, fitted, batch_size=64).show(3)),
    "explore": lambda data, fitted, folder: (
        vs.explore(data, progress=False)
        .table.drop(columns="type")  # a list of numbers has no float32
        .to_string()
    ),
    "report": _report,
    "materialize": _materialize,
    "convert": _convert,
    "FeatureTransformer": _transformed,
}


@pytest.fixture(scope="module")
def expected(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, Any]]:
    """What each verb gives of the vaex frame, and what it was fitted on."""
    data = kinds(make_table(), folder)["vaex"]
    fitted = vs.FeatureSet.from_dict(DEFINITION).fit(data, progress=False)
    return fitted, {verb: run(data, fitted, tmp_path_factory.mktemp("vaex")) for verb, run in VERBS.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_every_verb_gives_the_same_of_every_kind(kind: str, folder: Path, tmp_path: Path, expected: Any) -> None:
    fitted, answers = expected
    data = kinds(make_table(), folder)[kind]
    for verb, run in VERBS.items():
        assert run(data, fitted, tmp_path) == answers[verb], verb


@pytest.mark.parametrize("kind", KINDS)
def test_records_come_in_tables_too(kind: str, folder: Path) -> None:
    table = make_table()
    fitted = vs.FeatureSet.from_dict(DEFINITION).fit(table, progress=False)
    expected = vs.Sequence(table, fitted, batch_size=ROWS).batch(0, 0)[0]
    served = fitted.transform_records(kinds(table, folder)[kind])
    for name, array in expected.items():
        np.testing.assert_array_equal(served[name], array)


def test_a_query_runs_once_and_is_forgotten_with_its_object(folder: Path) -> None:
    table = make_table()
    reader = table.to_reader()
    first, again = frame_of(reader), frame_of(reader)
    assert len(first) == len(again) == ROWS
    held = weakref.ref(first.dataset)
    del first, again, reader
    gc.collect()
    assert held() is None


def test_numbers_are_shared_not_copied() -> None:
    values = np.arange(1000.0)
    frame = pd.DataFrame({"x": values}, copy=False)
    for data in (frame, {"x": values}, pa.table({"x": values}), pl.DataFrame({"x": values}).to_arrow()):
        read = source_of(data).read(["x"], 0, 1000)["x"].data
        if not isinstance(data, pa.Table) or data.column(0).chunk(0).buffers()[1].address == values.ctypes.data:
            assert np.shares_memory(read, values)


def test_a_long_stream_goes_to_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(scratch, "_HELD_BYTES", 0)
    monkeypatch.setattr(scratch.tempfile, "tempdir", str(tmp_path))
    spool = scratch.spooled
    monkeypatch.setattr("vaxseq.frame.from_tables.spooled", lambda *stream: spool(*stream, 10_000))
    table = make_table().append_column("kind", make_table().column("word").dictionary_encode())
    reader = pa.RecordBatchReader.from_batches(table.schema, iter(table.to_batches(max_chunksize=50)))
    train = vs.Sequence(reader, inputs=["small"], targets="row", batch_size=100)
    assert [file.name for file in tmp_path.rglob("*.arrow")] == ["rows.arrow"]
    assert batches(train) == batches(vs.Sequence(table, inputs=["small"], targets="row", batch_size=100))
    frame = frame_of(reader)
    assert frame.kind.tolist() == table.column("kind").to_pylist()
    del train, reader, frame
    deadline = time.monotonic() + 60
    while list(tmp_path.iterdir()):
        assert time.monotonic() < deadline, "the rows outlive what was made of them"
        gc.collect()  # what a thread of the read-ahead still holds goes with its end
        time.sleep(0.02)


@pytest.mark.parametrize("label", ["time", "index", None])
def test_a_pandas_index_that_says_more_than_a_row_s_number_is_a_column(label: str | None) -> None:
    times = pd.date_range("2024-01-01", periods=4, freq="h")
    data = pd.DataFrame({"x": np.arange(4.0)}, index=pd.DatetimeIndex(times, name=label))
    frame = frame_of(data)
    name = label or "index"
    assert frame.get_column_names() == [name, "x"]
    np.testing.assert_array_equal(frame[name].to_numpy(), times.to_numpy())
    early = vs.split(data, {"early": 0.5, "late": 0.5}, by="time", key=name)["early"]
    assert early["x"].tolist() == [0, 1]


def test_a_pandas_index_of_row_numbers_or_of_a_column_s_values_is_no_column() -> None:
    data = pd.DataFrame({"x": np.arange(4.0)})
    assert frame_of(data[data["x"] > 1]).get_column_names() == ["x"]
    assert frame_of(data.set_index("x", drop=False)).get_column_names() == ["x"]
    levels = pd.MultiIndex.from_product([["a", "b"], [0, 1]], names=["word", None])
    assert frame_of(data.set_index(levels)).get_column_names() == ["word", "level_1", "x"]


def test_a_pandas_index_called_as_another_column_is_refused() -> None:
    data = pd.DataFrame({"x": np.arange(2.0)}, index=pd.Index([5.0, 6.0], name="x"))
    with pytest.raises(SourceError, match=r"frame: the index \['x'\] can't .* a column is called 'x'. Rename it with"):
        frame_of(data)
    twice = pd.MultiIndex.from_tuples([(1, 2), (3, 4)], names=["a", "a"])
    with pytest.raises(SourceError, match=r"the index \['a', 'a'\] can't become a column: .*Rename it with"):
        frame_of(data.set_index(twice))


def test_a_stop_of_duckdb_s_threads_says_what_it_is() -> None:
    def stopped():
        yield make_table().to_batches()[0]
        raise pa.ArrowInvalid("INTERRUPT Error: Interrupted!")

    reader = pa.RecordBatchReader.from_batches(make_table().schema, stopped())
    with pytest.raises(SourceError, match=r"broke off: INTERRUPT Error: Interrupted: one .*SET threads = 1 shows it"):
        vs.Sequence(reader, inputs=["x"])


def test_a_stream_that_breaks_off_says_so() -> None:
    table = make_table()

    def broken():
        yield table.to_batches()[0]
        raise pa.ArrowInvalid("the wire is cut")

    reader = pa.RecordBatchReader.from_batches(table.schema, broken())
    with pytest.raises(SourceError, match="the stream broke off: .*the wire is cut"):
        frame_of(reader)


def test_categories_stay_categories() -> None:
    words = ["b", "a", None, "b"]
    for data in (
        pd.DataFrame({"c": pd.Categorical(words)}),
        pl.DataFrame({"c": pl.Series(words, dtype=pl.Categorical)}),
        pl.DataFrame({"c": pl.Series(words, dtype=pl.Enum(["a", "b"]))}),
        pa.table({"c": pa.array(words).dictionary_encode()}),
    ):
        column = source_of(data).read(["c"], 0, 4)["c"].data
        assert pa.types.is_dictionary(column.type)
        assert column.to_pylist() == words


def test_categories_of_numbers_are_numbers() -> None:
    source = source_of(pd.DataFrame({"c": pd.Categorical([30, 10, None, 30])}))
    value = source.read(["c"], 0, 4)["c"]
    assert value.kind in ("int", "float")
    assert value.is_missing().tolist() == [False, False, True, False]
    assert value.data[[0, 1, 3]].tolist() == [30, 10, 30]


def test_arrays_a_row_come_as_arrays() -> None:
    pixels = np.arange(12.0).reshape(4, 3)
    for data in (
        pd.DataFrame({"p": list(pixels)}),
        pl.DataFrame({"p": pixels}),
        {"p": pixels},
        pa.table({"p": pixels.tolist()}),
        np.array([(row,) for row in pixels], [("p", float, 3)]),
    ):
        np.testing.assert_array_equal(source_of(data).read(["p"], 0, 4)["p"].data, pixels)


def test_times_with_a_zone_and_dates() -> None:
    zoned = pd.Series(pd.to_datetime(["2024-03-01 12:00", None]).tz_localize("Europe/Paris"))
    source = source_of(pd.DataFrame({"t": zoned, "d": [dt.date(2024, 3, 1), None]}))
    read = source.read(["t", "d"], 0, 2)
    assert read["t"].data[0] == np.datetime64("2024-03-01T11:00")
    assert read["d"].data[0] == np.datetime64("2024-03-01")
    assert read["t"].is_missing().tolist() == read["d"].is_missing().tolist() == [False, True]


def test_odd_names_and_a_matrix_behind_pandas() -> None:
    matrix = np.random.default_rng(0).normal(size=(50, 3))
    data = pd.DataFrame(matrix, columns=["wind speed", 7, "class"])
    train = vs.Sequence(data, inputs=["wind speed", "7", "class"], batch_size=50)
    np.testing.assert_array_equal(np.asarray(train.batch(0, 0)[0]), matrix.astype(np.float32))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (pd.Series([1.0]), r"got Series, expected .*series.to_frame"),
        (np.zeros((3, 2)), "got an array without named columns.*Name its columns"),
        ([{"x": 1}], "got list, expected .*from_pylist"),
        (5, "got int, expected a dataset's path"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "the column 'a' is there twice"),
        (pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])), "have 2 levels of names"),
        ({"x": [1, 2], "y": [1]}, r"columns of different lengths; got \{'x': 2, 'y': 1\}"),
        ({"x": 1.5}, "column 'x': got float, expected an array or a list"),
        ({"x": "abc"}, "column 'x': got str, expected an array or a list"),
        ({}, "the table has no columns"),
        (pd.DataFrame({"x": [1, "a"]}), "column 'x' can't be read: .*Give all its values one type"),
        (np.zeros(2, [("a", [("b", int)])]), "column 'a': a record inside a record"),
        (np.zeros((2, 2), [("a", int)]), r"a structured array of shape \(2, 2\)"),
    ],
    ids=str,
)
def test_what_is_no_table_is_refused_with_a_remedy(data: Any, said: str) -> None:
    with pytest.raises((OptionError, SourceError), match=said):
        frame_of(data)


def make_vaex(rows: int = 200):
    rng = np.random.default_rng(1)
    return vaex.from_arrays(
        row=np.arange(rows),
        key=rng.integers(0, 5, rows),
        x=rng.normal(size=rows),
        letter=np.array(["q", "p", "r"])[rng.integers(0, 3, rows)],
        word=pa.array(np.array(["a", "b", None], object)[rng.integers(0, 3, rows)]),
    )


def doings() -> dict[str, Any]:
    frame = make_vaex()
    frame["double"] = frame.x * 2
    other = vaex.from_arrays(key=np.arange(5), extra=np.arange(5) * 10.0)
    selected = frame.copy()
    selected.select("x > 0")
    encoded = frame.copy()
    encoded.ordinal_encode("letter", inplace=True)
    categorized = frame.copy()
    categorized.categorize("key", labels=["v", "w", "x", "y", "z"], min_value=0, inplace=True)
    return {
        "joined": frame.join(other, on="key", rsuffix="_right"),
        "joined and filtered": frame.join(other, on="key", rsuffix="_right")[frame.x > 0],
        "filtered": frame[frame.double > 0.5],
        "sorted": frame.sort("x"),
        "sorted backwards, filtered": frame[frame.x > -1].sort("x", ascending=False),
        "concatenated": vaex.concat([make_vaex(), make_vaex()]),
        "sliced": frame[20:90],
        "selected": selected,
        "ordinal encoded": encoded,
        "categorized": categorized,
        "renamed": _renamed(),
        "taken": frame.take([5, 3, 3, 8]),
        "dropped": frame.drop("word"),
        "extracted": frame[frame.x > 0].extract(),
    }


def _renamed():
    frame = make_vaex()
    frame.rename("x", "y")
    return frame


@pytest.mark.parametrize("doing", doings())
def test_vaex_own_doings_pass_through(doing: str) -> None:
    frame = doings()[doing]
    numbers = [name for name in frame.get_column_names() if frame[name].dtype.is_numeric]
    train = vs.Sequence(frame, inputs=numbers, batch_size=33)
    served = np.concatenate([np.asarray(train.batch(0, index)[0]) for index in range(len(train))])
    expected = np.stack([np.asarray(frame.evaluate(name), np.float32) for name in numbers], axis=1)
    np.testing.assert_array_equal(served, expected)
