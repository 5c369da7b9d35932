"""Every state between two steps on the disk: an operation that is killed there and run again ends in success.

No row is lost, doubled or another, nothing that was there before is gone, and nothing is left over.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

import vaxseq as vs

MOST = int(os.environ.get("VAXSEQ_TEST_WALK", "12"))  # steps of an operation, evenly spread; 0: all
OPERATIONS = [
    "convert_file", "convert_folder", "convert_hdf5", "append", "append_again", "overwrite_folder", "overwrite_file",
    "materialize", "materialize_shuffled", "overwrite_store", "report", "save_state", "cached_store", "split_files",
    "compact",
]  # fmt: skip


@contextmanager
def walker(operation: str) -> Iterator[Any]:
    """A function that runs the operation in a folder, killed before a step; (exit code, steps, the last one)."""
    script = Path(__file__).with_name("walked.py")
    with subprocess.Popen(
        [sys.executable, str(script), operation], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout

        def run(folder: Path, number: int) -> tuple[int, int, str]:
            process.stdin.write(f"{number} {folder}\n")
            process.stdin.flush()
            code, begun, name = process.stdout.readline().strip().split(" ", 2)
            return int(code), int(begun), name

        yield run
        process.stdin.close()


def rows_of(path: Path) -> Any:
    frame = vs.open(path)
    return {name: frame[name].tolist() for name in frame.get_column_names()}


def contents(folder: Path) -> dict[str, Any]:
    """What the operations make, by value; names of everything that is there."""
    found: dict[str, Any] = {"names": sorted(one.name for one in folder.iterdir())}
    for one in folder.iterdir():
        if one.suffix in (".arrow", ".hdf5") or (one / "manifest.json").exists():
            found[one.name] = rows_of(one)
            vs.verify(one, progress=False)
        elif one.suffix == ".h5":
            found[one.name] = stored_in(one)
        elif one.suffix == ".parquet":
            found[one.name] = pq.read_table(one).to_pylist()
        elif one.suffix in (".json", ".html"):
            found[one.name] = one.read_bytes()
        elif one.name == "cache":  # HDF5 leaves gaps in a file that was gone on with, so not its size
            found[one.name] = {part.name: stored_in(part) for part in one.iterdir()}
        elif one.name == "parts":
            found[one.name] = {part.name: part.stat().st_size for part in one.iterdir()}
    return found


def stored_in(path: Path) -> list[Any]:
    """The rows of a store, and of which rows they are."""
    vs.verify(path, progress=False)
    with h5py.File(path) as file:
        return [np.asarray(file[name]).tolist() for name in ("inputs/inputs", "row_id")]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("walk") / "before"
    folder.mkdir()
    cells = "".join(f"{i},{'bad' if i % 97 == 0 else i * 0.5},w{i // 30}\n" for i in range(300))
    (folder / "a.csv").write_text("i,v,w\n" + cells)
    (folder / "b.csv").write_text("i,v,w\n" + "".join(f"{i},{i * 0.25},x{i // 30}\n" for i in range(300, 500)))
    vs.convert(folder / "b.csv", folder / "d.arrow", progress=False)
    (folder / "c.csv").write_text("i,v,w\n1,2.5,x\n")
    vs.convert(folder / "c.csv", folder / "d", progress=False)
    for source in ("c.csv", "b.csv"):
        vs.convert(folder / source, folder / "m", append=True, progress=False)
    vs.materialize(folder / "d.arrow", None, folder / "t.h5", inputs=["i"], progress=False)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS)
def test_killed_before_any_step_and_run_again(before: Path, operation: str) -> None:
    if operation == "append_again":
        (before / "a.csv").write_text("i,v,w\n" + "".join(f"{i},{i * 0.5},w\n" for i in range(50)))
    folder = before.parent / "run"

    def fresh() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(before, folder)

    with walker(operation) as run:
        fresh()
        code, steps, _ = run(folder, 0)
        assert code == 0
        assert steps > 1
        expected = contents(folder)
        chosen = range(1, steps + 1) if not MOST else np.unique(np.linspace(1, steps, MOST).astype(int)).tolist()
        chosen = sorted({*chosen, *range(max(steps - 8, 1), steps + 1)})  # the last ones are where a commit is
        for number in chosen:
            fresh()
            code, _, name = run(folder, number)
            assert code == -9, (number, name)
            for kept in ("d.arrow", "d", "m", "t.h5"):  # what was there is there, or the new one is
                assert (folder / kept).exists() or (folder / f"{kept}.partial").exists(), (kept, name)
            code, _, _ = run(folder, 0)
            assert code == 0, f"killed before step {number} of {steps}, {name}: the second run failed"
            found = contents(folder)
            found["names"] = [one for one in found["names"] if not (one.startswith(".") and one.endswith("part"))]
            assert found == expected, f"killed before step {number} of {steps}, {name}"
