"""The packed store: the same numbers as the lazy path, restartable, keyed by what it was made from."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import vaex
from prepared import PreparedPython

from vaxseq import convert, store
from vaxseq.errors import OptionError, SourceNotFoundError, StoreError
from vaxseq.loading.query import Query
from vaxseq.loading.readers.frame import FrameReader
from vaxseq.store import materialize, writing
from vaxseq.training.sequence import Sequence

ROWS = 5_000


@pytest.fixture
def frame(tmp_path: Path) -> Any:
    rng = np.random.default_rng(0)
    columns = {f"x{i}": rng.random(ROWS).astype(np.float32) for i in range(3)}
    vaex.from_arrays(**columns, y=rng.integers(0, 3, ROWS), w=rng.random(ROWS)).export_hdf5(str(tmp_path / "d.hdf5"))
    return vaex.open(str(tmp_path / "d.hdf5"))


PLAIN: dict[str, Any] = {"inputs": ["x0", "x1", "x2"], "targets": "y", "sample_weight": "w"}


def expected(frame: Any, **selection: Any) -> tuple[list[Any], Any]:
    served = Query(frame, **PLAIN, **selection)
    ids = served.index.ids(0, served.index.n)
    return FrameReader(served.source, served.recipe).gather(ids), ids


@pytest.fixture
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["vaxseq.store.materializing"]
    monkeypatch.setattr(module, "_UNIT_BYTES", 16_000)
    monkeypatch.setattr(module, "_BUCKET_BYTES", 40_000)


@pytest.mark.parametrize(
    "selection", [{}, {"where": "x0 > 0.5"}, {"rows": slice(100, 900, 3)}, {"rows": [9, 3, 3, 77]}]
)
def test_a_store_holds_what_the_reader_gives(
    frame: Any, tmp_path: Path, small_units: None, selection: dict[str, Any]
) -> None:
    stored = materialize(frame, None, tmp_path / "s.h5", **PLAIN, **selection, progress=False)
    arrays, ids = expected(frame, **selection)
    for got, wanted in zip(stored.arrays(), arrays, strict=True):
        np.testing.assert_array_equal(got, wanted)
    np.testing.assert_array_equal(stored.row_ids(), ids)
    with h5py.File(tmp_path / "s.h5") as file:
        np.testing.assert_array_equal(file["inputs/inputs"][:], arrays[0])
        assert file["inputs/inputs"].chunks is None and file["row_id"].shape == (len(ids),)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d.hdf5", "s.h5"]


def test_a_shuffled_store_holds_every_row_once(frame: Any, tmp_path: Path, small_units: None) -> None:
    stored = materialize(frame, None, tmp_path / "s.h5", **PLAIN, where="x0 > 0.2", shuffle_seed=3, progress=False)
    arrays, ids = expected(frame, where="x0 > 0.2")
    mine = np.asarray(stored.row_ids()).astype(np.int64)
    assert sorted(mine.tolist()) == ids.tolist() and not np.array_equal(mine, ids)
    place = np.searchsorted(ids, mine)
    for got, wanted in zip(stored.arrays(), arrays, strict=True):
        np.testing.assert_array_equal(got, wanted[place])
    assert abs(np.corrcoef(mine[:-1], mine[1:])[0, 1]) < 0.06
    again = materialize(frame, None, tmp_path / "t.h5", **PLAIN, where="x0 > 0.2", shuffle_seed=3, progress=False)
    np.testing.assert_array_equal(again.row_ids(), stored.row_ids())


@pytest.mark.parametrize("scratch", ["auto", "folder", None])
def test_scratch_changes_nothing_in_a_shuffled_store(
    frame: Any, tmp_path: Path, small_units: None, scratch: str | None
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    options = {**PLAIN, "where": "x0 > 0.2", "shuffle_seed": 3, "progress": False}
    stored = materialize(frame, None, tmp_path / "s.h5", **options)
    chosen = folder if scratch == "folder" else scratch
    other = materialize(frame, None, tmp_path / "t.h5", **options, scratch=chosen)
    for one, expected in zip([*other.arrays(), other.row_ids()], [*stored.arrays(), stored.row_ids()], strict=True):
        np.testing.assert_array_equal(one, expected)
    assert not list(folder.iterdir())


def test_values_that_are_left_out_are_no_matter(tmp_path: Path) -> None:
    convert({"x": np.array([1e300, 1.0, 2.0]), "n": np.array([2**40 + 1, 3, 4])}, tmp_path / "d.arrow", progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = materialize(
            tmp_path / "d.arrow", None, tmp_path / "s.h5", inputs=["x", "n"], where="x < 9", progress=False
        )
    assert made.arrays()[0].tolist() == [[1, 3], [2, 4]]


@pytest.mark.parametrize("seed", [None, 1])
def test_an_executor_writes_the_same_bytes(
    frame: Any, tmp_path: Path, small_units: None, seed: int | None, forkserver: BaseContext
) -> None:
    alone = materialize(frame, None, tmp_path / "a.h5", **PLAIN, shuffle_seed=seed, progress=False)
    with ProcessPoolExecutor(2, mp_context=forkserver) as pool:
        shared = materialize(frame, None, tmp_path / "b.h5", **PLAIN, shuffle_seed=seed, executor=pool, progress=False)
    for one, other in zip([*alone.arrays(), alone.row_ids()], [*shared.arrays(), shared.row_ids()], strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_store_of_something_else_is_refused(frame: Any, tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    first = materialize(frame, None, path, **PLAIN, where="x0 > 0.5", progress=False)
    stamp = path.stat().st_mtime_ns
    same = materialize(frame, None, path, **PLAIN, where="x0>0.5", progress=False)
    assert path.stat().st_mtime_ns == stamp and same.rows == first.rows
    with pytest.raises(StoreError, match="made from other selection than asked for.*overwrite=True"):
        materialize(frame, None, path, **PLAIN, where="x0 > 0.6", progress=False)
    with pytest.raises(StoreError, match="made from other features"):
        materialize(frame, None, path, inputs=["x0"], where="x0 > 0.5", progress=False)
    with pytest.raises(StoreError, match="shuffle_seed=None, got 1"):
        materialize(frame, None, path, **PLAIN, where="x0 > 0.5", shuffle_seed=1, progress=False)
    os.utime(tmp_path / "d.hdf5")
    with pytest.raises(StoreError, match="made from other data than"):
        materialize(vaex.open(str(tmp_path / "d.hdf5")), None, path, **PLAIN, where="x0 > 0.5", progress=False)
    replaced = materialize(frame, None, path, **PLAIN, where="x0 > 0.9", overwrite=True, progress=False)
    assert replaced.rows < first.rows


def test_errors_say_what_is_wrong(frame: Any, tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="no such store"):
        store.read(tmp_path / "none.h5")
    (tmp_path / "junk.h5").write_bytes(b"not hdf5")
    with pytest.raises(StoreError, match=r"junk\.h5: the store can't be read"):
        store.read(tmp_path / "junk.h5")
    with pytest.raises(StoreError, match="not a packed store"):
        store.read(tmp_path / "d.hdf5")
    path = tmp_path / "s.h5"
    materialize(frame, None, path, **PLAIN, progress=False)
    os.truncate(path, path.stat().st_size - 5_000)
    with pytest.raises(StoreError, match="cut short|can't be read"):
        store.read(path)
    with pytest.raises(StoreError, match="the folder .* isn't there"):
        materialize(frame, None, tmp_path / "no" / "s.h5", **PLAIN, progress=False)
    with pytest.raises(OptionError, match="shuffle_seed: got -1"):
        materialize(frame, None, tmp_path / "u.h5", **PLAIN, shuffle_seed=-1, progress=False)


def test_a_full_disk_is_seen_before_anything_is_written(
    frame: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    usage = shutil.disk_usage(tmp_path)._replace(free=1_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(StoreError, match=r"needs 0\.00 GB in .*, whose disk has 0\.00 GB free\. Make room"):
        materialize(frame, None, tmp_path / "s.h5", **PLAIN, progress=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d.hdf5"]


def test_a_disk_that_fills_up_meanwhile_is_told_and_gone_on_from(
    frame: Any, tmp_path: Path, small_units: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite, left = os.pwrite, [20]

    def until_full(*arguments: Any) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return pwrite(*arguments)

    path = tmp_path / "s.h5"
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", until_full)
        with pytest.raises(StoreError, match=r"not finished \(.*No space left on device\)\. Run it again to go on"):
            materialize(frame, None, path, **PLAIN, progress=False)
    assert not path.exists()
    done = len((tmp_path / "s.h5.part.journal").read_text().splitlines()) - 1
    assert done > 1
    written = []
    unit = writing.write_unit
    monkeypatch.setattr(writing, "write_unit", lambda *rest: written.append(1) or unit(*rest))
    stored = materialize(frame, None, path, **PLAIN, progress=False)
    assert len(written) < -(-ROWS // 500)
    for got, wanted in zip(stored.arrays(), expected(frame)[0], strict=True):
        np.testing.assert_array_equal(got, wanted)


_MAKE = """
import sys, time
import vaex
from vaxseq.training.sequence import Sequence
from vaxseq.store import writing
module = sys.modules["vaxseq.store.materializing"]
module._UNIT_BYTES = 16_000
unit = writing.write_unit
def slowly(*arguments):
    print("unit", flush=True)
    time.sleep(0.05)
    return unit(*arguments)
