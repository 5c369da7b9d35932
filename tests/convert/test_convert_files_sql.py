"""SQL on files without a server, by DuckDB."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vaxseq.cli import main
from vaxseq.convert import convert
from vaxseq.convert.readers import files_sql
from vaxseq.convert.stage import Stage
from vaxseq.errors import OptionError, SchemaError, SourceError

pytest.importorskip("duckdb")


def rows_of(target: Path, **options: Any) -> dict[str, list[Any]]:
    made = convert(target=target, overwrite=True, resume=False, progress=False, **options)
    return pa.ipc.open_file(pa.memory_map(str(made.location))).read_all().to_pydict()


@pytest.fixture
def streams(tmp_path, monkeypatch) -> Path:
    """Two sensors of different rates."""
    start = dt.datetime(2024, 1, 1)
    fast = {"t": [start + dt.timedelta(seconds=10 * i) for i in range(6)], "v": [float(i) for i in range(6)]}
    pq.write_table(pa.table(fast), tmp_path / "fast.parquet")
    lines = [f"{start + dt.timedelta(seconds=15 * i + 5)},{i}" for i in range(4)]
    (tmp_path / "slow.csv").write_text("t,w\n" + "\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


JOIN = "select * from 'fast.parquet' asof left join read_csv('slow.csv') using (t) order by t"


def test_streams_of_two_rates_are_joined(streams) -> None:
    found = rows_of(streams / "o.arrow", sql=JOIN)
    assert found["v"] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert found["w"] == [None, 0, 1, 1, 2, 3]
    assert not (streams / "o.arrow.partial").exists()


def test_types_of_the_result(streams) -> None:
    sql = (
        "select sum(i) as total, avg(i) as mean, sum(i) * 0.5 as half, [1, 2] as pair, {'x': 1, 'y': 'a'} as p, "
        "uuid '00000000-0000-0000-0000-000000000001' as u, now() at time zone 'UTC' > '2000-01-01' as late "
        "from range(5) t(i);"
    )
    found = rows_of(streams / "o.arrow", sql=sql)
    assert found == {
        "total": [10], "mean": [2.0], "half": [5.0], "pair": [[1, 2]], "p.x": [1], "p.y": ["a"],
        "u": ["00000000-0000-0000-0000-000000000001"], "late": [True],
    }  # fmt: skip
    with pytest.raises(SchemaError, match="column 'h': a decimal that an int64 or a float64 would round"):
        convert(target=streams / "e.arrow", sql="select 10000000000000000000000 :: hugeint as h", progress=False)


@pytest.mark.slow
def test_a_result_beyond_its_memory_spills_and_streams(streams) -> None:
    numbers = np.random.default_rng(0).permutation(2_000_000)
    pq.write_table(pa.table({"i": numbers, "s": numbers.astype(str)}), "big.parquet")
    made = convert(
        target=streams / "o.arrow", sql="select * from 'big.parquet' order by i", memory_limit="64MB", progress=False
    )
    rows = pa.ipc.open_file(pa.memory_map(str(made.location))).read_all()
    assert rows["i"].to_numpy().tolist() == list(range(2_000_000))
    assert rows["s"][1_999_999].as_py() == "1999999"


def test_a_stopped_query_goes_on_by_its_key(streams, monkeypatch) -> None:
    pq.write_table(pa.table({"i": np.arange(300_000), "x": np.arange(300_000) * 0.5}), "n.parquet")
    options = {"sql": "select * from 'n.parquet'", "key": "i", "progress": False}
    real, flushes = Stage.flush, []

    def flush(self: Stage) -> None:
        real(self)
        flushes.append(self.rows)
        if len(flushes) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Stage, "flush", flush)
    with pytest.raises(KeyboardInterrupt):
        convert(target=streams / "o.arrow", **options)
    asked = []
    monkeypatch.setattr(Stage, "flush", real)
    run = files_sql.FilesSqlReader._run
    monkeypatch.setattr(files_sql.FilesSqlReader, "_run", lambda self, sql: (asked.append(sql), run(self, sql))[1])
    made = convert(target=streams / "o.arrow", **options)
    assert any("offset 196608" in sql for sql in asked)
    rows = pa.ipc.open_file(pa.memory_map(str(made.location))).read_all()
    assert rows["i"].to_numpy().tolist() == list(range(300_000))


def test_the_command_line(streams, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["convert", "--sql", JOIN, "--option", "memory_limit=100MB", "o.arrow"])
    assert ended.value.code == 0
    assert "6 rows, 3 columns" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("sql", "options", "kind", "message"),
    [
        ("select * from 'none.parquet'", {}, SourceError, "the query failed: .*none.parquet"),
        ("selec 1", {}, SourceError, "the query failed: Parser Error"),
        ("select 1; drop table x", {}, SourceError, "the query failed: Parser Error"),
        ("copy (select 1) to 'x.csv'", {}, SourceError, "the query failed: Parser Error"),
        ("install spatial", {}, SourceError, "the query failed"),
        ("select * from 's3://bucket/a.parquet'", {}, SourceError, "the query failed"),
        (" ", {}, OptionError, "option sql; got an empty query"),
        ("select 1 as a", {"memory_limit": "lots"}, OptionError, "option memory_limit; got 'lots'"),
        ("select 1 as a", {"memory_limit": True}, OptionError, "option memory_limit; got True"),
        ("select 1 as a", {"key": "b"}, SourceError, 'the query failed: .*"b" not found'),
    ],
)  # fmt: skip
def test_mistakes_are_named(streams, sql, options, kind, message) -> None:
    with pytest.raises(kind, match=message):
        convert(target=streams / "o.arrow", sql=sql, progress=False, **options)
    assert not (streams / "x.csv").exists()


def test_a_missing_package_is_named(streams, monkeypatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(ImportError, match=r"duckdb isn't installed; .*pip install 'vaxseq\[duckdb\]'"):
        convert(target=streams / "o.arrow", sql="select 1", progress=False)


def test_the_default_limit_is_half_of_what_is_free(monkeypatch) -> None:
    monkeypatch.setenv("VAXSEQ_MEMORY", "1GB")
    assert files_sql.default_limit() == 500_000_000
    monkeypatch.setenv("VAXSEQ_MEMORY", "100GB")
    assert files_sql.default_limit() == 4 << 30
