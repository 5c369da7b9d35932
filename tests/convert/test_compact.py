"""Many small appends as one large fragment: the same rows, and what the manifest knew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vaxseq as vs

KINDS = ["arrow", "hdf5"]


def appended(folder: Path, kind: str, parts: int = 12) -> Path:
    for number in range(parts):
        source = folder / f"{number}.csv"
        rows = pd.DataFrame({
            "i": range(number * 50, number * 50 + 50), "w": [f"w{(number + one) % 15}" for one in range(50)],
            "t": pd.date_range("2024-01-01", periods=50, freq="h") + pd.Timedelta(days=number), "v": 0.5,
            "note": [f"{number}-{one}" for one in range(50)],
        })  # fmt: skip
        rows.loc[number, ["w", "v"]] = None
        rows.to_csv(source, index=False)
        vs.convert(source, folder / "d", append=True, target_format=kind, progress=False)
    return folder / "d"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_rows_stay_and_sources_are_known(tmp_path: Path, kind: str) -> None:
    path = appended(tmp_path, kind)
    before, old = vs.Manifest.load(path), vs.open(path)
    rows = {name: old[name].tolist() for name in old.get_column_names()}
    made = vs.compact(path, progress=False)
    assert [one.rows for one in made.fragments] == [600]
    assert (made.schema, made.sources, made.ranges, made.format) == (
        before.schema, before.sources, before.ranges, before.format
    )  # fmt: skip
    assert made == vs.Manifest.load(path)
    now = vs.open(path)
    assert {name: now[name].tolist() for name in now.get_column_names()} == rows
    vs.verify(path, progress=False)
    with pytest.raises(vs.VaxseqError, match=r"7.csv is in the dataset already"):
        vs.convert(tmp_path / "7.csv", path, append=True, progress=False)
    again = vs.convert(tmp_path / "7.csv", path, append=True, again=True, progress=False)
    assert [one.rows for one in again.fragments] == [600, 50]
    assert vs.open(path)["note"].tolist() == rows["note"] + rows["note"][350:400]
    assert sorted(one.name for one in tmp_path.iterdir() if one.suffix != ".csv") == ["d"]


def test_what_is_compact_stays_as_it_is(tmp_path: Path) -> None:
    made = vs.convert(pd.DataFrame({"x": [1, 2]}), tmp_path / "d", progress=False)
    inode = (tmp_path / "d" / "part-00000.arrow").stat().st_ino
    assert vs.compact(tmp_path / "d", progress=False) == made
    assert (tmp_path / "d" / "part-00000.arrow").stat().st_ino == inode
    assert [one.name for one in tmp_path.iterdir()] == ["d"]


def test_a_file_and_a_strange_folder_are_refused(tmp_path: Path) -> None:
    vs.convert(pd.DataFrame({"x": [1]}), tmp_path / "x.arrow", progress=False)
    with pytest.raises(vs.VaxseqError, match="is one file"):
        vs.compact(tmp_path / "x.arrow", progress=False)
    with pytest.raises(vs.VaxseqError, match="no such dataset"):
        vs.compact(tmp_path / "none", progress=False)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x.txt").write_text("x")
    with pytest.raises(vs.VaxseqError, match="no vaxseq manifest"):
        vs.compact(tmp_path / "mine", progress=False)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["mine", "x.arrow"]


def test_a_url_is_refused_and_what_is_said_to_do_instead_works(lake) -> None:
    for number in range(3):
        vs.convert({"x": np.array([number])}, "memory://lake/d", append=number > 0, progress=False)
    with pytest.raises(
        vs.VaxseqError, match=r"compact: memory://lake/d: got a URL.*convert\(vaxseq.open\(url\), other_url"
    ):
        vs.compact("memory://lake/d", progress=False)
    made = vs.convert(vs.open("memory://lake/d"), "memory://lake/one", progress=False)
    assert len(made.fragments) == 1
    assert vs.open("memory://lake/one").x.tolist() == [0, 1, 2]
