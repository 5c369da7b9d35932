"""What is written takes the place of nothing but its own kind: stores, reports, split files."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pytest
import vaex

import vaxseq as vs
from vaxseq.cli import main
from vaxseq.errors import OptionError, StoreError


@pytest.fixture
def frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> vaex.DataFrame:
    monkeypatch.chdir(tmp_path)
    Path("notes").write_text("mine")
    with h5py.File("mine.h5", "w") as file:
        file["x"] = np.arange(3)
    return vaex.from_arrays(x=np.arange(9.0))


@pytest.mark.parametrize("name", ["notes", "mine.h5", "folder", "link"])
def test_a_store_replaces_only_stores(frame: vaex.DataFrame, name: str) -> None:
    Path("folder").mkdir()
    Path("link").symlink_to("nowhere")
    with pytest.raises(StoreError, match="not replaced: it isn't a packed store"):
        vs.materialize(frame, None, name, inputs=["x"], overwrite=True, progress=False)
    assert Path("notes").read_text() == "mine"
    assert h5py.File("mine.h5")["x"][2] == 2
    vs.materialize(frame, None, "s.h5", inputs=["x"], progress=False)
    assert vs.materialize(frame[:4], None, "s.h5", inputs=["x"], overwrite=True, progress=False).rows == 4


@pytest.mark.parametrize("suffix", ["part", "lock"])
def test_files_beside_a_store_stay(frame: vaex.DataFrame, suffix: str) -> None:
    Path(f"s.h5.{suffix}").write_text("mine")
    if suffix == "part":
        with pytest.raises(StoreError, match=r"s.h5.part is in the way"):
            vs.materialize(frame, None, "s.h5", inputs=["x"], progress=False)
    else:
        vs.materialize(frame, None, "s.h5", inputs=["x"], progress=False)
    assert Path(f"s.h5.{suffix}").read_text() == "mine"


def test_a_report_replaces_only_reports(frame: vaex.DataFrame) -> None:
    with pytest.raises(OptionError, match="isn't a report of vaxseq's"):
        vs.report(frame, "notes", progress=False)
    assert Path("notes").read_text() == "mine"
    for _ in range(2):
        vs.report(frame, "r.html", progress=False)


def test_split_files_replace_neither_the_data_nor_other_files(
    frame: vaex.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("d").mkdir()
    vs.convert(pa.table({"x": np.arange(9.0)}), "d/train.arrow", progress=False)
    vs.convert(pa.table({"x": np.arange(9.0)}), "e.arrow", progress=False)
    Path("d/test.arrow").write_text("mine")
    parts = ["-p", "train=0.5", "-p", "test=0.5", "-o", "d", "--overwrite"]
    for data, said in (("d/train.arrow", "it is the data that is to be split"), ("e.arrow", "isn't an Arrow file")):
        with pytest.raises(SystemExit) as ended:
            main(["split", data, *parts])
        assert ended.value.code == 2
        assert said in capsys.readouterr().err
    assert Path("d/test.arrow").read_text() == "mine"