writing.write_unit = slowly
frame = vaex.open(sys.argv[1])
data = Sequence(frame, inputs=["x0", "x1", "x2"], targets="y", sample_weight="w", store=sys.argv[2])
print("rows", data.num_rows)
"""


@pytest.mark.slow
@pytest.mark.parametrize("store", ["auto", "path"])
def test_of_processes_that_want_the_same_store_one_makes_it(
    frame: Any, tmp_path: Path, store: str, keras_python: PreparedPython
) -> None:
    command = ["-c", _MAKE, str(tmp_path / "d.hdf5"), "auto" if store == "auto" else str(tmp_path / "s")]
    environment = {**os.environ, "VAXSEQ_CACHE": str(tmp_path / "cache")}
    runs = [keras_python.popen(command, env=environment) for _ in range(3)]
    printed = [run.communicate(timeout=200)[0].split("\n") for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert [f"rows {ROWS}" in lines for lines in printed] == [True] * 3
    assert sorted("unit" in lines for lines in printed) == [False, False, True]
    kept = tmp_path / "cache" if store == "auto" else tmp_path
    assert not [one for one in kept.iterdir() if ".part" in one.name or ".lock" in one.name]


def test_a_folder_that_cannot_be_written_is_named(frame: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VAXSEQ_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(StoreError, match=r"cache folder .*file/cache can't be made \(Not a directory\).*VAXSEQ_CACHE"):
        Sequence(frame, **PLAIN, store="auto")
    real = open

    def read_only(name: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
        if str(name).endswith(".lock"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), name)
        return real(name, mode, *rest, **options)

    monkeypatch.setattr("builtins.open", read_only)
    with pytest.raises(StoreError, match=r"s\.h5: can't be written there \(Read-only file system\)"):
        Sequence(frame, **PLAIN, store=tmp_path / "s.h5")


_SCRIPT = """
import sys, time
import vaex
import vaxseq.store.materializing
from vaxseq.store import materialize, writing
module = sys.modules["vaxseq.store.materializing"]
module._UNIT_BYTES, module._BUCKET_BYTES = 16_000, 40_000
slow = float(sys.argv[3])
unit, bucket = writing.write_unit, writing.settle_bucket
def slowly(function):
    def call(*arguments):
        done = function(*arguments)
        time.sleep(slow)
        return done
    return call
