"""Which rows are served: the frame's filter, where=, rows= and missing targets, in this order; the index is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import vaex

from vaxseq.errors import ColumnNotFoundError, ExpressionError, SelectionError
from vaxseq.features.program.recipe import column_recipe
from vaxseq.frame import source_of
from vaxseq.loading import selection
from vaxseq.loading.selection import select_rows

ROWS = 500


@pytest.fixture
def frame() -> Any:
    x = pa.array(np.arange(ROWS, dtype=np.float64), mask=np.arange(ROWS) % 7 == 0)
    y = pa.array(np.arange(ROWS) % 3, mask=np.arange(ROWS) % 11 == 0)
    return vaex.from_arrow_table(pa.table({"x": x, "y": y, "n": np.arange(ROWS)}))


def ids(index: Any) -> list[int]:
    return index.ids(0, index.n).tolist()


def test_each_part_narrows_what_the_one_before_left(frame: Any) -> None:
    source = source_of(frame[frame.n > 99])
    assert ids(select_rows(source)) == list(range(100, ROWS))
    wanted = [n for n in range(100, ROWS) if n % 7 and n < 300]
    assert ids(select_rows(source, where="x < 300")) == wanted
    assert ids(select_rows(source, where="x < 300", rows=slice(None, None, 5))) == wanted[::5]
    assert ids(select_rows(source, where="x < 300", rows=[3, 0, 3])) == [wanted[3], wanted[0], wanted[3]]
    present = column_recipe(source.empty(["y"]), {}, "y", None)
    assert ids(select_rows(source, where="x < 300", present=present)) == [n for n in wanted if n % 11]


def test_a_missing_value_passes_neither_a_condition_nor_its_opposite(frame: Any) -> None:
    source = source_of(frame)
    low, high = (ids(select_rows(source, where=text)) for text in ("x < 250", "~(x < 250)"))
    missing = [n for n in range(ROWS) if n % 7 == 0]
    assert sorted(low + high + missing) == list(range(ROWS))


def test_nothing_left_names_the_part(frame: Any) -> None:
    source = source_of(frame)
    with pytest.raises(SelectionError, match=r"where='x < -1' leaves none of the frame's 500 rows"):
        select_rows(source, where="x < -1")
    with pytest.raises(SelectionError, match=r"rows=slice\(9, 3, None\) leaves none"):
        select_rows(source, rows=slice(9, 3))
    with pytest.raises(SelectionError, match="the frame's filter leaves none"):
        select_rows(source_of(frame[frame.n < 0]))
    with pytest.raises(SelectionError, match="mask of the wrong length; got 3, expected 500"):
        select_rows(source, rows=[True, False, True])


def test_a_condition_is_vetted(frame: Any) -> None:
    source = source_of(frame)
    with pytest.raises(ExpressionError, match="got float, expected a condition"):
        select_rows(source, where="x + 1")
    with pytest.raises(ColumnNotFoundError, match="'xx'"):
        select_rows(source, where="xx > 1")
    with pytest.raises(ExpressionError):
        select_rows(source, where="__import__('os').getcwd() == ''")


def test_an_index_is_kept_and_a_damaged_one_replaced(
    frame: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAXSEQ_CACHE", str(tmp_path))
    monkeypatch.setattr(selection, "_CACHED_FROM_ROWS", 0)
    source = source_of(frame)
    first = ids(select_rows(source, where="x < 300"))
    (kept,) = tmp_path.iterdir()

    def no_scan(*_: Any) -> Any:
        raise AssertionError("scanned again")

    with monkeypatch.context() as patch:
        patch.setattr(selection, "_scan", no_scan)
        assert ids(select_rows(source_of(frame), where="x < 300")) == first
        with pytest.raises(AssertionError, match="scanned again"):
            select_rows(source, where="x < 301")
    kept.write_bytes(kept.read_bytes()[:40])
    assert ids(select_rows(source, where="x < 300")) == first
    assert [one.name for one in tmp_path.iterdir()] == [kept.name]


def test_a_file_that_changed_is_scanned_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAXSEQ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(selection, "_CACHED_FROM_ROWS", 0)
    path = str(tmp_path / "d.hdf5")
    for shift in (0, 3):
        vaex.from_arrays(n=np.arange(100) + shift).export_hdf5(path)
        assert ids(select_rows(source_of(path), where="n < 50")) == list(range(50 - shift))
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_without_a_cache_folder_it_scans_each_time_and_says_so(
    frame: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VAXSEQ_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(selection, "_CACHED_FROM_ROWS", 0)
    first = ids(select_rows(source_of(frame), where="x < 300"))
    assert ids(select_rows(source_of(frame), where="x < 300")) == first
    assert ["row index isn't kept" in one.message and "VAXSEQ_CACHE" in one.message for one in caplog.records] == [
        True,
        True,
    ]


def test_the_index_of_a_hundred_million_rows_is_small() -> None:
    from vaxseq.plan.rows import RowIndexBuilder

    builder = RowIndexBuilder()
    block = np.random.default_rng(0).random(1_000_000) < 0.5
    for start in range(0, 100_000_000, len(block)):
        builder.add(start, block)
    index = builder.build(n_rows=100_000_000)
    assert index.n == 100 * int(block.sum()) and index.nbytes < 20_000_000
