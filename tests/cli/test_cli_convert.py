"""`vaxseq convert` and `vaxseq inspect`, and the facts that inspect gives."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from prepared import PreparedPython

from vaxseq.cli import main
from vaxseq.convert import convert, inspect
from vaxseq.dataset.manifest import Manifest
from vaxseq.errors import SourceNotFoundError


def run(*args: object) -> int:
    with pytest.raises(SystemExit) as done:
        main([str(one) for one in args])
    code = done.value.code
    return code if isinstance(code, int) else 0


def read(path: Path) -> dict[str, list[object]]:
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all().to_pydict()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    path.write_text("a;b;c\n1;x;0.5\n2;y;?\nbad;z;1.5\n4;x;2.5\n")
    return path


def test_options_reach_convert(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.yaml").write_text("columns:\n  n: {type: int32, unit: m}\n")
    target = tmp_path / "o.arrow"
    names = ("--schema", tmp_path / "s.yaml", "--columns", "a,c", "--rename", "a=n", "--path-column", "from")
    rows = ("--where", "n != 2", "--on-bad-rows", "reject", "--option", "delimiter=;", "--option", "null_values=?")
    code = run("convert", source, target, *names, *rows)
    assert code == 0
    assert read(target) == {"n": [1, 4], "c": [0.5, 2.5], "from": [str(source)] * 2}
    assert Manifest.load(target).schema.column("n").type == "int32"
    assert capsys.readouterr().out.startswith(f"{target}: 2 rows, 3 columns, ")
    assert pq.read_table(tmp_path / "o.arrow.rejects.parquet")["text"].to_pylist() == ["bad;z;1.5"]


def test_mistakes_exit_2_with_one_message(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        ((source,), "expected sources and a target"),
        ((tmp_path / "im.csv", tmp_path / "o.arrow"), "no such file"),
        ((source, tmp_path / "o.arrow", "--rename", "ab"), "expected key=value"),
        ((source, tmp_path / "o.arrow", "--option", "delimeter=;"), "'delimiter'"),
        ((source, tmp_path / "o.arrow", "--columns", "q", "--option", "delimiter=;"), "no column 'q'"),
    ):
        assert run("convert", *arguments, "--quiet") == 2
        assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("o.arrow*"))


def test_folders_grow_and_are_replaced(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "set"
    options = ("--option", "delimiter=;", "--columns", "b", "--quiet")
    assert run("convert", source, target, *options) == 0
    assert run("convert", source, target, *options) == 2
    assert "exists already" in capsys.readouterr().err
    assert run("convert", source, target, "--append", "--again", *options) == 0
    assert Manifest.load(target).n_rows == 8
    assert run("convert", source, target, "--overwrite", "--target-format", "hdf5", *options) == 0
    assert Manifest.load(target).format == "hdf5"
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_ctrl_c_leaves_a_state_to_go_on_from(tmp_path: Path, python: PreparedPython) -> None:
    source, target = tmp_path / "a.csv", tmp_path / "o.arrow"
    block = "".join(f"{i},{i / 7},w{i % 9}\n" for i in range(100_000))
    source.write_text("i,x,w\n" + block * 60)
    command = ["-m", "vaxseq", "convert", source, target]
    process = python.popen(command, stderr=subprocess.PIPE)
    journal = tmp_path / "o.arrow.partial" / "journal.jsonl"
    while process.poll() is None and not (journal.exists() and '"pieces"' in journal.read_text()):
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, message = process.communicate()
    assert process.returncode == 130
    assert "run the same command again" in message
    assert "Traceback" not in message
    assert not target.exists()
    done = python.run(command, check=True)
    assert "going on after" in done.stderr
    assert f"{target}: 6,000,000 rows" in done.stdout


def test_inspect_tells_what_a_dataset_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pa.table({
        "i": pa.array([3, None, -(2**62) - 1]), "x": [0.5, 1.5, None], "s": ["b", None, "a"],
        "t": pa.array([0, 86400, None], pa.timestamp("s")),
        "v": pa.array([[1, 2], None, [3, 6]], pa.list_(pa.int32(), 2)),
    })  # fmt: skip
    target = tmp_path / "o.hdf5"
    convert(table, target, schema={"columns": {"x": {"type": "float64", "unit": "m/s"}}}, progress=False)
    facts = inspect(target)
    assert (facts["rows"], facts["format"], facts["memory_maps"], facts["fragments"]) == (3, "hdf5", True, 1)
    assert facts["size_bytes"] == target.stat().st_size
    columns = {one.pop("name"): one for one in facts["columns"]}
    assert {name: one["missing"] for name, one in columns.items()} == {"i": 1, "x": 1, "s": 1, "t": 1, "v": 1}
    assert (columns["i"]["min"], columns["i"]["max"]) == (-(2**62) - 1, 3)
    assert (columns["x"]["min"], columns["x"]["max"], columns["x"]["mean"], columns["x"]["unit"]) == (
        0.5,
        1.5,
        1.0,
        "m/s",
    )
    assert columns["v"]["type"] == "int32[2]"
    assert run("inspect", target, "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 3
    assert run("inspect", target) == 0
    shown = capsys.readouterr().out
    assert "x (m/s)" in shown
    assert "It memory-maps." in shown


def test_inspect_says_why_data_doesn_t_memory_map(tmp_path: Path) -> None:
    table = pa.table({"x": np.arange(10_000)})
    feather.write_feather(table, tmp_path / "c.arrow", compression="zstd")
    feather.write_feather(table, tmp_path / "u.arrow", compression="uncompressed")
    pq.write_table(table, tmp_path / "p.parquet")
    with h5py.File(tmp_path / "chunked.hdf5", "w") as file:
        file.create_dataset("x", data=np.arange(10_000), chunks=True, compression="gzip")
    (tmp_path / "t.csv").write_text("x\n1\n2\n")
    assert inspect(tmp_path / "u.arrow")["memory_maps"]
    for name, rows in (("c.arrow", 10_000), ("p.parquet", 10_000), ("chunked.hdf5", 10_000), ("t.csv", 2)):
        facts = inspect(tmp_path / name)
        assert (facts["rows"], facts["memory_maps"]) == (rows, False), name
        assert any("convert" in one for one in facts["obstacles"]), facts["obstacles"]
    with pytest.raises(SourceNotFoundError, match="no such file"):
        inspect(tmp_path / "none.arrow")
