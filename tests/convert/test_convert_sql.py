"""SQL through ADBC: SQLite, and a real PostgreSQL server; passwords stay hidden."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import sqlite3
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pytest

from vaxseq.cli import main
from vaxseq.convert import convert, stage
from vaxseq.convert.readers import sql as sql_reader
from vaxseq.dataset.manifest import Manifest
from vaxseq.errors import DatasetError, OptionError, SourceError

pytest.importorskip("adbc_driver_sqlite")


def rows_of(manifest: Manifest) -> pa.Table:
    return pa.concat_tables([pa.ipc.open_file(pa.memory_map(str(path))).read_all() for path in manifest.paths()])


@pytest.fixture
def database(tmp_path) -> Path:
    path = tmp_path / "flights of 2013.db"
    with sqlite3.connect(path) as made:
        made.execute("create table flights (id integer, carrier text, delay real)")
        rows = [(i, None if i % 7 == 0 else f"c{i % 5}", None if i % 3 == 0 else i / 4) for i in range(1000)]
        made.executemany("insert into flights values (?, ?, ?)", rows)
    made.close()
    return path


def test_sqlite(tmp_path, database) -> None:
    made = convert(target=tmp_path / "o.arrow", sql="select * from flights where id >= 10", uri=f"sqlite:///{database}",
                   where="delay > 100", rename={"carrier": "by"}, progress=False)  # fmt: skip
    found = rows_of(made).to_pydict()
    assert found["id"] == [i for i in range(401, 1000) if i % 3]
    assert found["by"][:3] == ["c1", "c3", "c4"]
    assert made.sources[0].name == f"sqlite:///{database}"
    assert made.dropped_rows == 990 - len(found["id"])


def test_the_command_line(tmp_path, database, capsys) -> None:
    target = tmp_path / "o.arrow"
    with pytest.raises(SystemExit) as ended:
        main(["convert", str(target), "--sql", "select id from flights", "--uri", f"sqlite:///{database}"])
    assert (ended.value.code, Manifest.load(target).n_rows) == (0, 1000)
    assert "1,000 rows, 1 columns" in capsys.readouterr().out


def stop_after(monkeypatch, flushes: int) -> None:
    """An interrupt after so many flushes, once."""
    real, count = stage.Stage.flush, [0]

    def flush(self) -> None:
        real(self)
        count[0] += 1
        if count[0] == flushes:
            raise KeyboardInterrupt

    monkeypatch.setattr(stage.Stage, "flush", flush)


@pytest.mark.parametrize("key", [None, "id"])
def test_a_stopped_query_goes_on_by_its_key_or_begins_again(tmp_path, database, monkeypatch, key) -> None:
    monkeypatch.setattr(stage, "MIN_BATCH_ROWS", 100)
    monkeypatch.setattr(sql_reader, "_ROWS", 100)
    ask = {"sql": "select * from flights", "uri": f"sqlite:///{database}", "key": key, "progress": False}
    with monkeypatch.context() as patch:
        stop_after(patch, 4)
        with pytest.raises(KeyboardInterrupt):
            convert(target=tmp_path / "o.arrow", **ask)
    asked = []
    real = sql_reader.SqlReader._run
    monkeypatch.setattr(sql_reader.SqlReader, "_run", lambda self, text: asked.append(text) or real(self, text))
    made = convert(target=tmp_path / "o.arrow", **ask)
    assert rows_of(made)["id"].to_pylist() == list(range(1000))
    assert any(text.endswith("offset 400") for text in asked) == (key == "id")


def test_with_a_key_a_changed_result_is_noticed(tmp_path, database, monkeypatch) -> None:
    monkeypatch.setattr(stage, "MIN_BATCH_ROWS", 100)
    monkeypatch.setattr(sql_reader, "_ROWS", 100)
    ask = {"sql": "select * from flights", "uri": f"sqlite:///{database}", "key": "id", "progress": False}
    with monkeypatch.context() as patch:
        stop_after(patch, 4)
        with pytest.raises(KeyboardInterrupt):
            convert(target=tmp_path / "o.arrow", **ask)
    with sqlite3.connect(database) as made:
        made.execute("insert into flights values (2000, 'x', 1)")
    made.close()
    with pytest.raises(DatasetError, match="a source may have changed"):
        convert(target=tmp_path / "o.arrow", **ask)
    with pytest.raises(OptionError, match=r"key; got 'carrier', expected a column without missing and equal values"):
        convert(target=tmp_path / "p.arrow", **{**ask, "key": "carrier"})
    with pytest.raises(OptionError, match="option key; got 'nokey', expected a column of the result"):
        convert(target=tmp_path / "q.arrow", **{**ask, "key": "nokey"})


def test_a_late_type_and_mistakes_are_named(tmp_path, database, monkeypatch) -> None:
    monkeypatch.setattr(sql_reader, "_ROWS", 100)
    uri = f"sqlite:///{database}"
    late = "select case when id < 500 then id else 'late' end as x from flights"
    with pytest.raises(SourceError, match="Type mismatch .* CAST the column"):
        convert(target=tmp_path / "o.arrow", sql=late, uri=uri, progress=False)
    for sql, address, kind, message in [
        ("selec 1", uri, SourceError, 'the query failed: .*near "selec"'),
        ("select 1", "sqlite:///no.db", SourceError, "no such database file; got 'no.db'"),
        ("select 1", "mysql://me:hidden@host/db", OptionError, "got the scheme 'mysql', expected postgresql://"),
        (" ", uri, OptionError, "option sql; got an empty query"),
        ("select 1", 3, OptionError, "option uri; got int"),
    ]:
        with pytest.raises(kind, match=message) as caught:
            convert(target=tmp_path / "o.arrow", sql=sql, uri=address, progress=False)
        assert "hidden" not in str(caught.value)
    with pytest.raises(OptionError, match="both sources and sql="):
        convert("a.csv", tmp_path / "o.arrow", sql="select 1", uri=uri, progress=False)
    with pytest.raises(OptionError, match="no target"):
        convert(sql="select 1", uri=uri, progress=False)
    with pytest.raises(OptionError, match="'VAXSEQ_NO_SUCH', which the environment lacks"):
        convert(target=tmp_path / "o.arrow", sql="select 1", uri=uri, password_env="VAXSEQ_NO_SUCH", progress=False)
    assert not (tmp_path / "o.arrow").exists()


@pytest.fixture(scope="module")
def server():
    """The URI of a PostgreSQL of our own on loopback that asks for a password, and that password."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda one: int(one.parts[4]))
    if not found:
        pytest.skip("PostgreSQL isn't installed (apt-get install postgresql)")
    pytest.importorskip("adbc_driver_postgresql")
    if os.getuid() == 0 and "postgres" not in {one.pw_name for one in pwd.getpwall()}:
        pytest.skip("as root, initdb needs the user postgres")
    folder = Path(tempfile.mkdtemp(prefix="vaxseq-postgres-"))
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    secret = "p@ss wörd/1"
    (folder / "password").write_text(secret)
    as_user = []
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", "postgres", folder], check=True)
        as_user = ["runuser", "-u", "postgres", "--"]

    def run(program: str, *arguments: str) -> None:
        done = subprocess.run([*as_user, found[-1].parent / program, *arguments], cwd=folder, capture_output=True,
                              text=True, check=False)  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    data = f"--pgdata={folder}/db"
    run("initdb", data, "--username=me", "--auth=scram-sha-256", f"--pwfile={folder}/password", "--no-sync",
        "--encoding=UTF8", "--locale=C")  # fmt: skip
    settings = f"-c listen_addresses=127.0.0.1 -p {port} -c unix_socket_directories={folder} -c fsync=off"
    run("pg_ctl", data, "--wait", "start", f"--log={folder}/log", f"--options={settings}")
    try:
        yield f"postgresql://me@127.0.0.1:{port}/postgres", secret
    finally:
        run("pg_ctl", data, "--mode=immediate", "stop")
        shutil.rmtree(folder)


