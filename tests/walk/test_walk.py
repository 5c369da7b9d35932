"""Every state between two steps on the disk: an operation that is killed there and run again ends in success.

No row is lost, doubled or another, nothing that was there before is gone, and nothing is left over. The table of fault
points by operations: VAXSEQ_TEST_WALK=0 pytest -s tests/walk
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
from prepared import PreparedPython

import vaxseq as vs

MOST = int(os.environ.get("VAXSEQ_TEST_WALK", "12"))  # steps of an operation, evenly spread; 0: all
OPERATIONS = [
    "train",  # takes longest: the last test of all keeps one worker busy alone
    "convert_file", "convert_folder", "convert_hdf5", "append", "append_again", "overwrite_folder", "overwrite_file",
    "materialize", "materialize_shuffled", "overwrite_store", "report", "save_state", "cached_store", "split_files",
    "split_files_anew", "compact", "convert_sorted", "row_index", "history", "explored",
]  # fmt: skip


class Run(NamedTuple):
    """How a run of an operation ended: its exit code, the steps it began and the last one's name, what it said."""

    code: int
    steps: int
    step: str
    said: list[str]


class Rows(list[Any]):
    """Rows, as they can be counted."""


@contextmanager
def walker(python: PreparedPython, operation: str) -> Iterator[Callable[[Path, int], Run]]:
    """A function that runs the operation in a folder, killed before a step (0: never)."""
    script = Path(__file__).with_name("walked.py")
    with python.popen([script, operation], stdin=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout

        def run(folder: Path, number: int) -> Run:
            process.stdin.write(f"{number} {folder}\n")
            process.stdin.flush()
            return Run(*json.loads(process.stdout.readline()))

        yield run
        process.stdin.close()


def rows_of(path: Path) -> Rows:
    frame = vs.open(path)
    names = sorted(frame.get_column_names())
    return Rows(zip(*(frame[name].tolist() for name in names), strict=True))


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
            found[one.name] = Rows(json.dumps(row) for row in pq.read_table(one).to_pylist())
        elif one.suffix in (".json", ".html"):
            found[one.name] = one.read_bytes()
        elif one.name == "cache":  # HDF5 leaves gaps in a file that was gone on with, so not its size
            found[one.name] = [part.name for part in sorted(one.iterdir())]
            found |= {part.name: cached_in(part) for part in one.iterdir()}
        elif one.name == "parts":
            found[one.name] = [part.name for part in sorted(one.iterdir())]
            found |= {f"parts/{part.name}": rows_of(part) for part in one.glob("*.arrow")}
        elif one.name == "run":
            states = len(list(one.glob("state-*")))
            others = sorted(part.name for part in one.iterdir() if not part.name.startswith("state-"))
            found[one.name] = json.loads((one / "resume.json").read_text())["position"], states, others
        elif one.name == "w.npz":
            with np.load(one) as stored:
                found[one.name] = Rows(np.repeat(np.arange(200), stored["seen"].astype(int)).tolist())
                found["weights"] = [stored[name].tolist() for name in sorted(stored.files)]
    return found


def cached_in(path: Path) -> Any:
    """What a file of the cache holds."""
    if path.suffix == ".h5":
        return stored_in(path)
    if path.suffix == ".hdf5":
        vs.verify(path, progress=False)
        return path.read_bytes()
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name].tolist() for name in stored.files}


def stored_in(path: Path) -> Rows:
    """The rows of a store, and of which rows they are."""
    vs.verify(path, progress=False)
    with h5py.File(path) as file:
        inputs, ids = (np.asarray(file[name]).tolist() for name in ("inputs/inputs", "row_id"))
    return Rows((row_id, tuple(row)) for row, row_id in zip(inputs, ids, strict=True))


def losses(expected: dict[str, Any], found: dict[str, Any]) -> tuple[int, int, int]:
    """Rows that aren't there; that are there once too often, or are others; places and files that differ."""
    lost = doubled = differing = 0
    for name in {*expected, *found}:
        then, now = expected.get(name), found.get(name)
        if isinstance(then, Rows) and isinstance(now, Rows):
            lost += (Counter(then) - Counter(now)).total()
            doubled += (Counter(now) - Counter(then)).total()
            differing += sum(a != b for a, b in zip(then, now, strict=False))
        else:
            differing += then != now
    return lost, doubled, differing


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
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_killed_before_any_step_and_run_again(before: Path, operation: str, request: pytest.FixtureRequest) -> None:
    python = request.getfixturevalue(
        "keras_python" if operation in ("cached_store", "row_index", "train") else "python"
    )
    request.getfixturevalue("forked_probe")
    if operation == "append_again":
        (before / "a.csv").write_text("i,v,w\n" + "".join(f"{i},{i * 0.5},w\n" for i in range(50)))
    folder = before.parent / "run"

    def fresh() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(before, folder)

    with walker(python, operation) as run:
        fresh()
        whole = run(folder, 0)
        assert whole.code == 0, whole.said
        assert whole.steps > 1
        expected = contents(folder)
        again = run(folder, 0)
        print(f"\n{operation}: {whole.steps} steps; run again when all is done: {'; '.join(again.said) or 'success'}")
        chosen = range(1, whole.steps + 1) if not MOST else np.linspace(1, whole.steps, MOST).astype(int).tolist()
        chosen = sorted({*chosen, *range(max(whole.steps - 8, 1), whole.steps + 1)})  # the last ones are a commit
        for number in chosen:
            fresh()
            killed = run(folder, number)
            assert killed.code == -9, (number, killed)
            for kept in ("d.arrow", "d", "m", "t.h5"):  # what was there is there, or the new one is
                assert (folder / kept).exists() or (folder / f"{kept}.partial").exists(), (kept, killed.step)
            after = run(folder, 0)
            where = f"killed before step {number} of {whole.steps}, {killed.step}"
            assert after.code == 0, f"{where}: the second run failed: {after.said}"
            found = contents(folder)
            found["names"] = [one for one in found["names"] if not (one.startswith(".") and one.endswith("part"))]
            lost, doubled, differing = losses(expected, found)
            said = "; ".join(after.said) or "success"
            print(f"{number:4} {lost:3} lost {doubled:3} doubled {differing:3} differing  {killed.step}: {said}")
            assert (lost, doubled, differing) == (0, 0, 0), where
            assert found == expected, where