writing.write_unit, writing.settle_bucket = slowly(unit), slowly(bucket)
seed = None if sys.argv[4] == "none" else int(sys.argv[4])
stored = materialize(vaex.open(sys.argv[1]), None, sys.argv[2], inputs=["x0", "x1", "x2"], targets="y",
                     sample_weight="w", shuffle_seed=seed, progress=False)
print(stored.rows)
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["none", "4"])
def test_a_killed_run_goes_on_where_it_was(
    frame: Any, tmp_path: Path, small_units: None, seed: str, python: PreparedPython
) -> None:
    whole = materialize(
        frame, None, tmp_path / "whole.h5", **PLAIN, shuffle_seed=None if seed == "none" else int(seed), progress=False
    )
    target = tmp_path / "s.h5"
    journal = Path(f"{target}.part.journal")
    seen = []
    for _ in range(3):
        run = python.popen(["-c", _SCRIPT, str(tmp_path / "d.hdf5"), str(target), "0.15", seed])
        before = len(journal.read_text().splitlines()) if journal.exists() else 0
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and run.poll() is None:
            if journal.exists() and len(journal.read_text().splitlines()) >= before + 3:
                break
            time.sleep(0.02)
        run.send_signal(signal.SIGKILL)
        run.wait()
        assert not target.exists()
        seen.append(len(journal.read_text().splitlines()))
    assert seen[0] < seen[1] < seen[2], "each run goes on from the one before"
    done = python.run(["-c", _SCRIPT, str(tmp_path / "d.hdf5"), str(target), "0", seed])
    assert done.stdout.split() == [str(whole.rows)], done.stderr
    stored = store.read(target)
    for one, other in zip([*stored.arrays(), stored.row_ids()], [*whole.arrays(), whole.row_ids()], strict=True):
        np.testing.assert_array_equal(one, other)
    assert not list(tmp_path.glob("s.h5.*"))
