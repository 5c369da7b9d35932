"""Sources behind URLs: every format as from a file, hidden secrets, changed objects; S3 on a real server process."""

from __future__ import annotations

import http.server
import os
import threading
from pathlib import Path

import fsspec
import h5py
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from s3_server import HOST, credentials, emptied

from vaxseq.convert import convert, stage, storage
from vaxseq.convert.readers import delimited, streams
from vaxseq.dataset.manifest import Manifest
from vaxseq.errors import DatasetError, SourceError, SourceNotFoundError

TABLE = pa.table({"n": range(5000), "x": [i / 7 for i in range(5000)], "s": [f"word {i % 9}" for i in range(5000)]})


def rows_of(manifest: Manifest) -> pa.Table:
    table = pa.concat_tables([pa.ipc.open_file(pa.memory_map(str(path))).read_all() for path in manifest.paths()])
    columns = {name: table[name] for name in table.column_names}
    if "s" in columns:
        columns["s"] = columns["s"].cast(pa.string())
    return pa.table(columns)


def files(folder: Path) -> list[Path]:
    """The table in each format that can be read from afar."""
    pa.csv.write_csv(TABLE, folder / "a.csv")
    with pa.CompressedOutputStream(str(folder / "b.csv.gz"), "gzip") as sink:
        pa.csv.write_csv(TABLE, sink)
    with pa.CompressedOutputStream(str(folder / "c.csv.zst"), "zstd") as sink:
        pa.csv.write_csv(TABLE, sink)
    pq.write_table(TABLE, folder / "d.parquet", row_group_size=1000)
    with pa.ipc.new_file(folder / "e.arrow", TABLE.schema) as writer:
        writer.write_table(TABLE, 1000)
    TABLE.to_pandas().to_json(folder / "f.jsonl", orient="records", lines=True, double_precision=15)
    with h5py.File(folder / "g.h5", "w") as file:
        file["n"], file["x"] = TABLE["n"].to_numpy(), TABLE["x"].to_numpy()
        file.create_dataset("s", data=TABLE["s"].to_pylist(), dtype=h5py.string_dtype())
    return sorted(folder.iterdir())


def test_every_format_reads_from_a_url_as_from_a_file(tmp_path) -> None:
    (tmp_path / "in").mkdir()
    system = fsspec.filesystem("memory")
    for file in files(tmp_path / "in"):
        system.put(str(file), f"/lake/{file.name}")
        made = convert(f"memory://lake/{file.name}", tmp_path / f"{file.name}.arrow", progress=False)
        here = convert(file, tmp_path / f"{file.name}.here.arrow", progress=False)
        assert rows_of(made).equals(rows_of(here)), file.name
        assert rows_of(made).select(["n", "s"]).equals(TABLE.select(["n", "s"])), file.name
        assert made.sources[0].name == f"memory://lake/{file.name}"
        assert made.sources[0].size_bytes == file.stat().st_size
    system.rm("/lake", recursive=True)


def test_globs_folders_and_partitions(tmp_path) -> None:
    system = fsspec.filesystem("memory")
    for year in (2013, 2014):
        system.pipe(f"/flights/year={year}/part.csv", f"a,b\n{year},x\n".encode())
    system.pipe("/flights/_SUCCESS", b"")
    whole = convert("memory://flights", tmp_path / "a.arrow", progress=False)
    assert rows_of(whole).select(["a", "year"]).to_pydict() == {"a": [2013, 2014], "year": [2013, 2014]}
    some = convert("memory://flights/*/*.csv", tmp_path / "b.arrow", progress=False)
    assert some.n_rows == 2
    local = tmp_path / "x y.csv"
    local.write_text("a\n1\n")
    assert convert(local.as_uri(), tmp_path / "c.arrow", progress=False).sources[0].name == str(local)
    with pytest.raises(SourceNotFoundError, match="memory://flights/none.csv: no such file"):
        convert("memory://flights/none.csv", tmp_path / "d.arrow", progress=False)
    with pytest.raises(SourceError, match="nosuch://x/a.csv: .*nosuch.*expected a scheme"):
        convert("nosuch://x/a.csv", tmp_path / "d.arrow", progress=False)
    system.rm("/flights", recursive=True)


@pytest.mark.parametrize(
    ("path", "name", "hidden"),
    [
        ("postgresql://me:p%40ss@host:5432/db", "postgresql://me@host:5432/db", ("p%40ss", "p@ss")),
        ("postgresql://host/db?user=me&password=abc", "postgresql://host/db?user=me", ("abc",)),
        ("https://h/a.csv?X-Amz-Signature=f00&X-Amz-Credential=k&n=1", "https://h/a.csv?n=1", ("f00", "k")),
        ("s3://bucket/a b.csv", "s3://bucket/a b.csv", ()),
        ("sqlite:///a.db", "sqlite:///a.db", ()),
        ("plain/a:b@c.csv", "plain/a:b@c.csv", ()),
    ],
)
def test_secrets_are_not_shown(path, name, hidden) -> None:
    assert storage.shown(path) == name
    assert storage.secrets_of(path) == hidden


