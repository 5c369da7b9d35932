"""Typed sources under a declared type: a value that the type can't hold is a bad row, never another value."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vaxseq.convert import convert
from vaxseq.errors import BadRowError, DatasetError, SchemaError, SourceError


@pytest.mark.parametrize(
    ("cells", "kind", "kept", "bad"),
    [
        (pa.array([0.1, 1e300, np.inf, None]), "float32", [float(np.float32(0.1)), np.inf, None], ["1e+300"]),
        (pa.array([1.5, 70000.0], pa.float32()), "float16", [1.5], ["70000.0"]),
        (pa.array([1, 10**9, None], pa.timestamp("ns")), "timestamp[s]", [dt.datetime(1970, 1, 1, 0, 0, 1), None],
         ["1970-01-01 00:00:00.000000001"]),
        (pa.array([10**12, 1], pa.timestamp("s")), "timestamp[ns]", [pd.Timestamp(1, unit="s")], None),
        (pa.array([1, 86400], pa.timestamp("s")), "date", [dt.date(1970, 1, 2)], ["1970-01-01 00:00:01"]),
        (pa.array([dt.date(1, 1, 1), dt.date(2020, 1, 1)]), "timestamp[ns]", [pd.Timestamp("2020-01-01")],
         ["0001-01-01"]),
        (pa.array([1, 1000], pa.duration("ms")), "duration[s]", [dt.timedelta(seconds=1)], ["0:00:00.001000"]),
        (pa.array([300, 1]), "int8", [1], ["300"]),
        (pa.array([1.5, 2.0]), "int64", [2], ["1.5"]),
        (pa.array(["1e400", "2", "inf"]), "float64", [2.0, np.inf], ["1e400"]),
    ],
)  # fmt: skip
def test_a_value_beyond_its_declared_type_is_a_bad_row(tmp_path, cells, kind, kept, bad) -> None:
    made = convert(
        pa.table({"x": cells}), tmp_path / "o.arrow", schema={"columns": {"x": kind}}, on_bad_rows="reject",
        progress=False,
    )  # fmt: skip
    assert pa.ipc.open_file(pa.memory_map(made.location)).read_all()["x"].to_pylist() == kept
    assert made.rejected_rows == len(cells) - len(kept)
    rejects = pq.read_table(tmp_path / "o.arrow.rejects.parquet")["value"].to_pylist()
    assert bad is None or rejects == bad


def test_what_pandas_cannot_hand_over_is_said(tmp_path) -> None:
    for frame in (pd.DataFrame({"x": [2**64, 1]}, dtype=object), pd.DataFrame({"x": [1, "a"]})):
        for data in (frame, iter([frame])):
            with pytest.raises(SourceError, match="pandas can't hand its columns over.*one type"):
                convert(data, tmp_path / "o.arrow", progress=False)
    periods = pd.DataFrame({"x": pd.period_range("2020-01", periods=2, freq="M")})
    with pytest.raises(SchemaError, match="periods into timestamps"):
        convert(periods, tmp_path / "o.arrow", progress=False)


def test_the_remedy_for_a_bad_row_goes_on_from_where_it_was_told(tmp_path, monkeypatch) -> None:
    from vaxseq.convert import run, stage
    from vaxseq.convert.readers import delimited

    for owner, name, value in ((delimited, "_SMALLEST", 256), (delimited, "_ROWS", 1), (stage, "MIN_BATCH_ROWS", 40)):
        monkeypatch.setattr(owner, name, value)
    source, target = tmp_path / "in.csv", tmp_path / "o.arrow"
    options = {"schema": {"columns": {"i": "int64"}}, "progress": False}
    for bad in (0, 300):  # before anything was written, and after
        source.write_text("i\n" + "".join("bad\n" if i == bad else f"{i}\n" for i in range(600)))
        with pytest.raises(BadRowError, match="on_bad_rows='reject'"):
            convert(source, target, **options)
        made = convert(source, target, on_bad_rows="reject", **options)
        assert (made.n_rows, made.rejected_rows) == (599, 1)
        target.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(run, "commit", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            convert(source, target, on_bad_rows="reject", **options)
    with pytest.raises(DatasetError, match="other sources or options"):  # rows were set aside that it mustn't leave out
        convert(source, target, **options)
    assert convert(source, target, on_bad_rows="reject", **options).rejected_rows == 1
    source.write_text("i\nx\n")
    with pytest.raises(BadRowError):
        convert(source, target, overwrite=True, **options)
    assert (
        convert(source, target, overwrite=True, progress=False).n_rows == 1
    )  # nothing was written, so nothing goes on