@pytest.mark.server
@pytest.mark.slow
def test_postgresql(tmp_path, server, monkeypatch, capsys) -> None:
    uri, secret = server
    wait = {"target": tmp_path / "o.arrow", "sql": "select * from flights", "uri": uri, "progress": False}
    monkeypatch.delenv("PGPASSWORD", raising=False)
    with pytest.raises(SourceError, match="no password supplied"):
        convert(**wait)
    monkeypatch.setenv("PGPASSWORD", "wrong word")
    with pytest.raises(SourceError, match='password authentication failed for user "me"') as caught:
        convert(**wait)
    assert "wrong word" not in str(caught.value)
    assert caught.value.__cause__ is None
    monkeypatch.setenv("PGPASSWORD", secret)
    import adbc_driver_postgresql.dbapi as driver

    with driver.connect(uri) as made, made.cursor() as cursor:
        cursor.execute(
            "create table flights as select i as id, 'c' || i % 5 as carrier, i::float4 / 4 as delay, "
            "i % 2 = 0 as late, i::numeric / 8 as paid, timestamp '2013-01-01' + i * interval '1 hour' as at, "
            "timestamptz '2013-01-01 00:00:00+02' as zoned, date '2013-01-01' + i as day, "
            "nullif(i % 10, 0)::int2 as digit from generate_series(1, 200000) as s(i)"
        )
        made.commit()
    made = convert(**wait)
    table = rows_of(made)
    kinds = {column.name: column.type for column in made.schema.columns}
    assert kinds == {
        "id": "int32", "carrier": "category", "delay": "float64", "late": "bool", "paid": "float64",
        "at": "timestamp[us]", "zoned": "timestamp[us]", "day": "date", "digit": "int16",
    }  # fmt: skip
    assert sorted(table["id"].to_pylist()) == list(range(1, 200001))
    first = table.slice(0, 1).to_pylist()[0]
    assert (first["id"], first["carrier"], first["delay"], first["paid"]) == (1, "c1", 0.25, 0.125)
    assert str(first["at"]) == "2013-01-01 01:00:00"
    assert str(first["zoned"]) == "2012-12-31 22:00:00"
    assert table["digit"].null_count == 20000

    with pytest.raises(SourceError, match=r"column 'big': a numeric of 2\*\*53 or more"):
        convert(**{**wait, "target": tmp_path / "b.arrow", "sql": "select 12345678901234567890 as big"})
    special = {
        **wait,
        "target": tmp_path / "n.arrow",
        "sql": "select 'NaN'::numeric as a, null::numeric as b, 0.1 as c",
    }
    assert str(rows_of(convert(**special)).to_pylist()) == "[{'a': nan, 'b': None, 'c': 0.1}]"

    # the password from a variable of the user's own naming, on the command line; nothing that is written holds it
    monkeypatch.delenv("PGPASSWORD")
    monkeypatch.setenv("FLIGHTS_PASSWORD", secret)
    target = tmp_path / "cli"
    with pytest.raises(SystemExit) as ended:
        main(["convert", str(target), "--sql", "select * from flights where id <= 70000 -- the first", "--uri", uri,
              "--option", "key=id", "--option", "password_env=FLIGHTS_PASSWORD"])  # fmt: skip
    assert ended.value.code == 0
    said = capsys.readouterr()
    assert Manifest.load(target).n_rows == 70000
    assert rows_of(Manifest.load(target))["id"].to_pylist() == list(range(1, 70001))
    everything = said.out + said.err + (target / "manifest.json").read_text()
    assert not [
        one for one in (secret, "p%40ss", "wörd", urlsplit(uri).netloc.replace("me@", "me:")) if one in everything
    ]


@pytest.mark.server
@pytest.mark.slow
def test_a_stopped_postgresql_query_goes_on(tmp_path, server, monkeypatch) -> None:
    uri, secret = server
    monkeypatch.setenv("PGPASSWORD", secret)
    monkeypatch.setattr(stage, "MIN_BATCH_ROWS", 100)
    monkeypatch.setattr(sql_reader, "_ROWS", 1000)
    ask = {"sql": "select 'k' || i as k, i from generate_series(1, 10000) as s(i)", "uri": uri, "key": "k"}
    with monkeypatch.context() as patch:
        stop_after(patch, 4)
        with pytest.raises(KeyboardInterrupt):
            convert(target=tmp_path / "o.arrow", **ask, progress=False)
    journal = (tmp_path / "o.arrow.partial" / "journal.jsonl").read_text()
    assert '"pieces"' in journal
    assert secret not in journal
    made = rows_of(convert(target=tmp_path / "o.arrow", **ask, progress=False))
    straight = rows_of(convert(target=tmp_path / "p.arrow", **ask, progress=False))
    assert made.equals(straight)
    assert sorted(made["i"].to_pylist()) == list(range(1, 10001))