def test_an_unfinished_run_goes_on_unless_the_object_changed(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(delimited, "_SMALLEST", 4096)
    monkeypatch.setattr(streams, "_READ", 4096)
    monkeypatch.setattr(delimited, "_ROWS", 200)
    monkeypatch.setattr(stage, "MIN_BATCH_ROWS", 300)
    system = fsspec.filesystem("memory")
    text = "n,s\n" + "".join(f"{i},w{i % 5}\n" for i in range(5000))
    system.pipe("/one.csv", text.encode())
    real, count = stage.Stage.flush, [0]

    def stopped(self) -> None:
        real(self)
        count[0] += 1
        if count[0] == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stage.Stage, "flush", stopped)
        with pytest.raises(KeyboardInterrupt):
            convert("memory://one.csv", tmp_path / "o.arrow", progress=False)
    before = (tmp_path / "o.arrow.partial" / "journal.jsonl").read_bytes()
    made = convert("memory://one.csv", tmp_path / "o.arrow", progress=False)
    assert count[0] == 5
    assert b'"pieces"' in before
    straight = convert("memory://one.csv", tmp_path / "p.arrow", progress=False)
    assert rows_of(made).equals(rows_of(straight))
    (tmp_path / "o.arrow").unlink()
    count[0] = 0
    with monkeypatch.context() as patch:
        patch.setattr(stage.Stage, "flush", stopped)
        with pytest.raises(KeyboardInterrupt):
            convert("memory://one.csv", tmp_path / "o.arrow", progress=False)
    system.pipe("/one.csv", text.encode())  # the same bytes, written again: not known to be the same
    with pytest.raises(DatasetError, match="a source may have changed"):
        convert("memory://one.csv", tmp_path / "o.arrow", progress=False)
    system.rm("/one.csv")


@pytest.mark.slow
def test_any_web_server_and_a_signed_address(tmp_path) -> None:
    pytest.importorskip("aiohttp")
    (tmp_path / "in").mkdir()
    files(tmp_path / "in")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        """Whole files only, as many servers serve them; one breaks off."""

        def do_GET(self) -> None:
            if self.path.startswith("/broken"):
                self.send_response(200)
                self.send_header("Content-Length", "1000000")
                self.end_headers()
                self.wfile.write(b"n,x\n1,2\n")
            else:
                super().do_GET()

        def do_HEAD(self) -> None:
            if self.path.startswith("/broken"):
                self.send_response(200)
                self.send_header("Content-Length", "1000000")
                self.end_headers()
            else:
                super().do_HEAD()

        def log_message(self, *_: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *given: Quiet(*given, directory=str(tmp_path / "in"))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        root = f"http://127.0.0.1:{server.server_port}"
        for name in ("a.csv", "b.csv.gz", "c.csv.zst"):
            made = convert(f"{root}/{name}?X-Amz-Signature=s1gned", tmp_path / f"{name}.arrow", progress=False)
            assert rows_of(made).select(["n", "s"]).equals(TABLE.select(["n", "s"]))
            assert made.sources[0].name == f"{root}/{name}"
        for name in ("none.csv", "broken.csv"):
            with pytest.raises(SourceError, match=f"{root}/{name}: ") as caught:
                convert(f"{root}/{name}?X-Amz-Signature=s1gned", tmp_path / "o.arrow", progress=False)
            chain: BaseException | None = caught.value
            while chain is not None:
                assert "s1gned" not in str(chain)
                chain = chain.__cause__
        assert not (tmp_path / "o.arrow").exists()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def s3(s3_port):
    """A real S3 server process on loopback; its test credentials are in the environment of these tests only."""
    boto3 = pytest.importorskip("boto3")
    with emptied(s3_port):
        endpoint = f"http://{HOST}:{s3_port}"
        saved = dict(os.environ)
        os.environ |= credentials(endpoint)
        try:
            client = boto3.client("s3", endpoint_url=endpoint)
            client.create_bucket(Bucket="lake")
            yield client
        finally:
            os.environ.clear()
            os.environ.update(saved)


@pytest.mark.server
@pytest.mark.slow
def test_s3(tmp_path, s3) -> None:
    (tmp_path / "in").mkdir()
    for file in files(tmp_path / "in"):
        s3.put_object(Bucket="lake", Key=f"raw/{file.name}", Body=file.read_bytes())
        made = convert(f"s3://lake/raw/{file.name}", tmp_path / f"{file.name}.arrow", progress=False)
        assert rows_of(made).select(["n", "s"]).equals(TABLE.select(["n", "s"])), file.name
    both = convert("s3://lake/raw/*.csv*", tmp_path / "both.arrow", workers=2, progress=False)
    assert both.n_rows == 15000
    assert [one.name for one in both.sources] == [f"s3://lake/raw/{n}" for n in ("a.csv", "b.csv.gz", "c.csv.zst")]
    assert "testing-secret" not in str(both.to_dict())
    digest = both.sources[0].digest
    s3.put_object(Bucket="lake", Key="raw/a.csv", Body=b"n,x,s\n1,2.0,z\n")
    again = convert("s3://lake/raw/a.csv", tmp_path / "again.arrow", progress=False)
    assert (again.n_rows, again.sources[0].digest != digest) == (1, True)
    with pytest.raises(SourceNotFoundError, match="s3://lake/raw/none.csv: no such file"):
        convert("s3://lake/raw/none.csv", tmp_path / "none.arrow", progress=False)
    with pytest.raises(SourceError, match="s3://nolake/a.csv"):
        convert("s3://nolake/a.csv", tmp_path / "none.arrow", progress=False)
