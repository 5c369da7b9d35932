"""What a dataset has taken in already isn't taken in once more unnoticed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from vaxseq.cli import main
from vaxseq.convert import convert
from vaxseq.dataset.manifest import Manifest
from vaxseq.errors import DatasetError


@pytest.fixture
def dataset(tmp_path) -> Path:
    (tmp_path / "a.csv").write_text("t,v\n1,2\n2,4\n")
    (tmp_path / "b.csv").write_text("t,v\n3,6\n")
    for name in ("a.csv", "b.csv"):
        convert(tmp_path / name, tmp_path / "d", append=True, progress=False)
    return tmp_path / "d"


@pytest.mark.parametrize("change", ["as it is", "touched", "moved"])
def test_a_source_that_is_in_is_refused(tmp_path, dataset, change) -> None:
    source = tmp_path / "b.csv"
    if change == "touched":
        os.utime(source, ns=(1, 1))
    elif change == "moved":
        (tmp_path / "elsewhere").mkdir()
        source = Path(shutil.move(source, tmp_path / "elsewhere" / "b.csv"))
    with pytest.raises(DatasetError, match=r"b.csv is in the dataset already.*again=True"):
        convert(source, dataset, append=True, progress=False)
    assert Manifest.load(dataset).n_rows == 3
    assert convert(source, dataset, append=True, again=True, progress=False).n_rows == 4


def test_a_source_with_other_rows_under_the_same_name_is_new(tmp_path, dataset) -> None:
    (tmp_path / "b.csv").write_text("t,v\n4,8\n")
    assert convert(tmp_path / "b.csv", dataset, append=True, progress=False).n_rows == 4


def test_equal_tables_in_memory_are_not_told_apart(tmp_path, dataset) -> None:
    for rows in (4, 5):
        assert convert(pa.table({"t": [9], "v": [9]}), dataset, append=True, progress=False).n_rows == rows


def test_the_command_line(tmp_path, dataset, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["convert", str(tmp_path / "b.csv"), str(dataset), "--append", "--quiet"])
    assert ended.value.code == 2
    assert "pass --again to add" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["convert", str(tmp_path / "b.csv"), str(dataset), "--append", "--again", "--quiet"])
    assert (ended.value.code, Manifest.load(dataset).n_rows) == (0, 4)
